"""`hanse article`: what the group knows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer
from google.protobuf.field_mask_pb2 import FieldMask
from rich.text import Text

from hanse.cli import output
from hanse.cli.connection import At, command
from hanse.enums import name_of
from hanse_protos.knowledge.v1 import knowledge_pb2 as pb

app = typer.Typer(help="Write, review, share and find knowledge.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="units/…/articles/…")]


def _show(article: pb.Article, as_json: bool) -> None:
    if as_json:
        output.print_json(article)
        return
    state, scope = name_of(pb.ArticleState, article.state), name_of(pb.ArticleScope, article.scope)
    output.console.print(Text.assemble((article.name, "bold"), "  ", (f"{state}, {scope}", "cyan")))
    output.console.print(article.title, style="bold", markup=False)
    output.console.print(article.body, markup=False)
    for language, text in article.summaries.items():
        output.console.print(Text.assemble((f"{language}: ", "dim"), text))


@command(app, "search", unit="shanghai")
def search(at: At, query: str) -> None:
    """Search a unit's own and the shared articles, in any language."""
    request = pb.SearchArticlesRequest(parent=at.parent, query=query)
    reply = at.ask(lambda desk: desk.knowledge.SearchArticles(request))
    if at.as_json:
        output.print_json(reply)
        return
    rows = ((hit.article.name, f"{hit.score:.2f}", hit.article.title, hit.snippet) for hit in reply.hits)
    output.table(f"Found in {at.unit}", ["article", "score", "title", "where"], rows)


@command(app, "list", unit="munich")
def list_articles(at: At) -> None:
    """List a unit's articles."""
    request = pb.ListArticlesRequest(parent=at.parent)
    reply = at.ask(lambda desk: desk.knowledge.ListArticles(request))
    if at.as_json:
        output.print_json(reply)
        return
    rows = (
        (
            article.name,
            name_of(pb.ArticleState, article.state),
            name_of(pb.ArticleScope, article.scope),
            article.language,
            article.title,
        )
        for article in reply.articles
    )
    output.table(f"Articles of {at.unit}", ["article", "state", "scope", "language", "title"], rows)


@command(app, "show", unit="munich")
def show(at: At, name: NameArgument) -> None:
    """Show an article."""
    request = pb.GetArticleRequest(name=name)
    _show(at.ask(lambda desk: desk.knowledge.GetArticle(request)), at.as_json)


@command(app, "write", unit="munich")
def write(
    at: At,
    title: str,
    body: Annotated[Path, typer.Argument(help="A Markdown file.", exists=True, dir_okay=False)],
    language: str = "en",
    category: str = "",
) -> None:
    """Draft an article from a Markdown file."""
    article = pb.Article(title=title, body=body.read_text(), language=language, category=category)
    request = pb.CreateArticleRequest(parent=at.parent, article=article, request_id=str(uuid4()))
    _show(at.ask(lambda desk: desk.knowledge.CreateArticle(request)), at.as_json)


@command(app, "summarize", unit="munich")
def summarize(
    at: At,
    name: NameArgument,
    language: str,
    text: str,
) -> None:
    """Give a draft a summary in another language."""
    article = pb.Article(name=name, summaries={language: text})
    request = pb.UpdateArticleRequest(
        article=article, update_mask=FieldMask(paths=["summaries"]), request_id=str(uuid4())
    )
    _show(at.ask(lambda desk: desk.knowledge.UpdateArticle(request)), at.as_json)


@command(app, "submit", unit="munich")
def submit(at: At, name: NameArgument) -> None:
    """Hand a draft in for review."""
    request = pb.SubmitArticleRequest(name=name, request_id=str(uuid4()))
    _show(at.ask(lambda desk: desk.knowledge.SubmitArticle(request)), at.as_json)


@command(app, "publish", unit="munich", person="reviewer")
def publish(
    at: At, name: NameArgument, scope: Annotated[str, typer.Option(help="UNIT, GROUP or PUBLIC.")] = "GROUP"
) -> None:
    """Publish an article in review. The reviewer is never the author."""
    if scope.upper() not in ("UNIT", "GROUP", "PUBLIC"):
        raise typer.BadParameter(f"{scope} is not a scope: UNIT, GROUP or PUBLIC")
    request = pb.PublishArticleRequest(name=name, request_id=str(uuid4()), scope=pb.ArticleScope.Value(scope.upper()))
    _show(at.ask(lambda desk: desk.knowledge.PublishArticle(request)), at.as_json)
