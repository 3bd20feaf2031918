"""A ticket's history, read from its events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from google.protobuf.message import Message

from hanse.log.events import Origin, new_event
from hanse.log.follow import StoredRecord
from hanse.policy.what_if import Stretch
from hanse_federation.headquarters.histories import Histories, TicketHistory
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as pb

SHANGHAI, MUNICH = "units/shanghai", "units/munich"
NAME = f"{SHANGHAI}/tickets/a"
START = datetime(2026, 3, 2, 8, tzinfo=UTC)
AGENT, PARTNER = f"{SHANGHAI}/agents/li", "partners/acme"


def at(minutes: int) -> datetime:
    return START + timedelta(minutes=minutes)


def ticket(state: pb.TicketState.ValueType, holder: str = SHANGHAI) -> pb.TicketSummary:
    return pb.TicketSummary(name=NAME, state=state, holder=holder, priority=pb.P2)


def history(*facts: tuple[int, Message], actor: str = AGENT) -> TicketHistory:
    histories = Histories()
    records = []
    for sequence, (minutes, payload) in enumerate(facts, start=1):
        entry = new_event(Origin(SHANGHAI, actor, policy_version=4), NAME, payload, at(minutes), {})
        stream = f"{SHANGHAI}/streams/ticket"
        records.append(StoredRecord(stream, 1, sequence, b"", entry.type, NAME, entry.event, None))
    histories.take_all(records)
    return histories.by_ticket[NAME]


OPENED = (0, told.TicketOpened(ticket=ticket(pb.NEW)))
SOLVED = (50, told.TicketResolved(ticket=ticket(pb.RESOLVED)))


def test_a_wait_is_a_stretch_of_its_own() -> None:
    found = history(
        OPENED,
        (10, told.TicketPaused(ticket=ticket(pb.WAITING))),
        (30, told.TicketResumed(ticket=ticket(pb.IN_PROGRESS))),
        SOLVED,
    )
    assert found.stretches == [
        Stretch(SHANGHAI, True, at(0), at(10)),
        Stretch(SHANGHAI, False, at(10), at(30)),
        Stretch(SHANGHAI, True, at(30), at(50)),
    ]
    assert (found.resolve_time, found.policy_version) == (at(50), 4)


def test_a_hand_over_is_a_stretch_of_the_taker() -> None:
    found = history(OPENED, (10, told.TicketHandedOver(ticket=ticket(pb.IN_PROGRESS, MUNICH))))
    assert found.stretches == [Stretch(SHANGHAI, True, at(0), at(10)), Stretch(MUNICH, True, at(10), None)]


def test_what_changes_neither_holder_nor_wait_begins_no_stretch() -> None:
    found = history(OPENED, (10, told.TicketAssigned(ticket=ticket(pb.IN_PROGRESS))))
    assert found.stretches == [Stretch(SHANGHAI, True, at(0), None)]


def test_a_solution_counts_from_when_it_was_found_and_not_from_the_closing() -> None:
    assert history(OPENED, SOLVED, (90, told.TicketClosed(ticket=ticket(pb.CLOSED)))).resolve_time == at(50)


def test_a_solution_that_did_not_hold_is_none() -> None:
    found = history(OPENED, SOLVED, (60, told.TicketReopened(ticket=ticket(pb.IN_PROGRESS))))
    assert (found.resolve_time, found.stretches[-1]) == (None, Stretch(SHANGHAI, True, at(60), None))


def test_what_is_told_late_of_an_earlier_time_makes_no_stretch_shorter_than_nothing() -> None:
    found = history((10, told.TicketOpened(ticket=ticket(pb.NEW))), (0, told.TicketPaused(ticket=ticket(pb.WAITING))))
    assert found.stretches == [Stretch(SHANGHAI, True, at(10), at(10)), Stretch(SHANGHAI, False, at(10), None)]


def test_the_first_public_comment_of_the_desk_is_the_answer() -> None:
    inside = (5, told.TicketCommented(ticket=ticket(pb.NEW), public=False))
    outside = (8, told.TicketCommented(ticket=ticket(pb.NEW), public=True))
    assert history(OPENED, inside, outside, (9, outside[1])).response_time == at(8)


def test_a_customer_s_own_comment_is_no_answer() -> None:
    outside = (8, told.TicketCommented(ticket=ticket(pb.NEW), public=True))
    assert history(OPENED, outside, actor=PARTNER).response_time is None


def test_an_event_of_a_ticket_whose_opening_is_not_there_is_passed_over() -> None:
    histories = Histories()
    entry = new_event(Origin(SHANGHAI, AGENT), NAME, SOLVED[1], at(0), {})
    histories.take_all([StoredRecord("", 1, 1, b"", entry.type, NAME, entry.event, None)])
    assert histories.by_ticket == {}
