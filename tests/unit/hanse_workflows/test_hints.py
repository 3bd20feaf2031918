"""What events mean to the processes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from google.protobuf.message import Message

from hanse.log.events import Origin, new_event
from hanse.log.follow import StoredRecord
from hanse_protos.ticket.v1 import events_pb2 as events
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_protos.ticket.v1.complaint_pb2 import (
    COMPLAINT_ACKNOWLEDGED,
    COMPLAINT_ANSWERED,
    COMPLAINT_CLOSED,
    COMPLAINT_OPEN,
    ComplaintState,
    ComplaintSummary,
)
from hanse_workflows.hints import Hint, decision_hint, escalation_hint, merged, own_hint, sla_hint
from hanse_workflows.processes import complaint_of, escalation_of, sla_of

UNIT = "units/shanghai"
TICKET = f"{UNIT}/tickets/t1"
ENGAGEMENT = f"{TICKET}/engagements/e1"
COMPLAINT = f"{TICKET}/complaints/c1"
NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


def stored(payload: Message, resource: str, trace_context: str = "") -> StoredRecord:
    entry = new_event(Origin(UNIT, "units/shanghai/agents/li", trace_context=trace_context), resource, payload, NOW)
    return StoredRecord("units/shanghai/streams/ticket", 1, 1, b"", entry.type, resource, entry.event, None)


def ticket_in(state: pb.TicketState.ValueType) -> pb.TicketSummary:
    return pb.TicketSummary(name=TICKET, state=state)


def engagement_of(state: pb.TicketState.ValueType) -> pb.EngagementSummary:
    return pb.EngagementSummary(name=ENGAGEMENT, ticket=ticket_in(state))


@pytest.mark.parametrize("state", [pb.NEW, pb.IN_PROGRESS, pb.WAITING], ids=pb.TicketState.Name)
def test_an_event_of_a_ticket_that_goes_on_needs_the_process(state: pb.TicketState.ValueType) -> None:
    hint = sla_hint(stored(events.TicketOpened(ticket=ticket_in(state)), TICKET), UNIT)
    assert hint == Hint(sla_of(TICKET), awaited=True, traceparent="")


@pytest.mark.parametrize("state", [pb.RESOLVED, pb.CLOSED], ids=pb.TicketState.Name)
def test_an_event_of_a_ticket_that_is_over_only_tells_a_process_that_runs(state: pb.TicketState.ValueType) -> None:
    hint = sla_hint(stored(events.TicketCommented(ticket=ticket_in(state)), TICKET), UNIT)
    assert hint == Hint(sla_of(TICKET), awaited=False, traceparent="")


def test_an_event_of_an_engagement_is_one_of_its_ticket() -> None:
    payload = events.EngagementConfirmed(engagement=engagement_of(pb.IN_PROGRESS))
    assert sla_hint(stored(payload, ENGAGEMENT), UNIT) == Hint(sla_of(TICKET), awaited=True, traceparent="")


def test_a_hand_over_names_its_engagement_and_is_still_read_by_its_ticket() -> None:
    payload = events.TicketHandedOver(ticket=ticket_in(pb.CLOSED), engagement=ENGAGEMENT)
    assert sla_hint(stored(payload, TICKET), UNIT) == Hint(sla_of(TICKET), awaited=False, traceparent="")


@pytest.mark.parametrize(
    "payload", [events.SlaWarned(), events.SlaBreached()], ids=lambda payload: type(payload).__name__
)
def test_what_an_evaluation_tells_asks_for_none(payload: Message) -> None:
    assert sla_hint(stored(payload, TICKET), UNIT) is None


def test_another_units_ticket_is_watched_at_home() -> None:
    payload = events.EngagementAccepted(engagement=engagement_of(pb.IN_PROGRESS))
    assert sla_hint(stored(payload, ENGAGEMENT), "units/munich") is None


def test_an_event_of_a_later_version_is_passed_over() -> None:
    record = stored(events.TicketOpened(), TICKET)
    event = record.decoded()
    event.type = "hanse_protos.ticket.v1.TicketTeleported"
    unknown = record._replace(type=event.type, event=event.SerializeToString())
    assert sla_hint(unknown, UNIT) is None


@pytest.mark.parametrize(
    ("state", "awaited"),
    [(COMPLAINT_OPEN, True), (COMPLAINT_ACKNOWLEDGED, True), (COMPLAINT_ANSWERED, True), (COMPLAINT_CLOSED, False)],
)
def test_a_complaint_may_need_its_process_until_it_is_closed(state: ComplaintState.ValueType, awaited: bool) -> None:
    payload = events.ComplaintAcknowledged(complaint=ComplaintSummary(name=COMPLAINT, state=state))
    assert own_hint(stored(payload, COMPLAINT), UNIT) == Hint(complaint_of(COMPLAINT), awaited, "")


def test_a_complaint_asks_nothing_of_its_tickets_process() -> None:
    payload = events.ComplaintOpened(complaint=ComplaintSummary(name=COMPLAINT, state=COMPLAINT_OPEN))
    hint = own_hint(stored(payload, COMPLAINT), UNIT)
    assert hint is not None
    assert hint.process == complaint_of(COMPLAINT)


@pytest.mark.parametrize("payload", [events.ComplaintWarned(), events.ComplaintOverdue()])
def test_what_an_evaluation_of_a_complaint_tells_asks_for_none(payload: Message) -> None:
    assert own_hint(stored(payload, COMPLAINT), UNIT) is None


def test_another_units_complaint_is_watched_at_home() -> None:
    payload = events.ComplaintSeen(complaint=ComplaintSummary(name=COMPLAINT, state=COMPLAINT_OPEN))
    assert own_hint(stored(payload, COMPLAINT), "units/munich") is None


@pytest.mark.parametrize(
    ("payload", "awaited"),
    [
        (events.EngagementRequested(), True),
        (events.EngagementDeclined(), True),
        (events.EngagementAccepted(), False),
        (events.EngagementWithdrawn(), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_escalation_is_needed_after_requests_and_refusals(payload: Message, awaited: bool) -> None:
    assert escalation_hint(stored(payload, ENGAGEMENT)) == Hint(escalation_of(ENGAGEMENT), awaited, "")


def test_other_events_do_not_concern_an_escalation() -> None:
    assert escalation_hint(stored(events.EngagementWorkNoted(), ENGAGEMENT)) is None


@pytest.mark.parametrize(
    ("payload", "concerns"),
    [
        (events.EngagementReassigned(), True),
        (events.EngagementOfferExpired(skipped=True), True),
        (events.EngagementOfferExpired(), False),
        (events.EngagementOffered(), False),
    ],
    ids=["reassigned", "skipped", "expired", "offered"],
)
def test_of_routings_decisions_those_that_a_person_asked_for_concern_an_escalation(
    payload: Message, concerns: bool
) -> None:
    expected = Hint(escalation_of(ENGAGEMENT), awaited=True, traceparent="") if concerns else None
    assert decision_hint(stored(payload, ENGAGEMENT)) == expected


def test_several_hints_to_one_process_become_one() -> None:
    assert len(merged([Hint(sla_of(TICKET), True, ""), Hint(sla_of(TICKET), True, "")])) == 1


def test_the_last_hint_says_whether_the_process_is_needed() -> None:
    [hint] = merged([Hint(sla_of(TICKET), True, ""), Hint(sla_of(TICKET), False, "")])
    assert not hint.awaited


def test_the_trace_is_that_of_the_first_hint_which_has_one() -> None:
    [hint] = merged([Hint(sla_of(TICKET), True, trace) for trace in ("", "opening", "comment")])
    assert hint.traceparent == "opening"


def test_processes_are_told_in_the_order_of_their_first_hints() -> None:
    first, second = sla_of(TICKET), sla_of(f"{UNIT}/tickets/t2")
    hints = merged([Hint(first, True, ""), Hint(second, True, ""), Hint(first, True, "")])
    assert [hint.process for hint in hints] == [first, second]
