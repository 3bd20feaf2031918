"""Plain rows: written together past the unit of work, and yet as if they had been added to the session."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any, cast

import asyncpg
import psycopg
import pytest
from sqlalchemy import BigInteger, ForeignKey, Table, func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.orm.exc import UnmappedInstanceError

from hanse.database import Database, as_hanse_error
from hanse.errors import Aborted
from hanse.session import Query, Statement, as_plain, insert_plain, insert_rows, plain
from tests.support import MakeDatabase


class Base(DeclarativeBase):
    pass


class Ship(Base):
    __tablename__ = "ship"

    name: Mapped[str] = mapped_column(primary_key=True)
    tons: Mapped[int | None]


class Crate(Base):
    __tablename__ = "crate"

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    ship: Mapped[str] = mapped_column(ForeignKey("ship.name"))


@pytest.fixture
async def database(make_database: MakeDatabase) -> AsyncIterator[Database]:
    database = Database(make_database())
    async with database.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield database
    await database.close()


def load(session: Session, *numbers: int) -> None:
    """Insert crates before the ship that they refer to."""
    for number in numbers:
        insert_plain(session, plain(Crate, {"number": number, "ship": "Adler"}))
    insert_plain(session, plain(Ship, {"name": "Adler", "tons": 1_200}))


def crates(session: Session) -> int:
    return session.scalars(select(func.count(Crate.number))).one()


async def test_plain_rows_are_written_at_commit_each_table_after_those_that_it_refers_to(database: Database) -> None:
    await database.write(load, 1, 2, 3)
    assert await database.read(crates) == 3


async def test_plain_rows_are_there_for_a_query_of_the_same_transaction(database: Database) -> None:
    def load_and_count(session: Session) -> int:
        load(session, 1, 2)
        return crates(session)

    assert await database.write(load_and_count) == 2


async def test_plain_rows_may_refer_to_objects_that_were_added_after_them(database: Database) -> None:
    def load_and_add(session: Session) -> None:
        insert_plain(session, plain(Crate, {"number": 1, "ship": "Adler"}))
        session.add(Ship(name="Adler"))

    await database.write(load_and_add)
    assert await database.read(crates) == 1


async def test_plain_rows_of_a_transaction_that_fails_are_gone(database: Database) -> None:
    def load_and_fail(session: Session) -> None:
        load(session, 1)
        session.flush()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.write(load_and_fail)
    assert await database.read(crates) == 0


async def test_rows_that_come_first_in_a_transaction_are_not_committed_by_themselves(database: Database) -> None:
    def insert_and_fail(session: Session) -> None:
        insert_rows(session, cast(Table, Ship.__table__), [{"name": "Adler", "tons": None}])
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.write(insert_and_fail)
    assert await database.read(lambda session: session.get(Ship, "Adler")) is None


async def test_a_row_that_is_there_already_is_a_clash_that_has_a_type(database: Database) -> None:
    await database.write(load, 1)

    def load_again(session: Session) -> None:
        session.execute(text("SELECT"))
        load(session, 1)

    with pytest.raises((IntegrityError, asyncpg.UniqueViolationError)) as clash:
        await database.write(load_again)
    assert isinstance(as_hanse_error(clash.value), Aborted)


async def test_a_plain_copy_has_what_its_original_has() -> None:
    copy = as_plain(Ship(name="Adler", tons=7))
    assert (copy.name, copy.tons) == ("Adler", 7)


async def test_a_column_without_a_value_is_none() -> None:
    assert plain(Ship, {"name": "Adler"}).tons is None


async def test_a_plain_object_can_not_be_changed_unnoticed() -> None:
    ship = plain(Ship, {"name": "Adler"})
    with pytest.raises(AttributeError):
        ship.tons = 5
    assert ship.tons is None


async def test_a_plain_object_can_not_be_added_to_the_unit_of_work() -> None:
    with pytest.raises(UnmappedInstanceError):
        Session().add(plain(Ship, {"name": "Adler"}))


# Statements of our own.

SAIL = Statement("INSERT INTO ship (name, tons) SELECT name, :tons FROM unnest(CAST(:names AS text[])) AS sent (name)")
SHIPS = Query("SELECT name, tons FROM ship WHERE tons = :tons ORDER BY name")


async def test_a_statement_takes_its_values_by_name(database: Database) -> None:
    await database.write(lambda session: SAIL.rows(session, names=["Jesus", "Adler"], tons=900))
    ships = await database.read(lambda session: [tuple(ship) for ship in SHIPS.rows(session, tons=900)])
    assert ships == [("Adler", 900), ("Jesus", 900)]


@pytest.mark.parametrize("queried_before", [False, True])
async def test_a_statement_is_undone_with_its_transaction(database: Database, queried_before: bool) -> None:
    def sink(session: Session) -> None:
        if queried_before:
            SHIPS.rows(session, tons=900)
        SAIL.rows(session, names=["Adler"], tons=900)
        SAIL.rows(session, names=["Jesus"], tons=900)
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await database.write(sink)
    assert await database.read(lambda session: SHIPS.rows(session, tons=900)) == []


async def test_a_query_sees_what_its_transaction_has_written(database: Database) -> None:
    def sail(session: Session) -> int:
        SAIL.rows(session, names=["Adler"], tons=900)
        return len(SHIPS.rows(session, tons=900))

    assert await database.write(sail) == 1


async def test_a_query_of_sqlalchemys_runs_as_it_would_there(database: Database) -> None:
    await database.write(load, 1, 2)
    joined: Any = select(Crate.number, Ship.tons).join(Ship).where(Ship.name == "Adler").order_by(Crate.number)
    query = Query.of(joined)
    found = await database.read(lambda session: [tuple(row) for row in query.rows(session, name_1="Adler")])
    assert found == [(1, 1_200), (2, 1_200)]


BERTH = Statement("SELECT pg_advisory_xact_lock(CAST(:berth AS bigint))")
MOORED = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7 AND granted"
WAITING = MOORED.replace("AND granted", "AND NOT granted")


def somebody_waits(other: psycopg.Connection[Any]) -> bool:
    for _ in range(400):
        if other.execute(WAITING).fetchone() == (1,):
            return True
        time.sleep(0.01)
    return False


async def test_a_statement_runs_beside_a_block_and_is_over_with_it(database: Database) -> None:
    def moor(session: Session, other: psycopg.Connection[Any]) -> tuple[bool, int]:
        crates(session)
        BERTH.rows(session, berth=8)
        with BERTH.beside(session, berth=7):
            waits = somebody_waits(other)
            other.execute("SELECT pg_advisory_unlock(7)")
        return waits, session.scalars(text(MOORED)).one()

    with psycopg.connect(database.url, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(7)")
        assert await database.write(moor, other) == (True, 1)


async def test_what_goes_wrong_with_a_statement_beside_a_block_is_raised_after_it_and_undoes_all(
    database: Database,
) -> None:
    shoals, passed = Statement("SELECT 1 / CAST(:depth AS integer)"), []

    def sail(session: Session) -> None:
        load(session, 1)
        session.flush()
        with shoals.beside(session, depth=0):
            passed.append("the block")

    with pytest.raises(asyncpg.DivisionByZeroError):
        await database.write(sail)
    assert passed == ["the block"]
    assert await database.read(crates) == 0
