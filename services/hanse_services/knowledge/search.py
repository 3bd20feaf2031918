"""The search index: one row for each article that can be found, and asking it.

A word of a query fits in one of two ways. Exactly, or as the beginning of a longer word; or letter by letter: that
finds "Netzteil" for "Netzteile", for "Netztiel" and in "Schaltnetzteil". Comparing letters with every article would
take seconds, so a query's word is compared with the words that are known, which are far fewer, and the articles are
asked for the ones that are alike.

An article is found when at least one word fits. Its score is the share of the query's words that fit, raised by where
they stand: the title weighs more than the summaries, and they more than the body.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, case, delete, func, literal, literal_column, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from hanse_services.knowledge.model import Article, Publication, SearchDocument
from hanse_services.knowledge.words import in_letters, query_words, words_of

MAX_INDEXED_WORDS = 20_000
"""How much of the body, and of all summaries together, can be found: PostgreSQL takes 1 MB of words a document."""
MAX_QUERY_WORDS = 32
"""How many words of a query count: a query is 500 characters at most, and each word costs look-ups."""
MAX_ALIKE_WORDS = 12
"""How many known words a query's word may mean; the likest count."""
MIN_SIMILARITY = 0.55
"""How alike words must be letter by letter: the share of the query word's trigrams that the known one has. Two swapped
letters in a word of eight leave 0.56."""
MIN_PREFIX_CHARACTERS = 3
"""Shorter words than this begin too many others."""
ALIKE_FITS = 0.5
"""How well a word fits that is only alike: less than the word itself, more than none."""


class Hit(NamedTuple):
    """A publication that was found."""

    article: Article
    publication: Publication
    score: float


def index_publication(session: Session, publication: Publication) -> None:
    """Let a publication be found, in the place of its article's version before it."""
    title = words_of(publication.title, MAX_INDEXED_WORDS)
    summaries = words_of("\n".join(publication.summaries.values()), MAX_INDEXED_WORDS)
    body = words_of(publication.body, MAX_INDEXED_WORDS)
    values = {
        "article": publication.article,
        "version": publication.version,
        "words": _weighed(title, "A").op("||")(_weighed(summaries, "B")).op("||")(_weighed(body, "D")),
    }
    # The publication has to be there before what refers to it.
    session.flush()
    session.execute(
        upsert(SearchDocument).values(values).on_conflict_do_update(index_elements=["article"], set_=values)
    )
    _learn(session, {word for word in (*title, *summaries, *body) if in_letters(word)})


def _weighed(words: Sequence[str], weight: str) -> ColumnElement[Any]:
    return func.setweight(func.to_tsvector(_SIMPLE, " ".join(words)), literal_column(f"'{weight}'"))


_LEARN = text("""
    INSERT INTO knowledge.known_word (word) SELECT unnest(CAST(:words AS text[])) ON CONFLICT DO NOTHING
""")


def _learn(session: Session, words: set[str]) -> None:
    """Add words to the known ones. They are never forgotten: a word that stands nowhere any more finds nothing."""
    # In order, so that two publications at the same time wait for each other and don't deadlock.
    session.execute(_LEARN, {"words": sorted(words)})


def remove_from_index(session: Session, article: str) -> None:
    """Let an article be found no more."""
    session.execute(delete(SearchDocument).where(SearchDocument.article == article))


def find(session: Session, query: str, limit: int) -> tuple[list[Hit], list[str]]:
    """Return what fits a query, the best first, `limit` at most; and the words that were looked for."""
    words = query_words(query, MAX_QUERY_WORDS)
    if not words:
        return [], []
    alike = _alike(session, [word for word in words if in_letters(word)])
    anything = _any_of([*map(_exactly, words), *(_quoted(known) for meant in alike.values() for known in meant)])
    covered = sum((_fit(word, alike.get(word, [])) for word in words), start=literal(0.0))
    score = (covered / float(len(words)) * (1.0 + func.ts_rank(SearchDocument.words, anything))).label("score")
    best = (
        select(SearchDocument.article, SearchDocument.version, score)
        .where(SearchDocument.words.op("@@")(anything))
        .order_by(score.desc(), SearchDocument.article)
        .limit(limit)
        .subquery()
    )
    rows = session.execute(
        select(Article, Publication, best.c.score)
        .join(best, best.c.article == Article.name)
        .join(Publication, (Publication.article == best.c.article) & (Publication.version == best.c.version))
        .order_by(best.c.score.desc(), Article.name)
    )
    return [Hit(*row) for row in rows], words


_ALIKE = text("""
    SELECT asked.word, known.word
    FROM unnest(CAST(:words AS text[])) AS asked (word),
    LATERAL (
        SELECT known_word.word FROM knowledge.known_word WHERE asked.word <% known_word.word
        ORDER BY word_similarity(asked.word, known_word.word) DESC, known_word.word LIMIT :limit
    ) AS known
""")


def _alike(session: Session, words: Sequence[str]) -> Mapping[str, list[str]]:
    """Return the known words that are like each word, the likest first."""
    if not words:
        return {}
    session.execute(select(func.set_config("pg_trgm.word_similarity_threshold", str(MIN_SIMILARITY), True)))
    meant: dict[str, list[str]] = {}
    for word, known in session.execute(_ALIKE, {"words": list(words), "limit": MAX_ALIKE_WORDS}):
        meant.setdefault(word, []).append(known)
    return meant


_SIMPLE: ColumnElement[Any] = literal_column("'simple'::regconfig")


def _quoted(word: str) -> str:
    """Return a word in the language of to_tsquery. Words hold letters and digits only, so nothing has to be escaped."""
    return f"'{word}'"


def _exactly(word: str) -> str:
    return f"{_quoted(word)}:*" if len(word) >= MIN_PREFIX_CHARACTERS else _quoted(word)


def _any_of(terms: Sequence[str]) -> ColumnElement[Any]:
    return func.to_tsquery(_SIMPLE, " | ".join(terms))


def _fit(word: str, alike: Sequence[str]) -> ColumnElement[Any]:
    """Return how well a word fits: 1 exactly, less letter by letter, 0 not at all."""
    fits = [(SearchDocument.words.op("@@")(_any_of([_exactly(word)])), 1.0)]
    if alike:
        fits.append((SearchDocument.words.op("@@")(_any_of([_quoted(known) for known in alike])), ALIKE_FITS))
    return case(*fits, else_=0.0)
