"""From rows to messages: articles for callers, summaries and sealed texts for events."""

from collections.abc import Mapping
from datetime import datetime

from hanse.names import home_of
from hanse.times import put_time, timestamp
from hanse_protos.knowledge.v1 import knowledge_pb2 as pb
from hanse_services.knowledge.model import Article, Publication, etag_of

SUMMARY_FIELD = "summary."
"""The sealed field of a summary is this, and its language."""


def empty_article(summary: pb.ArticleSummary, at: datetime) -> Article:
    """Return the row that the first fact about an article begins: a draft without words, told of at an instant.

    Events don't say who wrote a text: the author is known in the unit that wrote it.
    """
    return Article(
        name=summary.name,
        unit=home_of(summary.name),
        revision=0,
        version=0,
        state=pb.DRAFT,
        scope=summary.scope,
        title="",
        body="",
        language=summary.language,
        summaries={},
        category=summary.category,
        source=summary.source,
        author="",
        writers=[],
        reviewer="",
        create_time=at,
        update_time=at,
    )


def article_to_proto(article: Article) -> pb.Article:
    """Return an article as it is being written."""
    message = pb.Article(
        name=article.name,
        etag=etag_of(article),
        state=article.state,
        scope=article.scope,
        title=article.title,
        body=article.body,
        language=article.language,
        summaries=article.summaries,
        category=article.category,
        source=article.source,
        version=article.version,
        author=article.author,
        reviewer=article.reviewer,
        create_time=timestamp(article.create_time),
        update_time=timestamp(article.update_time),
    )
    put_time(message.publish_time, article.publish_time)
    return message


def publication_to_proto(article: Article, publication: Publication) -> pb.Article:
    """Return an article as it was published, whatever is being written on it meanwhile."""
    return pb.Article(
        name=article.name,
        etag=etag_of(article),
        state=pb.PUBLISHED,
        scope=publication.scope,
        title=publication.title,
        body=publication.body,
        language=publication.language,
        summaries=publication.summaries,
        category=publication.category,
        source=article.source,
        version=publication.version,
        author=article.author,
        reviewer=publication.reviewer,
        create_time=timestamp(article.create_time),
        update_time=timestamp(publication.publish_time),
        publish_time=timestamp(publication.publish_time),
    )


def summary_of(article: Article) -> pb.ArticleSummary:
    """Return what every article event carries: no text."""
    message = pb.ArticleSummary(
        name=article.name,
        state=article.state,
        scope=article.scope,
        language=article.language,
        category=article.category,
        source=article.source,
        version=article.version,
    )
    put_time(message.publish_time, article.publish_time)
    return message


def sealed_texts(article: Article) -> dict[str, str]:
    """Return the texts of an article as the sealed fields of an event, "summary.zh" among them."""
    summaries = {f"{SUMMARY_FIELD}{language}": text for language, text in article.summaries.items()}
    return {"title": article.title, "body": article.body, **summaries}


def summaries_in(texts: Mapping[str, str]) -> dict[str, str]:
    """Return the summaries among the sealed texts of an event, by language."""
    return {field.removeprefix(SUMMARY_FIELD): text for field, text in texts.items() if field.startswith(SUMMARY_FIELD)}
