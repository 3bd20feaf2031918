"""Connections of a pool: a broken one is replaced before anybody gets it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

import hanse.database
from hanse.database import Database
from tests.support import MakeDatabase


@pytest.fixture
async def database(make_database: MakeDatabase) -> AsyncIterator[Database]:
    database = Database(make_database(), pool_size=1)
    yield database
    await database.close()


def backend(session: Session) -> int:
    return int(session.execute(text("SELECT pg_backend_pid()")).scalar_one())


def end(url: str, number: int) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("SELECT pg_terminate_backend(%s, 5000)", [number])


async def test_a_connection_that_the_server_has_closed_is_replaced_although_it_was_just_in_use(
    database: Database,
) -> None:
    before = await database.read(backend)
    await asyncio.to_thread(end, database.url, before)
    # The pool is told by the event loop, which has had no turn since.
    await asyncio.sleep(0.05)
    assert await database.read(backend) != before


@pytest.mark.parametrize(("fresh_seconds", "pings"), [(60.0, 0), (0.0, 2)])
async def test_only_a_connection_that_has_rested_is_asked_whether_it_works(
    database: Database, monkeypatch: pytest.MonkeyPatch, fresh_seconds: float, pings: int
) -> None:
    monkeypatch.setattr(hanse.database, "FRESH_SECONDS", fresh_seconds)
    asked: list[object] = []
    dialect = database.engine.sync_engine.dialect
    ping = dialect.do_ping

    def count(connection: object) -> bool:
        asked.append(connection)
        return ping(connection)  # type: ignore[arg-type]

    monkeypatch.setattr(dialect, "do_ping", count)
    backends = {await database.read(backend) for _ in range(3)}
    assert (len(asked), len(backends)) == (pings, 1)
