"""`hanse article`: what the group knows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer
from google.protobuf.field_mask_pb2 import FieldMask
from rich.text import Text

from hanse.cli import output
from hanse.cli.connection import (
    DEFAULT_FOLDER,
    GroupOption,
    JsonOption,
    PersonOption,
    UnitOption,
    ask,
    resource_name,
)
from hanse_protos.knowledge.v1 import knowledge_pb2 as pb

app = typer.Typer(help="Write, review, share and find knowledge.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="units/…/articles/…")]


def _show(article: pb.Article, as_json: bool) -> None:
    if as_json:
        output.print_json(article)
        return
    state, scope = pb.ArticleState.Name(article.state), pb.ArticleScope.Name(article.scope)
    output.console.print(Text.assemble((article.name, "bold"), "  ", (f"{state}, {scope}", "cyan")))
    output.console.print(article.title, style="bold", markup=False)
    output.console.print(article.body, markup=False)
    for language, text in article.summaries.items():
        output.console.print(Text.assemble((f"{language}: ", "dim"), text))


@app.command("search")
def search(
    query: str,
    unit: UnitOption = "shanghai",
    person: PersonOption = "operator",
    group: GroupOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Search a unit's own and the shared articles, in any language."""
    request = pb.SearchArticlesRequest(parent=resource_name(unit), query=query)
    reply = ask(group, unit, person, lambda desk: desk.knowledge.SearchArticles(request))
    if as_json:
        output.print_json(reply)
        return
    rows = ((hit.article.name, f"{hit.score:.2f}", hit.article.title, hit.snippet) for hit in reply.hits)
    output.table(f"Found in {unit}", ["article", "score", "title", "where"], rows)


@app.command("list")
def list_articles(
    unit: UnitOption = "munich",
    person: PersonOption = "operator",
    group: GroupOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """List a unit's articles."""
    request = pb.ListArticlesRequest(parent=resource_name(unit))
    reply = ask(group, unit, person, lambda desk: desk.knowledge.ListArticles(request))
    if as_json:
        output.print_json(reply)
        return
    rows = (
        (
            article.name,
            pb.ArticleState.Name(article.state),
            pb.ArticleScope.Name(article.scope),
            article.language,
            article.title,
        )
        for article in reply.articles
    )
    output.table(f"Articles of {unit}", ["article", "state", "scope", "language", "title"], rows)


@app.command("show")
def show(
    name: NameArgument,
    unit: UnitOption = "munich",
    person: PersonOption = "operator",
    group: GroupOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Show an article."""
    request = pb.GetArticleRequest(name=name)
    _show(ask(group, unit, person, lambda desk: desk.knowledge.GetArticle(request)), as_json)


@app.command("write")
def write(
    title: str,
    body: Annotated[Path, typer.Argument(help="A Markdown file.", exists=True, dir_okay=False)],
    language: str = "en",
    category: str = "",
    unit: UnitOption = "munich",
    person: PersonOption = "operator",
    group: GroupOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Draft an article from a Markdown file."""
    article = pb.Article(title=title, body=body.read_text(), language=language, category=category)
    request = pb.CreateArticleRequest(parent=resource_name(unit), article=article, request_id=str(uuid4()))
    _show(ask(group, unit, person, lambda desk: desk.knowledge.CreateArticle(request)), as_json)


@app.command("summarize")
def summarize(
    name: NameArgument,
    language: str,
    text: str,
    unit: UnitOption = "munich",
    person: PersonOption = "operator",
    group: GroupOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Give a draft a summary in another language."""
    article = pb.Article(name=name, summaries={language: text})
    request = pb.UpdateArticleRequest(
        article=article, update_mask=FieldMask(paths=["summaries"]), request_id=str(uuid4())
    )
    _show(ask(group, unit, person, lambda desk: desk.knowledge.UpdateArticle(request)), as_json)


@app.command("submit")
def submit(
    name: NameArgument,
    unit: UnitOption = "munich",
    person: PersonOption = "operator",
    group: GroupOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Hand a draft in for review."""
    request = pb.SubmitArticleRequest(name=name, request_id=str(uuid4()))
    _show(ask(group, unit, person, lambda desk: desk.knowledge.SubmitArticle(request)), as_json)


@app.command("publish")
def publish(
    name: NameArgument,
    scope: Annotated[str, typer.Option(help="UNIT, GROUP or PUBLIC.")] = "GROUP",
    unit: UnitOption = "munich",
    person: PersonOption = "reviewer",
    group: GroupOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Publish an article in review. The reviewer is never the author."""
    if scope.upper() not in ("UNIT", "GROUP", "PUBLIC"):
        raise typer.BadParameter(f"{scope} is not a scope: UNIT, GROUP or PUBLIC")
    request = pb.PublishArticleRequest(name=name, request_id=str(uuid4()), scope=pb.ArticleScope.Value(scope.upper()))
    _show(ask(group, unit, person, lambda desk: desk.knowledge.PublishArticle(request)), as_json)
