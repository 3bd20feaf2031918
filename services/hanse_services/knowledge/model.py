"""The tables of the knowledge service, the states, and which transitions are allowed."""

from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from hanse.columns import ProtoEnum
from hanse.log.tables import Time
from hanse.schema import ServiceSchema
from hanse.transitions import next_state
from hanse_protos.knowledge.v1 import knowledge_pb2 as pb

if TYPE_CHECKING:
    # The types of enum values are in the contracts' stubs only.
    State: TypeAlias = pb.ArticleState.ValueType
    Scope: TypeAlias = pb.ArticleScope.ValueType
else:
    State = int
    Scope = int

SCHEMA = ServiceSchema("knowledge")

TRANSITIONS: dict[str, dict[State, State]] = {
    # Changing what is published opens the draft of the next version.
    "UpdateArticle": {pb.DRAFT: pb.DRAFT, pb.PUBLISHED: pb.DRAFT},
    "SubmitArticle": {pb.DRAFT: pb.IN_REVIEW},
    "PublishArticle": {pb.IN_REVIEW: pb.PUBLISHED},
    "ReturnArticle": {pb.IN_REVIEW: pb.DRAFT},
    # A draft that nobody wants is retired as well: nothing is ever deleted.
    "RetireArticle": {pb.DRAFT: pb.RETIRED, pb.IN_REVIEW: pb.RETIRED, pb.PUBLISHED: pb.RETIRED},
}
"""For each verb: from which state it leads to which."""

SHARED_SCOPES = frozenset({pb.GROUP, pb.PUBLIC})
"""The scopes in which other units keep a copy."""


class Base(DeclarativeBase):
    """The tables of this service."""

    metadata = SCHEMA.metadata
    type_annotation_map = {datetime: Time, str: Text}  # noqa: RUF012


class Article(Base):
    """An article as it is being written; or this unit's copy of another unit's article."""

    __tablename__ = "article"
    __table_args__ = (
        Index("article_by_create_time", "unit", "create_time", "name"),
        # One engagement is delivered into one article.
        Index("article_by_source", "unit", "source", unique=True, postgresql_where="source <> ''"),
    )

    name: Mapped[str] = mapped_column(primary_key=True)
    unit: Mapped[str]
    """The unit that writes it, which its name begins with."""
    revision: Mapped[int]
    """Counts the changes of this row: the etag."""
    version: Mapped[int]
    """The version that was published last; 0 before the first."""
    state: Mapped[State] = mapped_column(ProtoEnum(pb.ArticleState))
    scope: Mapped[Scope] = mapped_column(ProtoEnum(pb.ArticleScope))
    title: Mapped[str]
    body: Mapped[str]
    language: Mapped[str]
    summaries: Mapped[dict[str, str]] = mapped_column(JSONB)
    category: Mapped[str]
    source: Mapped[str]
    author: Mapped[str]
    writers: Mapped[list[str]] = mapped_column(ARRAY(Text))
    """The author, and whoever else wrote on the text since it was last published: none of them reviews it."""
    reviewer: Mapped[str]
    create_time: Mapped[datetime]
    update_time: Mapped[datetime]
    publish_time: Mapped[datetime | None]

    def move(self, verb: str) -> None:
        """Go into the state that a verb leads to. Raises IllegalTransition where it leads nowhere from here."""
        self.state = next_state(TRANSITIONS, pb.ArticleState, self.name, self.state, verb)


class Publication(Base):
    """What an article said in one published version. It never changes."""

    __tablename__ = "publication"

    article: Mapped[str] = mapped_column(ForeignKey("knowledge.article.name"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    scope: Mapped[Scope] = mapped_column(ProtoEnum(pb.ArticleScope))
    title: Mapped[str]
    body: Mapped[str]
    language: Mapped[str]
    summaries: Mapped[dict[str, str]] = mapped_column(JSONB)
    category: Mapped[str]
    reviewer: Mapped[str]
    publish_time: Mapped[datetime]


class SearchDocument(Base):
    """The words of the publication that can be found. An article has a row here exactly while it can be found."""

    __tablename__ = "search_document"
    __table_args__ = (
        ForeignKeyConstraint(
            ["article", "version"], ["knowledge.publication.article", "knowledge.publication.version"]
        ),
        Index("search_document_by_words", "words", postgresql_using="gin"),
    )

    article: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int]
    words: Mapped[str] = mapped_column(TSVECTOR)
    """The words of all languages, the title's weighing A, the summaries' B, the body's D."""


class KnownWord(Base):
    """A word in letters that stands, or once stood, in what can be found: what a misspelt word could mean."""

    __tablename__ = "known_word"
    __table_args__ = (
        Index(
            "known_word_by_word",
            "word",
            postgresql_using="gin",
            postgresql_ops={"word": "public.gin_trgm_ops"},
        ),
    )

    word: Mapped[str] = mapped_column(primary_key=True)


def etag_of(article: Article) -> str:
    """Return the etag of an article: it changes with every change (AIP-154)."""
    return f"v{article.revision}"
