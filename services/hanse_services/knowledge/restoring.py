"""Restoring articles from their events, after the unit came back from an old backup without them.

Each event says what an article was after it, but for its texts: those come back where they had been granted to others,
which what is published for the group usually is. So what was published comes back and is found again. A draft's text
never left the unit: the draft comes back empty, or with the text that was published before it. An article that was
published without its text leaving the unit comes back as a draft, for somebody to write it again.
"""

from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message
from sqlalchemy import select

from hanse.log.events import Fact
from hanse.names import home_of
from hanse.times import instant
from hanse.work import Work
from hanse_protos.knowledge.v1 import knowledge_pb2 as pb
from hanse_services.knowledge.commands import find_article, keep_publication, published
from hanse_services.knowledge.messages import empty_article, summaries_in
from hanse_services.knowledge.model import Article
from hanse_services.knowledge.search import remove_from_index


def article_drafted(work: Work, fact: Fact) -> None:
    """Restore a draft; whoever told of it has written on it, and so does not review it."""
    article = _changed(work, fact)
    if article and fact.event.actor not in article.writers:
        article.writers = [*article.writers, fact.event.actor]


def article_moved(work: Work, fact: Fact) -> None:
    """Restore that an article was handed in, or sent back."""
    _changed(work, fact)


def article_published(work: Work, fact: Fact) -> None:
    """Restore a publication, and let it be found; without its text the article is a draft."""
    article = _changed(work, fact)
    if article is None:
        return
    payload: Any = fact.payload
    article.reviewer, article.writers = fact.event.actor, [article.author]
    article.publish_time = instant(payload.article.publish_time)
    if "body" not in fact.texts:
        article.state = pb.DRAFT
        remove_from_index(work.session, article.name)
    elif published(work, article) is None:
        keep_publication(work, article)


def article_retired(work: Work, fact: Fact) -> None:
    """Restore that an article was taken out of the search."""
    article = _changed(work, fact)
    if article:
        remove_from_index(work.session, article.name)


def _changed(work: Work, fact: Fact) -> Article | None:
    """Bring an article of this unit up to what an event says of it, and return it; None for another unit's."""
    payload: Any = fact.payload
    summary: pb.ArticleSummary = payload.article
    if home_of(summary.name) != work.unit:
        return None
    article = find_article(work, summary.name)
    if article is None:
        article = _begun(work, summary, fact)
        work.session.add(article)
    article.revision += 1
    article.update_time = fact.occur_time
    article.state, article.scope, article.version = summary.state, summary.scope, summary.version
    article.language, article.category = summary.language, summary.category
    if "body" in fact.texts:
        article.title, article.body = fact.texts.get("title", ""), fact.texts["body"]
        article.summaries = summaries_in(fact.texts)
    return article


def _begun(work: Work, summary: pb.ArticleSummary, fact: Fact) -> Article:
    article = empty_article(summary, fact.occur_time)
    article.source = _free_source(work, summary.source)
    article.author, article.writers = fact.event.actor, [fact.event.actor]
    return article


def _free_source(work: Work, source: str) -> str:
    """Return the engagement that an article was drafted from, unless it was drafted again since the restore."""
    taken = select(Article.name).where(Article.unit == work.unit, Article.source == source)
    return "" if work.session.scalar(taken) else source


RESTORES: dict[type[Message], Callable[[Work, Fact], None]] = {
    pb.ArticleDrafted: article_drafted,
    pb.ArticleSubmitted: article_moved,
    pb.ArticleReturned: article_moved,
    pb.ArticlePublished: article_published,
    pb.ArticleRetired: article_retired,
}
"""What is restored from which event."""
