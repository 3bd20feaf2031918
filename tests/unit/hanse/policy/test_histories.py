"""A ticket's history, read from its events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from hanse.log.events import Origin, new_event
from hanse.log.follow import StoredRecord
from hanse.policy.histories import ENDED, Happening, Histories, TicketHistory
from hanse.times import timestamp
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_protos.ticket.v1.repair_pb2 import Correction, MissedStep, MovedStep

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


def handed_over(to_unit: str) -> told.TicketHandedOver:
    return told.TicketHandedOver(ticket=ticket(pb.IN_PROGRESS, to_unit), to_unit=to_unit)


def event_id(of: TicketHistory, number: int) -> str:
    """Return the id of the event that told the n-th change."""
    return of.noted[number].event_id


def corrected(*corrections: Correction) -> told.TicketCorrected:
    return told.TicketCorrected(ticket=ticket(pb.IN_PROGRESS), corrections=corrections)


def missed(step: MissedStep.Step.ValueType, minutes: int) -> Correction:
    return Correction(missed=MissedStep(step=step, occur_time=timestamp(at(minutes))))


class Stretch(NamedTuple):
    """A part of a ticket's life: one holder, waiting or not. `end` is None for the last one of an open ticket."""

    holder: str
    running: bool
    start: datetime
    end: datetime | None


def stretches(of: TicketHistory) -> list[Stretch]:
    """Return the stretches from the opening to the solution."""
    found: list[Stretch] = []
    for moment in of.moments():
        before = found[-1] if found and found[-1].end is None else None
        stands = moment.holder, moment.state != pb.WAITING
        if before and (moment.state in ENDED or stands != before[:2]):
            found[-1] = before._replace(end=moment.at)
        if moment.state not in ENDED and (found[-1].end is not None if found else True):
            found.append(Stretch(*stands, moment.at, None))
    return found


def answered(of: TicketHistory) -> datetime | None:
    """Return when the customer got the first answer."""
    return next((moment.at for moment in of.moments() if moment.change.what == Happening.ANSWERED), None)


OPENED = (0, told.TicketOpened(ticket=ticket(pb.NEW)))
SOLVED = (50, told.TicketResolved(ticket=ticket(pb.RESOLVED)))


def test_a_wait_is_a_stretch_of_its_own() -> None:
    found = history(
        OPENED,
        (10, told.TicketPaused(ticket=ticket(pb.WAITING))),
        (30, told.TicketResumed(ticket=ticket(pb.IN_PROGRESS))),
        SOLVED,
    )
    assert stretches(found) == [
        Stretch(SHANGHAI, True, at(0), at(10)),
        Stretch(SHANGHAI, False, at(10), at(30)),
        Stretch(SHANGHAI, True, at(30), at(50)),
    ]
    assert (found.resolve_time, found.policy_version) == (at(50), 4)


def test_a_hand_over_is_a_stretch_of_the_taker() -> None:
    found = history(OPENED, (10, handed_over(MUNICH)))
    assert stretches(found) == [
        Stretch(SHANGHAI, True, at(0), at(10)),
        Stretch(MUNICH, True, at(10), None),
    ]


def test_what_changes_neither_holder_nor_wait_begins_no_stretch() -> None:
    found = history(OPENED, (10, told.TicketAssigned(ticket=ticket(pb.IN_PROGRESS))))
    assert stretches(found) == [Stretch(SHANGHAI, True, at(0), None)]


def test_who_is_given_a_ticket_has_not_begun_and_who_is_assigned_it_by_a_person_has() -> None:
    given = told.TicketAssigned(ticket=ticket(pb.NEW), assignee=AGENT, team=f"{SHANGHAI}/teams/displays")
    taken = told.TicketAssigned(ticket=ticket(pb.IN_PROGRESS), assignee=AGENT)
    moments = history(OPENED, (10, given), (20, taken)).moments()
    assert [(moment.state, moment.assignee) for moment in moments] == [
        (pb.NEW, ""), (pb.NEW, AGENT), (pb.IN_PROGRESS, AGENT)
    ]  # fmt: skip


def test_who_is_given_a_ticket_as_it_is_opened_has_it_from_its_opening_on() -> None:
    given = told.TicketAssigned(ticket=ticket(pb.NEW), assignee=AGENT, team=f"{SHANGHAI}/teams/displays")
    assert [moment.assignee for moment in history(OPENED, (0, given)).moments()] == [AGENT]


def test_a_solution_counts_from_when_it_was_found_and_not_from_the_closing() -> None:
    assert history(OPENED, SOLVED, (90, told.TicketClosed(ticket=ticket(pb.CLOSED)))).resolve_time == at(50)


def test_a_solution_that_did_not_hold_is_none() -> None:
    found = history(OPENED, SOLVED, (60, told.TicketReopened(ticket=ticket(pb.IN_PROGRESS))))
    assert (found.resolve_time, stretches(found)[-1]) == (None, Stretch(SHANGHAI, True, at(60), None))


def test_what_happened_before_the_opening_counts_from_the_opening() -> None:
    found = history((10, told.TicketOpened(ticket=ticket(pb.NEW))), (0, told.TicketPaused(ticket=ticket(pb.WAITING))))
    assert stretches(found) == [
        Stretch(SHANGHAI, True, at(10), at(10)),
        Stretch(SHANGHAI, False, at(10), None),
    ]


def test_the_first_public_comment_of_the_desk_is_the_answer() -> None:
    inside = (5, told.TicketCommented(ticket=ticket(pb.NEW), public=False))
    outside = (8, told.TicketCommented(ticket=ticket(pb.NEW), public=True))
    assert answered(history(OPENED, inside, outside, (9, outside[1]))) == at(8)


def test_a_customer_s_own_comment_is_no_answer() -> None:
    outside = (8, told.TicketCommented(ticket=ticket(pb.NEW), public=True))
    assert answered(history(OPENED, outside, actor=PARTNER)) is None


def test_an_event_of_a_ticket_whose_opening_is_not_there_is_passed_over() -> None:
    histories = Histories()
    entry = new_event(Origin(SHANGHAI, AGENT), NAME, SOLVED[1], at(0), {})
    histories.take_all([StoredRecord("", 1, 1, b"", entry.type, NAME, entry.event, None)])
    assert histories.by_ticket == {}


PAUSED = (20, told.TicketPaused(ticket=ticket(pb.WAITING), waiting_for="customer"))
RESUMED = (40, told.TicketResumed(ticket=ticket(pb.IN_PROGRESS)))


def test_what_is_told_late_counts_from_when_it_happened_and_changes_nothing_else() -> None:
    late = (10, told.TicketHandedOver(ticket=ticket(pb.WAITING, MUNICH), to_unit=MUNICH))
    assert stretches(history(OPENED, PAUSED, late)) == [
        Stretch(SHANGHAI, True, at(0), at(10)),
        Stretch(MUNICH, True, at(10), at(20)),
        Stretch(MUNICH, False, at(20), None),
    ]


@given(st.permutations([PAUSED, RESUMED, (25, handed_over(MUNICH)), (45, handed_over(SHANGHAI)), SOLVED]))
def test_the_order_in_which_facts_are_heard_of_does_not_matter(facts: list[tuple[int, Message]]) -> None:
    in_order = history(OPENED, *sorted(facts, key=lambda fact: fact[0]))
    heard = history(OPENED, *facts)
    assert (stretches(heard), heard.resolve_time) == (stretches(in_order), in_order.resolve_time)


def test_a_step_that_leads_nowhere_counts_as_nothing() -> None:
    moments = history(OPENED, RESUMED, SOLVED, (60, PAUSED[1])).moments()
    assert [(moment.at, moment.state) for moment in moments] == [(at(0), pb.NEW), (at(50), pb.RESOLVED)]


def test_a_wait_that_was_noted_too_late_begins_when_it_began() -> None:
    found = history(OPENED, PAUSED, RESUMED, (70, corrected(missed(MissedStep.PAUSED, 10))))
    assert stretches(found)[1] == Stretch(SHANGHAI, False, at(10), at(40))


def test_an_answer_that_was_not_noted_is_one() -> None:
    assert answered(history(OPENED, (70, corrected(missed(MissedStep.ANSWERED, 12))))) == at(12)


def test_a_step_is_moved_to_when_it_happened() -> None:
    noted = history(OPENED, PAUSED, RESUMED)
    moved = Correction(moved=MovedStep(event_id=event_id(noted, 1), occur_time=timestamp(at(30))))
    noted.correct([moved], "c", AGENT, at(70))
    [change] = [change for change in noted.changes() if change.noted]
    assert (change.at, change.noted) == (at(30), at(40))
    assert stretches(noted)[1] == Stretch(SHANGHAI, False, at(20), at(30))


def test_a_step_that_did_not_happen_counts_as_nothing() -> None:
    noted = history(OPENED, PAUSED, RESUMED)
    noted.correct([Correction(voided_event_id=event_id(noted, 0))], "c", AGENT, at(70))
    assert stretches(noted) == [Stretch(SHANGHAI, True, at(0), None)]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_corrections_of_one_step_the_last_one_counts(order: tuple[int, int]) -> None:
    noted = history(OPENED, PAUSED)
    step = event_id(noted, 0)
    moved = Correction(moved=MovedStep(event_id=step, occur_time=timestamp(at(5))))
    corrections = [moved, Correction(voided_event_id=step)]
    noted.correct([corrections[number] for number in order], "c", AGENT, at(70))
    waits = [stretch.start for stretch in stretches(noted) if not stretch.running]
    assert waits == ([at(5)] if order == (1, 0) else [])


def test_a_repair_puts_the_ticket_under_another_version() -> None:
    repaired = told.TicketClocksRepaired(ticket=ticket(pb.NEW), policy_version=7, previous_policy_version=4)
    assert history(OPENED, (5, repaired)).policy_version == 7
