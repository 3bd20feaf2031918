"""What headquarters does with a complaint counts here at the time at which it did it; lost complaints come back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from hanse.times import instant
from hanse_protos.ticket.v1 import complaint_pb2 as pb
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as ticket_pb
from hanse_protos.ticket.v1.ticket_pb2 import Clock
from tests.integration.hanse_services.ticket.complaining import SORRY, TOP, WRONG, Complaints, promising
from tests.integration.hanse_services.ticket.desk import MONDAY, Desk, refused
from tests.integration.hanse_services.ticket.test_erasing import CONTACT, customers, erase, found
from tests.integration.hanse_services.ticket.test_restoring import lose_and_restore
from tests.support import record_of


@pytest.fixture
async def complaints(desk: Desk) -> Complaints:
    return await promising(desk)


async def at_headquarters(complaints: Complaints) -> str:
    """Return a complaint that begins at headquarters: one hour to take it up, four to answer."""
    return (await complaints.file((await complaints.desk.open(priority=ticket_pb.P1)).name)).name


async def test_headquarters_takes_it_up_and_answers(desk: Desk, complaints: Complaints) -> None:
    name = await at_headquarters(complaints)
    desk.clock.advance(minutes=30)
    await complaints.headquarters_says(told.ComplaintSeen, name)
    await complaints.headquarters_says(told.ComplaintDecided, name, outcome=pb.PARTLY_UPHELD)
    complaint = await complaints.get(name)
    assert (complaint.summary.state, complaint.summary.outcome, complaint.answer) == (
        pb.COMPLAINT_ANSWERED,
        pb.PARTLY_UPHELD,
        SORRY,
    )
    assert complaint.summary.handler == "units/hq/agents/li"
    assert instant(complaint.summary.answer_time) == MONDAY + timedelta(minutes=30)


async def test_another_unit_may_not_say_so(desk: Desk, complaints: Complaints) -> None:
    name = await at_headquarters(complaints)
    seen = told.ComplaintSeen(complaint=pb.ComplaintSummary(name=name))
    await desk.is_told(record_of(seen, name, unit="units/munich", occur_time=MONDAY))
    assert (await complaints.get(name)).summary.state == pb.COMPLAINT_OPEN


async def test_a_time_that_only_the_cut_line_let_run_out_is_taken_back(desk: Desk, complaints: Complaints) -> None:
    name = await at_headquarters(complaints)
    desk.clock.advance(hours=2)
    await complaints.evaluate(name)
    desk.clock.advance(minutes=-90)
    await complaints.headquarters_says(told.ComplaintSeen, name)
    assert (await complaints.get(name)).summary.clocks[0].state == Clock.MET


async def test_headquarters_does_nothing_before_the_complaint_came_to_it(desk: Desk, complaints: Complaints) -> None:
    name = await at_headquarters(complaints)
    desk.clock.advance(hours=-3)
    await complaints.headquarters_says(told.ComplaintSeen, name)
    await complaints.headquarters_says(told.ComplaintDecided, name, outcome=pb.UPHELD)
    complaint = await complaints.get(name)
    times = (complaint.summary.acknowledge_time, complaint.summary.answer_time, complaint.update_time)
    assert [instant(time) for time in times] == [MONDAY] * 3


async def test_an_answer_to_what_was_taken_back_changes_nothing(desk: Desk, complaints: Complaints) -> None:
    name = await at_headquarters(complaints)
    await complaints.do("WithdrawComplaint", name)
    await complaints.headquarters_says(told.ComplaintSeen, name)
    await complaints.headquarters_says(told.ComplaintDecided, name, outcome=pb.UPHELD)
    complaint = await complaints.get(name)
    assert (complaint.summary.outcome, complaint.answer) == (pb.TAKEN_BACK, "")


async def test_a_lost_complaint_comes_back_as_it_was(desk: Desk, complaints: Complaints) -> None:
    name = (await complaints.answered((await desk.open()).name)).name
    await complaints.do("RejectComplaintAnswer", name)
    desk.clock.advance(hours=1)
    await complaints.evaluate(name)
    before = (await complaints.get(name)).summary
    await lose_and_restore(desk)
    assert (await complaints.get(name)).summary == before
    desk.clock.advance(minutes=30)
    assert list((await complaints.evaluate(name)).actions) == []


async def test_a_lost_answer_of_headquarters_comes_back_with_its_text(desk: Desk, complaints: Complaints) -> None:
    name = await at_headquarters(complaints)
    await complaints.headquarters_says(told.ComplaintSeen, name)
    await complaints.headquarters_says(told.ComplaintDecided, name, outcome=pb.UPHELD)
    await lose_and_restore(desk)
    complaint = await complaints.get(name)
    assert (complaint.summary.level, complaint.answer) == (TOP, SORRY)


async def closed_with_complaint(desk: Desk, complaints: Complaints) -> tuple[ticket_pb.Ticket, pb.Complaint]:
    """Return a closed ticket of Frau Chen's with a complaint that was answered."""
    ticket = await desk.open(contact=CONTACT)
    await desk.do("ResolveTicket", ticket.name)
    await desk.do("CloseTicket", ticket.name)
    return ticket, await complaints.answered(ticket.name)


async def test_a_person_with_an_open_complaint_is_not_erased(desk: Desk, complaints: Complaints) -> None:
    ticket, _ = await closed_with_complaint(desk, complaints)
    with refused() as refusal:
        await erase(desk, ticket.customer)
    assert refusal.reason == "CUSTOMER_HAS_OPEN_COMPLAINTS"


async def test_who_is_erased_leaves_no_word_of_a_complaint(desk: Desk, complaints: Complaints) -> None:
    ticket, complaint = await closed_with_complaint(desk, complaints)
    await complaints.close(complaint.name)
    assert found(desk, WRONG, SORRY) == {"complaint", "log_record", "request"}
    await erase(desk, ticket.customer)
    assert found(desk, WRONG, SORRY) == set()
    with refused() as refusal:
        await complaints.file(ticket.name)
    assert refusal.reason == "ILLEGAL_TRANSITION"


async def test_the_export_of_a_person_holds_its_complaints(desk: Desk, complaints: Complaints) -> None:
    ticket, complaint = await closed_with_complaint(desk, complaints)
    request: Any = rpc.ExportCustomerRequest(name=ticket.customer)
    exported = await customers(desk).ExportCustomer(request)
    assert [(each.name, each.text) for each in exported.complaints] == [(complaint.name, complaint.text)]
