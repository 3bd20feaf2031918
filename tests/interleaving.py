"""Two transactions at a time, in an order that a busy machine takes once in a while."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from sqlalchemy import text
from sqlalchemy.orm import Session
from sqlalchemy.util import await_only

from hanse.database import Database

First = TypeVar("First")
Second = TypeVar("Second")

WAIT_SECONDS = 30.0
LOOK_SECONDS = 0.02
_WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")


async def interleaved(
    database: Database, first: Callable[[Session], First], second: Callable[[], Coroutine[Any, Any, Second]]
) -> tuple[First, Second]:
    """Begin `second` while the transaction of `first` is open, and commit that when `second` waits for it, or is over.

    Returns what both return.
    """
    begun: list[asyncio.Task[Second]] = []

    def held(session: Session) -> First:
        done = first(session)
        session.flush()
        begun.append(asyncio.ensure_future(second()))
        await_only(_until_it_waits(database, begun[0]))
        return done

    done = await database.write(held)
    return done, await begun[0]


async def _until_it_waits(database: Database, task: asyncio.Task[Any]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        # What is waited for happens in PostgreSQL.
        while not task.done() and not await database.read(lambda session: session.scalar(_WAITING)):  # noqa: ASYNC110
            await asyncio.sleep(LOOK_SECONDS)
