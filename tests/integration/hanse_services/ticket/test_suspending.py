"""Work that can't have a deadline: suspended until a review, and no longer than the policy's cap."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from hanse.times import timestamp
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from tests.integration.hanse_services.ticket.desk import MONDAY, Desk, refused
from tests.integration.hanse_services.ticket.test_clocks import resolution, response, used
from tests.integration.hanse_services.ticket.test_repair import explain

CAP, HOUR = timedelta(days=60), timedelta(hours=1)


async def suspended(desk: Desk, until: datetime) -> pb.Ticket:
    return await desk.do("SuspendTicket", (await desk.open()).name, review_time=timestamp(until))


def states(ticket: pb.Ticket) -> dict[str, str]:
    return {pb.Clock.Kind.Name(clock.kind): pb.Clock.State.Name(clock.state) for clock in ticket.clocks}


async def test_the_clocks_of_a_suspended_ticket_stand_and_say_so(desk: Desk) -> None:
    ticket = await suspended(desk, MONDAY + timedelta(days=7))
    assert states(ticket) == {"RESPONSE": "SUSPENDED", "RESOLUTION": "SUSPENDED", "REVIEW": "RUNNING"}
    assert (ticket.state, ticket.suspension.reason) == (pb.WAITING, "Nobody has seen this before")
    desk.clock.advance(days=3)
    ticket = await desk.do("ResumeTicket", ticket.name)
    assert states(ticket) == {"RESPONSE": "RUNNING", "RESOLUTION": "RUNNING", "REVIEW": "MET"}
    assert not ticket.HasField("suspension")
    assert [clock.used_duration.ToTimedelta() for clock in ticket.clocks][:2] == [timedelta(0)] * 2


async def test_the_review_is_told_once_when_it_is_due_and_then_the_cap_is_watched(desk: Desk) -> None:
    review = MONDAY + timedelta(days=7)
    name = (await suspended(desk, review)).name
    answer = await desk.evaluate(name)
    assert (list(answer.actions), answer.next_due_time.ToDatetime(MONDAY.tzinfo)) == ([], review)
    desk.clock.now = review
    answer = await desk.evaluate(name)
    assert answer.actions == ["REVIEW on REVIEW at 100 %"]
    assert answer.next_due_time.ToDatetime(MONDAY.tzinfo) == MONDAY + CAP
    assert list((await desk.evaluate(name)).actions) == []
    assert (await desk.told_types()).count("TicketReviewDue") == 1


async def test_nobody_skips_a_review_so_that_the_cap_is_watched_in_any_case(desk: Desk) -> None:
    name = (await suspended(desk, MONDAY + timedelta(days=7))).name
    with refused() as refusal:
        await desk.skip_step(name)
    assert refusal.reason == "NOTHING_TO_SKIP"


async def test_a_review_may_suspend_it_further(desk: Desk) -> None:
    name = (await suspended(desk, MONDAY + timedelta(days=7))).name
    desk.clock.now = MONDAY + timedelta(days=7)
    await desk.evaluate(name)
    again = MONDAY + timedelta(days=20)
    ticket = await desk.do("SuspendTicket", name, review_time=timestamp(again), reason="The maker looks into it")
    assert (ticket.suspension.reason, ticket.suspension.suspend_time.ToDatetime(MONDAY.tzinfo)) == (
        "The maker looks into it",
        MONDAY,
    )
    assert (await desk.evaluate(name)).next_due_time.ToDatetime(MONDAY.tzinfo) == again


async def test_at_the_cap_a_ticket_goes_on_by_itself(desk: Desk) -> None:
    name = (await suspended(desk, MONDAY + timedelta(days=7))).name
    for at in (MONDAY + timedelta(days=7), MONDAY + CAP):
        desk.clock.now = at
        await desk.evaluate(name)
    ticket = await desk.get(name)
    assert (ticket.state, ticket.HasField("suspension")) == (pb.IN_PROGRESS, False)
    assert (await desk.told_types())[-1] == "TicketResumed"
    with refused() as refusal:
        await desk.do("SuspendTicket", name, review_time=timestamp(MONDAY + CAP + timedelta(days=1)))
    assert refusal.reason == "ILLEGAL_TRANSITION"


async def test_after_a_downtime_over_the_cap_the_clocks_have_run_since_it(desk: Desk) -> None:
    name = (await suspended(desk, MONDAY + timedelta(days=7))).name
    desk.clock.now = MONDAY + CAP + timedelta(hours=100)
    await desk.evaluate(name)
    ticket = await desk.get(name)
    late = [each.breach_time.ToDatetime(MONDAY.tzinfo) for each in (response(ticket), resolution(ticket))]
    assert late == [MONDAY + CAP + HOUR, MONDAY + CAP + 10 * HOUR]
    assert (await explain(desk, name)).agrees


@pytest.mark.parametrize("verb", ["ResumeTicket", "ResolveTicket", "PauseTicket"])
async def test_whoever_goes_on_with_it_after_the_cap_has_had_the_time_since(desk: Desk, verb: str) -> None:
    name = (await suspended(desk, MONDAY + timedelta(days=7))).name
    desk.clock.now = MONDAY + CAP + 4 * HOUR
    assert used(resolution(await desk.do(verb, name))) == 4 * HOUR
    await desk.evaluate(name)
    assert (await explain(desk, name)).agrees


async def test_what_happened_after_a_cap_that_nobody_had_noticed_is_repaired(desk: Desk) -> None:
    name = (await suspended(desk, MONDAY + timedelta(days=7))).name
    desk.clock.now = MONDAY + CAP + 2 * HOUR
    answered = await desk.do("CommentTicket", name, public=True)
    desk.clock.advance(hours=2)
    await desk.evaluate(name)
    after = await desk.get(name)
    assert [response(ticket).state for ticket in (answered, after)] == [pb.Clock.MET, pb.Clock.BREACHED]
    assert response(after).breach_time.ToDatetime(MONDAY.tzinfo) == MONDAY + CAP + HOUR
    assert (await explain(desk, name)).agrees


async def test_nobody_suspends_it_further_after_a_cap_that_nobody_had_noticed(desk: Desk) -> None:
    name = (await suspended(desk, MONDAY + timedelta(days=7))).name
    desk.clock.now = MONDAY + CAP + HOUR
    with refused() as refusal:
        await desk.do("SuspendTicket", name, review_time=timestamp(desk.clock.now + HOUR))
    assert refusal.reason == "ILLEGAL_TRANSITION"


async def test_the_cap_counts_all_suspensions_of_a_ticket(desk: Desk) -> None:
    name = (await suspended(desk, MONDAY + timedelta(days=20))).name
    desk.clock.advance(days=20)
    await desk.do("ResumeTicket", name)
    desk.clock.advance(days=5)
    ticket = await desk.do("SuspendTicket", name, review_time=timestamp(desk.clock.now + timedelta(days=20)))
    assert ticket.suspension.cap_time.ToDatetime(MONDAY.tzinfo) == desk.clock.now + CAP - timedelta(days=20)


@pytest.mark.parametrize("days", [-1, 0, 31])
async def test_a_review_is_neither_past_nor_too_far_away(desk: Desk, days: int) -> None:
    name = (await desk.open()).name
    with refused() as refusal:
        await desk.do("SuspendTicket", name, review_time=timestamp(MONDAY + timedelta(days=days)))
    assert (refusal.reason, (await desk.get(name)).state) == ("VALIDATION_FAILED", pb.NEW)


async def test_what_the_policy_s_rule_does_not_name_is_not_suspended(desk: Desk) -> None:
    name = (await desk.open(priority=pb.P1)).name
    with refused() as refusal:
        await desk.do("SuspendTicket", name)
    assert refusal.reason == "ILLEGAL_TRANSITION"


async def test_a_solution_ends_a_suspension(desk: Desk) -> None:
    name = (await suspended(desk, MONDAY + timedelta(days=7))).name
    ticket = await desk.do("ResolveTicket", name)
    assert ({*states(ticket).values()}, ticket.HasField("suspension")) == ({"MET"}, False)
    assert (await desk.evaluate(name)).ended
