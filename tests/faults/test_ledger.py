"""The ledgers under fire: whatever comes twice, late, out of order or half, both sides post once and the sums agree.

Hypothesis plays a confirmed engagement's way: it is posted at home and at the provider by the real effect through the
real inbox, and told to headquarters in the real frames, which the hub's own code absorbs; on real databases. Between
steps it crashes them before COMMIT, repeats them, holds a line back, and sends what was already sent.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from hanse.clock import utc_now
from hanse.database import Database
from hanse.errors import LogGap
from hanse.log.append import Head
from hanse.migrations import service_migrations
from hanse.names import stream_name
from hanse.policy.store import PolicyStore
from hanse.telling.inbox import Inbox
from hanse_federation.headquarters.absorbing import absorb, opening_from_unit
from hanse_federation.link.batches import end_of
from hanse_federation.link.receiving import at_once
from hanse_federation.link.sending import Source, everything, read_batches
from hanse_federation.model import SCHEMA as FEDERATION
from hanse_protos.federation.v1.link_pb2 import RecordBatch
from hanse_protos.log.v1.log_pb2 import Event, LogRecord
from hanse_protos.ticket.v1.events_pb2 import EngagementConfirmed
from hanse_protos.ticket.v1.ticket_pb2 import EngagementState, EngagementSummary, Priority, TicketSummary
from hanse_services.settlement.commands import EFFECTS
from hanse_services.settlement.model import SCHEMA
from tests.support import MakeDatabase, record_of, small_policy

SHANGHAI, MUNICH = "units/shanghai", "units/munich"
SIDES = (SHANGHAI, MUNICH)
PRIORITIES = (Priority.P1, Priority.P2)
"""The small policy has one rate in euros for P1 and one in yuan for the rest."""
EXAMPLES = int(os.environ.get("HANSE_FAULTS_EXAMPLES", "8"))
"""How many games are played; each has three fresh databases."""
STEPS = 30


class Crash(Exception):  # noqa: N818 - it is meant.
    """The process dies before COMMIT."""


class Side:
    """One unit's ledger, and headquarters' copy of what it tells."""

    def __init__(self, unit: str, url: str) -> None:
        self.unit, self.database = unit, Database(url)
        self.stream = stream_name(unit, SCHEMA.name)
        self.waiting: list[LogRecord] = []
        """What its broker holds, in no order that can be relied on."""
        self.taken: list[LogRecord] = []
        """What was applied, and may come again."""
        self.sent: list[RecordBatch] = []
        """What was sent to headquarters, and may come again."""
        self.head = Head(1, 0, b"")
        """How far it has sent."""
        self.is_cut = False


def _apply(session: Session, inbox: Inbox, record: LogRecord, crashes: bool) -> None:
    inbox.apply(session, record, lambda work, fact: EFFECTS[type(fact.payload)](work, fact))
    if crashes:
        raise Crash


def _absorb(session: Session, unit: str, batch: RecordBatch, crashes: bool) -> None:
    absorb(session, [at_once(opening_from_unit(unit, batch))], PolicyStore(FEDERATION), utc_now)
    if crashes:
        raise Crash


class Ledgers(RuleBasedStateMachine):
    """Two units that settle engagements, and headquarters that knows of it."""

    make_world: Callable[[], tuple[asyncio.Runner, dict[str, Side], Database]]
    numbers = count(1)

    def __init__(self) -> None:
        super().__init__()
        self.runner, self.sides, self.headquarters = type(self).make_world()
        self.confirmed: dict[str, int] = {}

    def _run(self, database: Database, change: Callable[..., Any], *arguments: Any) -> Any:
        return self.runner.run(database.write(change, *arguments))

    @rule(priority=st.sampled_from(PRIORITIES))
    def confirm(self, priority: Any) -> None:
        """The home unit confirms: both sides will be told."""
        name = f"{SHANGHAI}/tickets/t{next(Ledgers.numbers)}"
        summary = TicketSummary(name=name, priority=priority, category="display", language="zh", tier=2)
        engagement = EngagementSummary(
            name=f"{name}/engagements/e1",
            state=EngagementState.CONFIRMED,
            home=SHANGHAI,
            provider=MUNICH,
            offer=1,
            ticket=summary,
            policy_version=1,
        )
        record = record_of(EngagementConfirmed(engagement=engagement), engagement.name, unit=SHANGHAI)
        self.confirmed[engagement.name] = priority
        for side in self.sides.values():
            side.waiting.append(record)

    @rule(unit=st.sampled_from(SIDES), crashes=st.booleans(), data=st.data())
    def post(self, unit: str, crashes: bool, data: st.DataObject) -> None:
        """A side takes one of the facts that wait for it, in any order; if it crashes, the fact comes again."""
        side = self.sides[unit]
        if not side.waiting:
            return
        record = data.draw(st.sampled_from(side.waiting))
        try:
            self._run(side.database, _apply, Inbox(SCHEMA, unit), record, crashes)
        except Crash:
            return
        side.waiting.remove(record)
        side.taken.append(record)

    @rule(unit=st.sampled_from(SIDES), data=st.data())
    def deliver_again(self, unit: str, data: st.DataObject) -> None:
        """The broker delivers what was applied."""
        side = self.sides[unit]
        if side.taken:
            self._run(side.database, _apply, Inbox(SCHEMA, unit), data.draw(st.sampled_from(side.taken)), False)

    @rule(unit=st.sampled_from(SIDES), crashes=st.booleans(), limit=st.integers(1, 3))
    def send(self, unit: str, crashes: bool, limit: int) -> None:
        """A side sends what is new to headquarters; if headquarters crashes, it is sent again."""
        if not self.sides[unit].is_cut:
            self._send(self.sides[unit], limit, crashes=crashes)

    def _send(self, side: Side, limit: int, *, crashes: bool = False) -> None:
        read = self._run(side.database, next_batch, Source(SCHEMA.log, side.stream), side.head, limit)
        if read is None:
            return
        batch, head = read
        try:
            self._run(self.headquarters, _absorb, side.unit, batch, crashes)
        except Crash:
            return
        side.head = head
        side.sent.append(batch)

    @rule(unit=st.sampled_from(SIDES), data=st.data())
    def send_again(self, unit: str, data: st.DataObject) -> None:
        """An acknowledgement got lost: headquarters gets what it has."""
        if self.sides[unit].sent:
            batch = data.draw(st.sampled_from(self.sides[unit].sent))
            self._run(self.headquarters, _absorb, unit, batch, False)

    @rule(unit=st.sampled_from(SIDES))
    def send_out_of_order(self, unit: str) -> None:
        """A batch that leaves a gap is refused, and changes nothing."""
        side = self.sides[unit]
        source = Source(SCHEMA.log, side.stream)
        first = self._run(side.database, next_batch, source, side.head, 1)
        second = first and self._run(side.database, next_batch, source, first[1], 1)
        if second:
            with pytest.raises(LogGap):
                self._run(self.headquarters, _absorb, unit, second[0], False)

    @rule(unit=st.sampled_from(SIDES))
    def cut(self, unit: str) -> None:
        """Nothing reaches headquarters for a while."""
        self.sides[unit].is_cut = True

    @rule(unit=st.sampled_from(SIDES))
    def heal(self, unit: str) -> None:
        """The line is back."""
        self.sides[unit].is_cut = False

    @precondition(lambda self: any(side.taken for side in self.sides.values()))
    @rule(unit=st.sampled_from(SIDES), table=st.sampled_from(("entry", "journal", "charge")))
    def alter(self, unit: str, table: str) -> None:
        """Somebody tries to change what is posted."""
        side = self.sides[unit]
        if not side.taken:
            return
        for statement in (f"DELETE FROM settlement.{table}", f"UPDATE settlement.{table} SET {_SAME[table]}"):  # noqa: S608
            with pytest.raises(DBAPIError):
                self._run(side.database, lambda session, sql: session.execute(text(sql)), statement)

    @invariant()
    def debits_are_credits(self) -> None:
        """In every ledger and currency, and in every journal."""
        for side in self.sides.values():
            rows = self._run(side.database, lambda session: session.execute(text(_DIFFERENCES)).all())
            assert rows == []

    @invariant()
    def what_was_applied_is_posted_once(self) -> None:
        """A side has a leg for every fact that it has taken, and no other."""
        for side in self.sides.values():
            rows = self._run(side.database, lambda session: session.execute(text(_LEGS)).all())
            names = Counter(name for [name] in rows)
            assert names == Counter(record_name(record) for record in side.taken)

    def teardown(self) -> None:
        """Let everything arrive: both sides have posted the same sums, and headquarters knows their sum."""
        try:
            for side in self.sides.values():
                side.is_cut = False
                while side.waiting:
                    record = side.waiting.pop()
                    self._run(side.database, _apply, Inbox(SCHEMA, side.unit), record, False)
                    side.taken.append(record)
                while self._unsent(side):
                    self._send(side, 100)
            sums = [self._sums(side) for side in self.sides.values()]
            assert sums[0] == sums[1]
            known = self._run(self.headquarters, lambda session: session.execute(text(_MATCHED)).all())
            assert len(known) == len(self.confirmed)
            assert all(payable == receivable is not None for payable, receivable in known)
        finally:
            for database in (*(side.database for side in self.sides.values()), self.headquarters):
                self.runner.run(database.close())

    def _unsent(self, side: Side) -> bool:
        source = Source(SCHEMA.log, side.stream)
        return self._run(side.database, next_batch, source, side.head, 1) is not None

    def _sums(self, side: Side) -> dict[str, int]:
        rows = self._run(side.database, lambda session: session.execute(text(_SUMS)).all())
        return {currency: int(total) for currency, total in rows}


def next_batch(session: Session, source: Source, head: Head, limit: int) -> tuple[RecordBatch, Head] | None:
    """Return what a unit would send next, and where the stream ends with it."""
    batches = read_batches(session, source, head, limit, everything).batches
    return (batches[0], end_of(batches[0])) if batches else None


def record_name(record: LogRecord) -> str:
    """Return the name of the engagement that a fact confirms."""
    return Event.FromString(record.event).resource


_SAME = {"entry": "line = line", "journal": "charge = charge", "charge": "amount = amount"}
_DIFFERENCES = (
    "SELECT journal, currency FROM settlement.entry GROUP BY journal, currency HAVING sum(debit) <> sum(credit)"
)
_LEGS = "SELECT engagement FROM settlement.charge JOIN settlement.journal ON charge = name AND journal.leg = charge.leg"
_SUMS = "SELECT currency, sum(amount) FROM settlement.charge GROUP BY currency"
_MATCHED = "SELECT payable, receivable FROM federation.group_charge"


@pytest.fixture
def make_world(make_database: MakeDatabase) -> Iterator[Callable[[], tuple[asyncio.Runner, dict[str, Side], Database]]]:
    """Return a function that makes fresh databases for each example."""
    with asyncio.Runner() as runner:

        def make() -> tuple[asyncio.Runner, dict[str, Side], Database]:
            sides = {unit: Side(unit, make_database(service_migrations("hanse_services.settlement"))) for unit in SIDES}
            headquarters = Database(make_database(service_migrations("hanse_federation")))
            for side in sides.values():
                runner.run(side.database.write(PolicyStore(SCHEMA).enact, small_policy()))
            return runner, sides, headquarters

        yield make


@pytest.mark.timeout(120 + 60 * EXAMPLES)
def test_the_ledgers_agree_whatever_crashes_repeats_or_comes_late(
    make_world: Callable[[], tuple[asyncio.Runner, dict[str, Side], Database]],
) -> None:
    machine = type("Ledgers", (Ledgers,), {"make_world": staticmethod(make_world)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
        ),
    )
