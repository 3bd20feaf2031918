"""The checker finds what is wrong, and nothing where all is well; on histories and snapshots that are made up."""

from __future__ import annotations

import struct
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf.message import Message
from google.type.money_pb2 import Money

from hanse.names import HEADQUARTERS
from hanse_protos.log.v1.log_pb2 import Event
from hanse_protos.settlement.v1 import settlement_pb2
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from tests.faults.checker import What, check
from tests.faults.history import Operation, Outcome, Request
from tests.faults.snapshot import (
    FEDERATION,
    ChargeLeg,
    EngagementRow,
    GroupViews,
    LedgerEntry,
    Place,
    Record,
    Snapshot,
    UnitSnapshot,
)

SHANGHAI = "units/shanghai"
TICKET = f"{SHANGHAI}/tickets/a"
STREAM = f"{SHANGHAI}/streams/ticket"
ENGAGEMENT = f"{TICKET}/engagements/e1"
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def record_of(payload: Message, resource: str, request_id: str) -> Record:
    """Return a fact that has no place yet."""
    event = Event(
        event_id=str(uuid4()),
        unit=SHANGHAI,
        resource=resource,
        type=payload.DESCRIPTOR.full_name,
        payload=payload.SerializeToString(),
        request_id=request_id,
    )
    event.occur_time.FromDatetime(NOON)
    return Record(1, 0, b"", event.event_id, resource, payload.DESCRIPTOR.name, event.SerializeToString())


def chained(stream: str, records: list[Record]) -> list[Record]:
    """Give facts their places in a stream."""
    placed, previous = [], b""
    for sequence, record in enumerate(records, 1):
        packed = struct.pack(">iq", 1, sequence)
        previous = sha256(previous + stream.encode() + b"\0" + packed + record.event).digest()
        placed.append(record._replace(sequence=sequence, hash=previous))
    return placed


class World:
    """A unit that has opened a ticket and commented on it, and headquarters that knows it. All is well at first."""

    def __init__(self) -> None:
        self.summary = pb.TicketSummary(name=TICKET, state=pb.NEW)
        requests = [str(uuid4()), str(uuid4())]
        opened = record_of(told.TicketOpened(ticket=self.summary), TICKET, requests[0])
        commented = record_of(told.TicketCommented(ticket=self.summary), TICKET, requests[1])
        self.unit, self.hq = _empty(SHANGHAI), _empty(HEADQUARTERS)
        self.views = GroupViews(tickets={TICKET: (self.summary.SerializeToString(), NOON)})
        self.unit.requests["ticket"] = set(requests)
        self.unit.tickets = {TICKET}
        self.operations = [
            Operation(Request.OPEN, SHANGHAI, requests[0], TICKET, Outcome.OK, 1.0, 2.0),
            Operation(Request.COMMENT, SHANGHAI, requests[1], TICKET, Outcome.OK, 3.0, 4.0),
        ]
        self.write([opened, commented])
        self.copy()

    def write(self, records: list[Record], schema: str = "ticket") -> None:
        """Have the unit's stream hold these facts, and its witness take the ticket's."""
        stream = f"{SHANGHAI}/streams/{schema}"
        placed = chained(stream, records)
        self.unit.streams[schema, stream] = placed
        self.unit.heads[schema, stream] = Place(1, len(placed), placed[-1].hash)
        if schema == "ticket":
            self.unit.witnessed = [record.event_id for record in placed]

    def copy(self, schema: str = "ticket") -> None:
        """Have headquarters hold the same."""
        stream = f"{SHANGHAI}/streams/{schema}"
        self.hq.streams[FEDERATION, stream] = list(self.unit.streams[schema, stream])
        self.hq.heads[FEDERATION, stream] = self.unit.heads[schema, stream]

    @property
    def records(self) -> list[Record]:
        """The unit's ticket stream."""
        return self.unit.streams["ticket", STREAM]

    def found(self) -> set[What]:
        """Return what the checker finds."""
        snapshot = Snapshot({HEADQUARTERS: self.hq, SHANGHAI: self.unit}, self.views)
        return {problem.what for problem in check(self.operations, snapshot)}


def _empty(unit: str) -> UnitSnapshot:
    schemas = ("ticket", "knowledge", "settlement", "policy", FEDERATION)
    snapshot = UnitSnapshot(unit, witnessed=[])
    snapshot.inbox = {schema: set() for schema in schemas}
    snapshot.requests = {schema: set() for schema in schemas}
    return snapshot


@pytest.fixture
def world() -> World:
    return World()


def test_nothing_is_wrong_where_all_is_well(world: World) -> None:
    assert world.found() == set()


# Commands.


def test_an_acknowledged_command_that_is_not_in_the_log_is_lost(world: World) -> None:
    world.write(world.records[:1])
    world.copy()
    assert world.found() == {What.LOST}


def test_an_acknowledged_command_whose_answer_is_not_kept_is_lost(world: World) -> None:
    world.unit.requests["ticket"].pop()
    assert world.found() == {What.LOST}


def test_a_command_that_is_in_the_log_twice_is_doubled(world: World) -> None:
    again = record_of(told.TicketCommented(ticket=world.summary), TICKET, world.operations[1].request_id)
    world.write([*world.records, again])
    world.copy()
    assert world.found() == {What.DOUBLED}


def test_a_refused_command_that_is_in_the_log_is_a_phantom(world: World) -> None:
    world.operations[1] = replace(world.operations[1], outcome=Outcome.FAILED)
    assert world.found() == {What.PHANTOM}


@pytest.mark.parametrize("is_there", [True, False])
def test_an_unanswered_command_may_be_there_or_not(world: World, is_there: bool) -> None:
    world.operations[1] = replace(world.operations[1], outcome=Outcome.UNKNOWN)
    if not is_there:
        world.write(world.records[:1])
        world.copy()
    assert world.found() == set()


def test_a_command_stands_behind_what_was_acknowledged_before_it_was_sent(world: World) -> None:
    world.write(list(reversed(world.records)))
    world.copy()
    assert world.found() == {What.ORDER}


# Logs.


def test_a_record_that_does_not_follow_is_found(world: World) -> None:
    for holder, schema in ((world.unit, "ticket"), (world.hq, FEDERATION)):
        first, second = holder.streams[schema, STREAM]
        holder.streams[schema, STREAM] = [first._replace(hash=b"x" * 32), second]
    assert world.found() == {What.DIFFERENT}


def test_a_head_that_is_not_the_last_record_is_found(world: World) -> None:
    for holder, schema in ((world.unit, "ticket"), (world.hq, FEDERATION)):
        holder.heads[schema, STREAM] = holder.heads[schema, STREAM]._replace(hash=b"x" * 32)
    assert world.found() == {What.DIFFERENT}


def test_what_has_not_reached_headquarters_is_lost(world: World) -> None:
    world.hq.streams[FEDERATION, STREAM] = world.records[:1]
    world.hq.heads[FEDERATION, STREAM] = Place(1, 1, world.records[0].hash)
    assert world.found() == {What.LOST}


def test_an_acknowledgement_of_what_headquarters_does_not_have_is_found(world: World) -> None:
    world.unit.acknowledged[STREAM] = Place(1, 3, b"")
    assert world.found() == {What.LOST}


def test_a_stream_in_quarantine_is_found(world: World) -> None:
    world.unit.quarantined = {STREAM}
    assert world.found() == {What.DIFFERENT}


# Telling.


def test_a_fact_that_was_never_told_is_lost(world: World) -> None:
    world.unit.witnessed = [world.records[0].event_id]
    assert world.found() == {What.LOST}


def test_a_fact_that_took_effect_twice_is_doubled(world: World) -> None:
    world.unit.witnessed = [record.event_id for record in [*world.records, world.records[1]]]
    assert world.found() == {What.DOUBLED}


def test_facts_about_a_ticket_that_took_effect_the_other_way_round_are_found(world: World) -> None:
    world.unit.witnessed = [record.event_id for record in reversed(world.records)]
    assert world.found() == {What.ORDER}


def test_a_fact_that_a_service_never_took_is_lost(world: World) -> None:
    delivered = told.EngagementDelivered(engagement=pb.EngagementSummary(name=ENGAGEMENT))
    world.write([*world.records, record_of(delivered, ENGAGEMENT, "")])
    world.copy()
    assert world.found() == {What.LOST}


def test_a_dead_letter_is_found(world: World) -> None:
    world.unit.dead_letters = ["it did not work"]
    assert world.found() == {What.BURIED}


def test_what_is_not_told_in_a_unit_without_reactions_is_not_missed(world: World) -> None:
    world.unit.witnessed, world.unit.reacts = [], False
    assert world.found() == set()


# Views and ledgers.


def test_a_view_that_lacks_a_ticket_is_found(world: World) -> None:
    world.views.tickets.clear()
    assert world.found() == {What.LOST}


def test_a_view_that_has_a_ticket_otherwise_is_found(world: World) -> None:
    other = pb.TicketSummary(name=TICKET, state=pb.CLOSED)
    world.views.tickets[TICKET] = (other.SerializeToString(), NOON)
    assert world.found() == {What.DIFFERENT}


def test_a_view_that_has_a_ticket_which_nobody_opened_is_found(world: World) -> None:
    world.views.tickets[f"{SHANGHAI}/tickets/b"] = (b"", NOON)
    assert world.found() == {What.PHANTOM}


def test_an_engagement_that_its_home_knows_otherwise_is_found(world: World) -> None:
    world.views.engagements[ENGAGEMENT] = EngagementRow("ACCEPTED", "units/munich")
    world.unit.engagements[ENGAGEMENT] = EngagementRow("OFFERED", "units/munich")
    assert world.found() == {What.DIFFERENT}


def settle(world: World, *, earned: int = 12_000, credit: int = 12_000) -> None:
    """Have Shanghai owe headquarters 120 EUR for an engagement, both sides posted, and both legs known."""
    name = "charges/shanghai.a.e1"
    amount = Money(currency_code="EUR", units=120)
    posted: list[Any] = []
    for unit, leg, value in ((world.unit, "PAYABLE", 12_000), (world.hq, "RECEIVABLE", earned)):
        unit.charges = [ChargeLeg(name, leg, SHANGHAI, HEADQUARTERS, "EUR", value)]
        entry = LedgerEntry(1, name, leg, "debited", "EUR", value, 0)
        unit.entries = [entry, entry._replace(account="credited", debit=0, credit=min(value, credit))]
        charge = settlement_pb2.Charge(name=name, leg=settlement_pb2.Leg.Value(leg), amount=amount)
        posted.append(record_of(settlement_pb2.ChargePosted(charge=charge), name, ""))
    world.write(posted[:1], "settlement")
    world.copy("settlement")
    stream = f"{HEADQUARTERS}/streams/settlement"
    placed = chained(stream, posted[1:])
    for schema in ("settlement", FEDERATION):
        world.hq.streams[schema, stream] = placed
        world.hq.heads[schema, stream] = Place(1, 1, placed[-1].hash)
    world.views.charges = {name: (amount.SerializeToString(), amount.SerializeToString())}


def test_ledgers_that_add_up_pass(world: World) -> None:
    settle(world)
    assert world.found() == set()


def test_a_journal_whose_debits_are_not_its_credits_is_found(world: World) -> None:
    settle(world, credit=11_999)
    assert world.found() == {What.UNBALANCED}


def test_two_sides_of_different_sums_are_found(world: World) -> None:
    settle(world, earned=11_000)
    assert world.found() == {What.UNBALANCED}


def test_a_confirmed_engagement_that_nobody_posted_is_lost(world: World) -> None:
    summary = pb.EngagementSummary(name=ENGAGEMENT, home=SHANGHAI, provider=HEADQUARTERS)
    confirmed = record_of(told.EngagementConfirmed(engagement=summary), ENGAGEMENT, "")
    world.write([*world.records, confirmed])
    world.unit.inbox["settlement"] = {confirmed.event_id}
    world.copy()
    assert world.found() == {What.LOST}
