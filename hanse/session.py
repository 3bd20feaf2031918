"""SQLAlchemy's session, which also writes many new rows at once, past its unit of work, and statements of our own.

An object of the ORM is watched: each attribute that is set raises events, and a flush looks for what has changed. Where
a row is only made, written and forgotten, that is most of what it costs. Such a row is a `plain` object. The
session gathers them, and writes those that came together with one COPY per table: at the next flush, so before any
query of the ORM, and at the latest at COMMIT, as it does with what was added.

What every transaction does, like moving the head of a stream, is a `Statement`: PostgreSQL's own words, which go to the
driver past SQLAlchemy's compiler and results, for half of the time.
"""

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from types import FunctionType
from typing import Any, TypeVar, cast

import asyncpg
from sqlalchemy import Column, Select, Table, event, insert, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.schema import sort_tables
from sqlalchemy.util import await_only

Mapped = TypeVar("Mapped", bound=DeclarativeBase)


class _Plain:
    """A row that nobody watches: its columns are plain attributes, which are read in a fraction of the time."""

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name} of a plain row can't be changed: make another one")


def plain(kind: type[Mapped], values: Mapping[str, Any]) -> Mapped:
    """Return an object like one of a mapped class that the ORM does not know; columns without a value are None.

    It can be read as any other. Its attributes can't be set; it follows no relationship but one that is among the
    values; and SQLAlchemy refuses to add it.
    """
    of_kind = _plain_class(kind)
    row: Mapped = object.__new__(of_kind)
    vars(row).update(_without_values(kind), **values)
    return row


@lru_cache(maxsize=1024)
def _plain_class(kind: type[Any]) -> type[Any]:
    """Return the class of plain rows of a mapped class: with all its methods, without what watches its attributes."""
    if issubclass(kind, _Plain):
        return kind
    methods = {
        name: member
        for owner in reversed(kind.__mro__)
        for name, member in vars(owner).items()
        if isinstance(member, FunctionType) and name[0] != "_"
    }
    return type(kind.__name__, (_Plain,), {**methods, "__table__": kind.__table__})


@lru_cache(maxsize=1024)
def _without_values(kind: type[DeclarativeBase]) -> Mapping[str, None]:
    return dict.fromkeys(_table(kind).columns.keys())


def as_plain(row: Mapped) -> Mapped:
    """Return a plain copy of an object."""
    return plain(type(row), {name: getattr(row, name) for name in _without_values(type(row))})


def _table(kind: type[DeclarativeBase]) -> Table:
    return cast("Table", kind.__table__)


class UnitSession(Session):
    """A session that gathers plain rows until its next flush."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._later: dict[Table, list[Mapping[str, Any]]] = {}

    def insert_later(self, table: Table, values: Mapping[str, Any]) -> None:
        """Insert a row at the next flush."""
        self._later.setdefault(table, []).append(values)

    def flush(self, objects: Sequence[Any] | None = None) -> None:
        """Write what was added and changed; plain rows come last, since they may refer to new objects."""
        super().flush(objects)
        if not self._later:
            return
        later, self._later = self._later, {}
        for table in sort_tables(later):
            insert_rows(self, table, later[table])


@event.listens_for(UnitSession, "before_commit")
def _write_what_is_left(session: UnitSession) -> None:
    session.flush()


def insert_plain(session: Session, row: DeclarativeBase) -> None:
    """Insert a plain object: with others, where the session gathers them."""
    if isinstance(session, UnitSession):
        session.insert_later(_table(type(row)), vars(row))
    else:
        session.execute(insert(_table(type(row))), vars(row))


class Statement:
    """A statement that is run so often that building it counts, with its parameters as `:name`.

    The types of parameters are PostgreSQL's to see, so most need a CAST.
    """

    def __init__(self, words: str) -> None:
        self._clause = text(words)
        self._names = _PARAMETER.findall(words)
        numbers = iter(range(1, len(self._names) + 1))
        self._words = _PARAMETER.sub(lambda _: f"${next(numbers)}", words)

    def rows(self, session: Session, **values: Any) -> Sequence[Any]:
        """Run it in the session's transaction, and return what it returns."""
        if driver := self._driver(session):
            found: Sequence[Any] = await_only(driver.fetch(self._words, *map(values.get, self._names)))
            return found
        result: Any = session.execute(self._clause, values)
        return result.all() if result.returns_rows else []

    @contextmanager
    def beside(self, session: Session, **values: Any) -> Iterator[None]:
        """Run it while a block computes: PostgreSQL and Python work at the same time.

        The block asks the database nothing. The statement is over with it; what goes wrong with it is raised then, and
        what it returns is dropped. Where a connection runs it for the first time they take turns.
        """
        driver = self._driver(session)
        if driver is None:
            session.execute(self._clause, values)
            yield
            return
        running = asyncio.ensure_future(driver.fetch(self._words, *map(values.get, self._names)))
        try:
            # It is sent now: a block that computes lets nobody else have a turn.
            await_only(asyncio.sleep(0))
            yield
        finally:
            await_only(running)

    def _driver(self, session: Session) -> Any:
        return transacting(session)


class Query(Statement):
    """A statement that reads and locks nothing: where there is no transaction yet it begins none, which saves two round
    trips in a session that only reads."""

    @classmethod
    def of(cls, query: Select[Any]) -> "Query":
        """Return a query of SQLAlchemy's in words."""
        dialect: Any = postgresql.dialect
        return cls(str(query.compile(dialect=dialect(paramstyle="named"))))

    def _driver(self, session: Session) -> Any:
        driver = _driver_of(session)
        return driver if isinstance(driver, asyncpg.Connection) else None


_PARAMETER = re.compile(r"(?<!:):(\w+)")
"""The name of a parameter; `::` is a cast."""


def transacting(session: Session) -> Any:
    """Return asyncpg's connection where the session has begun its transaction on one, or else None.

    SQLAlchemy begins it with its own first statement; what the driver ran before that would commit by itself.
    """
    driver = _driver_of(session)
    return driver if isinstance(driver, asyncpg.Connection) and driver.is_in_transaction() else None


def _driver_of(session: Session) -> Any:
    return session.connection().connection.driver_connection


def insert_rows(session: Session, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows at once. All name the same columns."""
    driver = transacting(session)
    if driver is None:
        session.execute(insert(table), rows)
        return
    columns = list(rows[0])
    records = _records(session, [table.columns[name] for name in columns], rows)
    await_only(driver.copy_records_to_table(table.name, schema_name=table.schema, columns=columns, records=records))


def _records(
    session: Session, columns: Sequence[Column[Any]], rows: Iterable[Mapping[str, Any]]
) -> Iterator[tuple[Any, ...]]:
    """Yield rows as PostgreSQL takes them: columns of types of our own are converted, as in a statement."""
    dialect = session.get_bind().dialect
    converters = [(column.name, column.type.dialect_impl(dialect).bind_processor(dialect)) for column in columns]
    for row in rows:
        yield tuple(convert(row[name]) if convert else row[name] for name, convert in converters)
