"""Writers of a unit's log as the services of a busy unit are: transactions that overlap, linger and roll back."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from random import Random
from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.orm import Session
from sqlalchemy.util import await_only

from hanse.clock import utc_now
from hanse.database import DATABASE_ERRORS, Database
from hanse.log.append import append
from hanse.log.events import Origin, new_event
from hanse.names import new_id, stream_name
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.model import SCHEMA
from tests.faults.history import History, Operation, Outcome, Request

OPEN_TICKETS = 20
"""How many tickets all writers work on at a time: few, so that several of them write about one ticket at once."""
BULK_RECORDS = 1_000
"""How many records of a backlog share a transaction."""


@dataclass(frozen=True, slots=True)
class Habits:
    """How the writers behave."""

    writers: int = 4
    rolled_back: float = 0.0
    """The share of transactions that are rolled back after they have appended."""
    lingering: float = 0.0
    """The share of transactions that stay open for a while before they append and commit."""
    linger_seconds: float = 2.0
    holding: float = 0.0
    """The share that stays open between the append and COMMIT, with the head's lock held."""
    hold_seconds: float = 0.2
    rate: float | None = None
    """Transactions a second of all writers together, at most; as fast as they can where None."""


class _RollBack(Exception):  # noqa: N818 - it is meant.
    """The transaction changes its mind."""


@dataclass
class Writers:
    """Append to a unit's ticket log, and write down what became of it."""

    database: Database
    unit: str
    seed: int
    history: History
    habits: Habits = Habits()
    _open: deque[str] = field(default_factory=lambda: deque(maxlen=OPEN_TICKETS))

    async def write(self, transactions: int) -> None:
        """Write so many transactions, the writers side by side."""
        shares = [transactions // self.habits.writers] * self.habits.writers
        shares[0] += transactions - sum(shares)
        await asyncio.gather(*(self._writer(number, share) for number, share in enumerate(shares)))

    async def _writer(self, number: int, transactions: int) -> None:
        random = Random(f"{self.seed} {self.unit} {number}")  # noqa: S311 - it only has to be the same again.
        pause = self.habits.writers / self.habits.rate if self.habits.rate else 0.0
        next_turn = time.monotonic()
        for index in range(transactions):
            if index % 5 == 0 or not self._open:
                ticket = f"{self.unit}/tickets/{new_id()}"
                if await self._transaction(random, Request.OPEN, ticket):
                    self._open.append(ticket)
            else:
                await self._transaction(random, Request.COMMENT, random.choice(self._open))
            next_turn += pause
            await asyncio.sleep(max(0.0, next_turn - time.monotonic()))

    async def _transaction(self, random: Random, kind: Request, ticket: str) -> bool:
        request_id = str(uuid4())
        start, outcome, reason = time.monotonic(), Outcome.OK, ""
        try:
            await self.database.write(self._append, random, kind, ticket, request_id)
        except _RollBack:
            outcome, reason = Outcome.FAILED, "ROLLED_BACK"
        except DATABASE_ERRORS as error:
            outcome, reason = Outcome.UNKNOWN, type(error).__name__
        end = time.monotonic()
        self.history.add(Operation(kind, self.unit, request_id, ticket, outcome, start, end, 0, reason))
        return outcome is Outcome.OK

    def _append(self, session: Session, random: Random, kind: Request, ticket: str, request_id: str) -> None:
        habits = self.habits
        lingers, holds, changes_mind = (
            random.random() < share for share in (habits.lingering, habits.holding, habits.rolled_back)
        )
        # A transaction begins with its first statement.
        session.execute(text("SELECT 1"))
        if lingers:
            await_only(asyncio.sleep(habits.linger_seconds))
        payload = getattr(told, kind)(ticket=_summary(ticket, self.unit))
        entry = new_event(Origin(self.unit, f"{self.unit}/agents/writer", request_id), ticket, payload, utc_now())
        append(session, SCHEMA.log, stream_name(self.unit, SCHEMA.name), [entry])
        if holds:
            await_only(asyncio.sleep(habits.hold_seconds))
        if changes_mind:
            raise _RollBack


async def write_openings(database: Database, unit: str, count: int) -> None:
    """Append the openings of many tickets to a unit's log, many in one transaction: a backlog, soon there."""
    for begun in range(0, count, BULK_RECORDS):
        await database.write(_append_openings, unit, min(BULK_RECORDS, count - begun))


def _append_openings(session: Session, unit: str, count: int) -> None:
    origin, entries = Origin(unit, f"{unit}/agents/writer"), []
    for _ in range(count):
        name = f"{unit}/tickets/{new_id()}"
        entries.append(new_event(origin, name, told.TicketOpened(ticket=_summary(name, unit)), utc_now()))
    append(session, SCHEMA.log, stream_name(unit, SCHEMA.name), entries)


def _summary(ticket: str, unit: str) -> pb.TicketSummary:
    summary = pb.TicketSummary(name=ticket, state=pb.NEW, priority=pb.P3, category="display", tier=1, holder=unit)
    summary.open_time.FromDatetime(utc_now())
    return summary
