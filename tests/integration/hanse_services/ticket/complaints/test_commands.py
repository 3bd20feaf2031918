"""A complaint goes through its states, never through a tier, and nobody handles it who worked on the ticket."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from hanse.identity import Role
from hanse.log.events import payload_of
from hanse.times import instant
from hanse_protos.ticket.v1 import complaint_pb2 as pb
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as ticket_pb
from hanse_protos.ticket.v1.complaint_pb2_grpc import ComplaintServiceStub
from hanse_protos.ticket.v1.ticket_pb2 import Clock
from tests.integration.hanse_services.ticket.complaining import (
    COMPLAINTS,
    LEAD,
    MANAGER,
    SORRY,
    TOP,
    WRONG,
    Complaints,
    promising,
)
from tests.integration.hanse_services.ticket.desk import MONDAY, Desk, new_request_id, refused
from tests.integration.hanse_services.ticket.engaged import engaged_at
from tests.integration.hanse_services.ticket.test_partner_events import events

ACME = "partners/acme"


@pytest.fixture
async def complaints(desk: Desk) -> Complaints:
    """Shanghai's complaints. It works around the clock."""
    return await promising(desk)


async def test_a_complaint_begins_with_the_manager_and_has_times_there(desk: Desk, complaints: Complaints) -> None:
    complaint = await complaints.file((await desk.open()).name)
    assert (complaint.summary.state, complaint.summary.level, complaint.text) == (pb.COMPLAINT_OPEN, MANAGER, WRONG)
    assert [(clock.kind, instant(clock.due_time) - MONDAY, clock.state) for clock in complaint.summary.clocks] == [
        (pb.ComplaintClock.ACKNOWLEDGEMENT, timedelta(hours=2), Clock.RUNNING),
        (pb.ComplaintClock.ANSWER, timedelta(hours=10), Clock.RUNNING),
    ]


async def test_its_times_count_on_the_calendar_of_the_unit(munich: Desk) -> None:
    complaints = await promising(munich)
    complaint = await complaints.file((await munich.open()).name)
    # Munich works eight hours a day, so ten hours end on Tuesday.
    assert instant(complaint.summary.clocks[1].due_time) - MONDAY == timedelta(hours=26)


async def test_it_leaves_the_ticket_and_its_clocks_as_they_are(desk: Desk, complaints: Complaints) -> None:
    ticket = await desk.open()
    await complaints.answered(ticket.name)
    after = await desk.get(ticket.name)
    assert (after.etag, [clock.due_time for clock in after.clocks]) == (
        ticket.etag,
        [clock.due_time for clock in ticket.clocks],
    )


async def test_it_is_acknowledged_answered_and_closed_with_every_step_to_be_seen(
    desk: Desk, complaints: Complaints
) -> None:
    name = (await complaints.answered((await desk.open()).name)).name
    closed = await complaints.close(name)
    assert (closed.summary.state, closed.summary.outcome, closed.answer) == (pb.COMPLAINT_CLOSED, pb.UPHELD, SORRY)
    assert {clock.state for clock in closed.summary.clocks} == {Clock.MET}
    entries = (await complaints.get(name)).entries
    assert [entry.type for entry in entries] == [
        "ComplaintOpened",
        "ComplaintAcknowledged",
        "ComplaintAnswered",
        "ComplaintClosed",
    ]


async def test_a_closed_ticket_may_be_complained_about(desk: Desk, complaints: Complaints) -> None:
    name = (await desk.open()).name
    await desk.do("ResolveTicket", name)
    await desk.do("CloseTicket", name)
    assert (await complaints.file(name)).summary.state == pb.COMPLAINT_OPEN


async def test_another_units_ticket_may_not_be_complained_about(complaints: Complaints) -> None:
    with refused() as refusal:
        await complaints.file("units/munich/tickets/t1")
    assert refusal.reason == "RESOURCE_NOT_FOUND"


@pytest.mark.parametrize("verb", ["AnswerComplaint", "NoteComplaint", "CloseComplaint", "RejectComplaintAnswer"])
async def test_a_step_that_the_state_does_not_allow_is_refused(desk: Desk, complaints: Complaints, verb: str) -> None:
    name = (await complaints.file((await desk.open()).name)).name
    with refused() as refusal:
        await complaints.do(verb, name)
    assert refusal.reason == "ILLEGAL_TRANSITION"


@pytest.mark.parametrize("verb", ["AcknowledgeComplaint", "WithdrawComplaint"])
async def test_who_was_ever_the_tickets_assignee_does_not_handle_it(
    desk: Desk, complaints: Complaints, verb: str
) -> None:
    ticket = (await desk.open()).name
    await desk.do("AssignTicket", ticket, assignee="units/shanghai/agents/chen")
    await desk.do("AssignTicket", ticket)
    name = (await complaints.file(ticket)).name
    with refused() as refusal:
        await complaints.do(verb, name, actor="agents/chen")
    assert refusal.reason == "COMPLAINT_HANDLER_INVOLVED"


@pytest.mark.parametrize("role", [Role.LEAD, Role.MANAGER])
async def test_a_lead_does_not_take_up_what_has_come_to_the_manager(
    desk: Desk, complaints: Complaints, role: Role
) -> None:
    name = (await complaints.file((await desk.open()).name)).name
    somebody: Any = ComplaintServiceStub(desk.caller.channel(role, actor="agents/chen"))
    request = pb.AcknowledgeComplaintRequest(name=name, request_id=new_request_id())
    if role is Role.MANAGER:
        assert (await somebody.AcknowledgeComplaint(request)).summary.state == pb.COMPLAINT_ACKNOWLEDGED
        return
    with refused() as refusal:
        await somebody.AcknowledgeComplaint(request)
    assert refusal.reason == "LEVEL_ABOVE_CALLER"


async def test_an_answer_that_the_customer_rejects_goes_to_headquarters(desk: Desk, complaints: Complaints) -> None:
    name = (await complaints.answered((await desk.open()).name)).name
    rejected = await complaints.do("RejectComplaintAnswer", name)
    assert (rejected.summary.state, rejected.summary.level, rejected.summary.stage) == (pb.COMPLAINT_OPEN, TOP, 2)
    assert [clock.level for clock in rejected.summary.clocks if clock.state == Clock.RUNNING] == [TOP, TOP]


async def test_only_the_step_to_headquarters_carries_what_headquarters_needs(desk: Desk) -> None:
    complaints = await promising(desk, COMPLAINTS.replace("{id: every,", "{id: every, first_level: DESK_LEAD,"))
    ticket = (await desk.open()).name
    await desk.do("AssignTicket", ticket)
    complaint = await complaints.answered(ticket)
    assert complaint.summary.level == LEAD
    sealed: list[Any] = []
    for _ in range(2):
        await complaints.do("EscalateComplaint" if sealed else "RejectComplaintAnswer", complaint.name)
        fact = await desk.fact(told.ComplaintEscalated)
        sealed.append({field.field for field in fact.sealed})
    assert sealed == [{"text"}, {"complaint", "answer", "text"}]


async def test_headquarters_hears_who_worked_on_the_ticket_here_and_at_a_provider(
    desk: Desk, complaints: Complaints
) -> None:
    ticket = (await engaged_at(desk, ticket_pb.DELIVERED)).ticket
    await desk.do("AssignTicket", ticket)
    name = (await complaints.file(ticket)).name
    await complaints.do("EscalateComplaint", name)
    payload = payload_of((await desk.records())[-1].decoded())
    assert isinstance(payload, told.ComplaintEscalated)
    assert list(payload.complaint.involved) == [
        "units/munich/agents/li",
        "units/munich/agents/weber",
        "units/shanghai/agents/li",
    ]


async def test_what_has_come_to_headquarters_is_not_handled_here(desk: Desk, complaints: Complaints) -> None:
    name = (await complaints.file((await desk.open(priority=ticket_pb.P1)).name)).name
    with refused() as refusal:
        await complaints.do("AcknowledgeComplaint", name)
    assert refusal.reason == "ILLEGAL_TRANSITION"


async def test_nobody_is_above_headquarters(desk: Desk, complaints: Complaints) -> None:
    name = (await complaints.file((await desk.open(priority=ticket_pb.P1)).name)).name
    with refused() as refusal:
        await complaints.do("EscalateComplaint", name)
    assert refusal.reason == "ILLEGAL_TRANSITION"


async def test_a_customer_takes_it_back_and_nothing_is_due_any_more(desk: Desk, complaints: Complaints) -> None:
    name = (await complaints.file((await desk.open()).name)).name
    assert await complaints.open_names(name) == [name]
    withdrawn = await complaints.do("WithdrawComplaint", name)
    assert (withdrawn.summary.outcome, {clock.state for clock in withdrawn.summary.clocks}) == (
        pb.TAKEN_BACK,
        {Clock.CANCELLED},
    )
    assert await complaints.open_names(name) == []


async def test_who_has_taken_it_up_does_not_note_that_the_customer_takes_it_back(
    desk: Desk, complaints: Complaints
) -> None:
    name = (await complaints.file((await desk.open()).name)).name
    await complaints.do("AcknowledgeComplaint", name)
    with refused() as refusal:
        await complaints.do("WithdrawComplaint", name)
    assert refusal.reason == "WITHDRAWN_BY_HANDLER"
    assert (await complaints.do("WithdrawComplaint", name, actor="agents/zhao")).summary.outcome == pb.TAKEN_BACK


async def test_a_partner_complains_about_its_own_tickets_only(desk: Desk, complaints: Complaints) -> None:
    ticket = (await desk.open(partner=ACME)).name
    assert (await complaints.file(ticket, partner=ACME)).summary.partner == ACME
    with refused() as refusal:
        await complaints.file(ticket, partner="partners/other")
    assert refusal.reason == "RESOURCE_NOT_FOUND"


async def test_a_partner_is_spoken_for_by_the_gateway_alone(desk: Desk, complaints: Complaints) -> None:
    ticket = (await desk.open(partner=ACME)).name
    request = pb.CreateComplaintRequest(parent=ticket, text=WRONG, partner=ACME, request_id=new_request_id())
    with refused() as refusal:
        await complaints.stub().CreateComplaint(request)
    assert refusal.reason == "ROLE_MISSING"


async def test_the_list_narrows_to_a_ticket_a_state_and_a_partner(desk: Desk, complaints: Complaints) -> None:
    ticket, other = (await desk.open(partner=ACME)).name, (await desk.open()).name
    first, second = (await complaints.answered(ticket)).name, (await complaints.file(other)).name

    async def names(parent: str, **fields: Any) -> set[str]:
        answer = await complaints.stub().ListComplaints(pb.ListComplaintsRequest(parent=parent, **fields))
        return {complaint.name for complaint in answer.complaints}

    every = f"{desk.unit}/tickets/-"
    assert await names(every) == {first, second}
    assert await names(ticket) == {first}
    assert await names(every, states=[pb.COMPLAINT_OPEN]) == {second}
    assert await names(every, partner=ACME) == {first}


async def test_a_policy_that_promises_nothing_has_no_times(desk: Desk) -> None:
    complaint = await Complaints(desk).file((await desk.open()).name)
    assert (complaint.summary.level, list(complaint.summary.clocks)) == (MANAGER, [])


async def test_a_partner_hears_of_its_complaint_but_not_who_handles_it(desk: Desk, complaints: Complaints) -> None:
    ticket = (await desk.open(partner=ACME)).name
    name = (await complaints.answered(ticket)).name
    await complaints.do("RejectComplaintAnswer", name)
    await complaints.do("WithdrawComplaint", name, text="wang says so")
    answer = await events(desk)
    assert [(entry.resource, entry.type, entry.text) for entry in answer.entries] == [
        (ticket, "TicketOpened", ""),
        (name, "ComplaintOpened", WRONG),
        (name, "ComplaintAcknowledged", ""),
        (name, "ComplaintAnswered", SORRY),
        (name, "ComplaintClosed", ""),
    ]
    assert not any("wang" in entry.summary or "manager" in entry.summary for entry in answer.entries)


async def test_a_partner_reads_on_through_tickets_and_complaints_in_the_order_of_the_log(
    desk: Desk, complaints: Complaints
) -> None:
    for _ in range(2):
        await complaints.answered((await desk.open(partner=ACME)).name)
    whole = [entry.event_id for entry in (await events(desk)).entries]
    read, token = [], ""
    for _ in range(5):
        page = await events(desk, token, 2)
        read += [entry.event_id for entry in page.entries]
        token = page.next_page_token
    assert (len(whole), read) == (8, whole)
