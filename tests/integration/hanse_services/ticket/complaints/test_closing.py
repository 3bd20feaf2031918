"""An answer that nobody rejects in time closes its complaint, by itself and once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hanse.times import instant
from hanse_protos.ticket.v1 import complaint_pb2 as pb
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as ticket_pb
from hanse_protos.ticket.v1.ticket_pb2 import Clock
from tests.integration.hanse_services.ticket.complaining import COMPLAINTS, Complaints, promising
from tests.integration.hanse_services.ticket.desk import MONDAY, Desk, refused
from tests.integration.hanse_services.ticket.test_restoring import lose_and_restore

WEEK = COMPLAINTS.replace("warn_percents", "close_after: 7d, warn_percents")
REPLY = pb.ComplaintClock.REPLY


@pytest.fixture
async def complaints(desk: Desk) -> Complaints:
    return await promising(desk, WEEK)


@pytest.fixture
async def name(desk: Desk, complaints: Complaints) -> str:
    """A complaint that is answered."""
    return (await complaints.answered((await desk.open()).name)).name


def reply_clock(complaint: pb.Complaint) -> pb.ComplaintClock:
    return next(clock for clock in complaint.summary.clocks if clock.kind == REPLY)


async def test_it_is_due_when_the_time_to_reject_the_answer_is_over(complaints: Complaints, name: str) -> None:
    answer = await complaints.evaluate(name)
    assert (list(answer.actions), instant(answer.next_due_time)) == ([], MONDAY + timedelta(days=7))
    assert await complaints.open_names(name) == [name]


async def test_what_was_away_across_the_time_closes_it_late_and_once(
    desk: Desk, complaints: Complaints, name: str
) -> None:
    desk.clock.advance(hours=8 * 24)
    first, again = await complaints.evaluate(name), await complaints.evaluate(name)
    assert (list(first.actions), list(again.actions)) == (["CLOSE on REPLY at 100 %"], [])
    assert not again.HasField("next_due_time")
    assert (await desk.told_types())[-1] == "ComplaintClosed"
    complaint = await complaints.get(name)
    assert (complaint.summary.state, complaint.summary.accepted_by_silence) == (pb.COMPLAINT_CLOSED, True)
    assert instant(complaint.summary.close_time) == MONDAY + timedelta(days=8)
    assert complaint.summary.outcome == pb.UPHELD
    assert "closed by itself" in complaint.entries[-1].summary
    assert complaint.entries[-1].actor == "units/shanghai/services/w"
    assert await complaints.open_names(name) == []


async def test_a_rejected_answer_closes_nothing(desk: Desk, complaints: Complaints, name: str) -> None:
    desk.clock.advance(hours=24)
    rejected = await complaints.do("RejectComplaintAnswer", name)
    assert reply_clock(rejected).state == Clock.CANCELLED
    desk.clock.advance(hours=7 * 24)
    await complaints.evaluate(name)
    assert (await complaints.get(name)).summary.state != pb.COMPLAINT_CLOSED


async def test_who_closes_it_before_says_that_nobody_was_silent(desk: Desk, complaints: Complaints, name: str) -> None:
    over = await complaints.close(name)
    assert (reply_clock(over).state, over.summary.accepted_by_silence) == (Clock.MET, False)
    desk.clock.advance(hours=8 * 24)
    assert list((await complaints.evaluate(name)).actions) == []


@pytest.mark.parametrize("verb", ["CloseComplaint", "WithdrawComplaint"])
async def test_who_answered_it_does_not_end_it_before_the_customer_had_the_time_to_reject_it(
    desk: Desk, complaints: Complaints, name: str, verb: str
) -> None:
    desk.clock.advance(hours=7 * 24 - 1)
    with refused() as refusal:
        await complaints.do(verb, name)
    assert refusal.reason == "COMPLAINT_REPLY_AWAITED"
    assert (await complaints.get(name)).summary.state == pb.COMPLAINT_ANSWERED
    desk.clock.advance(hours=1)
    assert (await complaints.do(verb, name)).summary.state == pb.COMPLAINT_CLOSED


async def test_it_stays_open_where_a_person_had_the_step_skipped(desk: Desk, complaints: Complaints, name: str) -> None:
    assert await complaints.skip_step(name) == "CLOSE on REPLY at 100 %"
    desk.clock.advance(hours=8 * 24)
    await complaints.evaluate(name)
    assert (await complaints.get(name)).summary.state == pb.COMPLAINT_ANSWERED


async def test_an_answer_of_headquarters_waits_from_when_it_has_come_down(desk: Desk, complaints: Complaints) -> None:
    complaint = await complaints.file((await desk.open(priority=ticket_pb.P1)).name)
    await complaints.headquarters_says(told.ComplaintSeen, complaint.name)
    desk.clock.advance(hours=1)
    await complaints.headquarters_says(told.ComplaintDecided, complaint.name, outcome=pb.NOT_UPHELD)
    answered = await complaints.get(complaint.name)
    assert instant(reply_clock(answered).due_time) >= MONDAY + timedelta(hours=1, days=14)


async def test_a_restored_complaint_closes_at_its_old_time(desk: Desk, complaints: Complaints, name: str) -> None:
    await lose_and_restore(desk)
    assert instant((await complaints.evaluate(name)).next_due_time) == MONDAY + timedelta(days=7)
    desk.clock.advance(hours=7 * 24)
    await complaints.evaluate(name)
    before = (await complaints.get(name)).summary
    await lose_and_restore(desk)
    assert (await complaints.get(name)).summary == before


async def test_where_nothing_is_promised_an_answer_waits_two_weeks_all_the_same(desk: Desk) -> None:
    complaints = await promising(desk, "")
    name = (await complaints.answered((await desk.open()).name)).name
    assert instant((await complaints.evaluate(name)).next_due_time) == MONDAY + timedelta(days=14)
