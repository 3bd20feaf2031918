"""Evaluating clocks: each step is done once, when it is due, if it is called for then."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from hanse.times import timestamp
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_protos.ticket.v1.events_pb2 import SlaStepSkipped, SlaWarned
from tests.integration.hanse_services.ticket.desk import MONDAY, Desk, refused
from tests.integration.hanse_services.ticket.test_clocks import response

RESPONSE = 10
"""Percent of the resolution target that are the response target."""
TARGET = timedelta(hours=10)


async def at(desk: Desk, name: str, percent: int) -> list[str]:
    """Evaluate when this part of the resolution target is used up."""
    desk.clock.now = MONDAY + TARGET * percent / 100
    return list((await desk.evaluate(name)).actions)


async def test_nothing_is_done_before_it_is_due(desk: Desk) -> None:
    name = (await desk.open()).name
    answer = await desk.evaluate(name)
    assert (list(answer.actions), answer.ended) == ([], False)
    # Half of the response target comes first.
    assert answer.next_due_time.ToDatetime(MONDAY.tzinfo) == MONDAY + timedelta(minutes=30)
    assert await desk.told_types() == ["TicketOpened"]


async def test_each_step_is_done_at_its_time(desk: Desk) -> None:
    name = (await desk.open()).name
    await desk.do("CommentTicket", name, public=True)
    done = {percent: await at(desk, name, percent) for percent in (49, 50, 60, 69, 70, 80, 90, 100)}
    assert done == {
        49: [],
        50: ["WARN on RESOLUTION at 50 %"],
        60: ["CLIMB on RESOLUTION at 60 %"],
        69: [],
        70: ["CLIMB on RESOLUTION at 70 %"],
        80: [],
        90: ["REQUEST_ENGAGEMENT on RESOLUTION at 90 %"],
        100: ["BREACH on RESOLUTION at 100 %"],
    }


@pytest.mark.parametrize("times", [1, 3])
async def test_each_step_is_done_once_however_often_it_is_asked_for(desk: Desk, times: int) -> None:
    name = (await desk.open()).name
    for percent in (0, 5, 10, 50, 60, 70, 80, 90, 100, 200):
        desk.clock.now = MONDAY + TARGET * percent / 100
        await asyncio.gather(*(desk.evaluate(name) for _ in range(times)))
    told = await desk.told_types()
    counts = {kind: told.count(kind) for kind in ("SlaWarned", "SlaBreached", "TicketEscalated", "EngagementRequested")}
    assert counts == {"SlaWarned": 2, "SlaBreached": 2, "TicketEscalated": 2, "EngagementRequested": 1}


async def test_a_worker_that_was_down_does_everything_late_and_once(desk: Desk) -> None:
    name = (await desk.open()).name
    await at(desk, name, 300)
    assert await at(desk, name, 301) == []
    assert (await desk.get(name)).tier == 3
    assert (await desk.told_types()).count("EngagementRequested") == 1


async def test_after_the_machine_s_clock_has_jumped_ahead_each_step_is_done_once_in_the_order_in_which_it_was_due(
    desk: Desk,
) -> None:
    name = (await desk.open()).name
    desk.clock.advance(days=40)
    answers = [await desk.evaluate(name) for _ in range(2)]
    assert [list(answer.actions) for answer in answers] == [
        [
            "WARN on RESPONSE at 50 %",
            "BREACH on RESPONSE at 100 %",
            "WARN on RESOLUTION at 50 %",
            "CLIMB on RESOLUTION at 60 %",
            "CLIMB on RESOLUTION at 70 %",
            "REQUEST_ENGAGEMENT on RESOLUTION at 90 %",
            "BREACH on RESOLUTION at 100 %",
        ],
        [],
    ]
    # It is set right: what was done stays done, at the time at which it was due, and no time becomes negative.
    desk.clock.now = MONDAY + timedelta(hours=2)
    assert list((await desk.evaluate(name)).actions) == []
    ticket = await desk.do("ResolveTicket", name)
    clocks = {clock.kind: clock for clock in ticket.clocks}
    breaches = [clocks[kind].breach_time.ToDatetime(MONDAY.tzinfo) for kind in (pb.Clock.RESPONSE, pb.Clock.RESOLUTION)]
    assert breaches == [MONDAY + TARGET * RESPONSE / 100, MONDAY + TARGET]
    assert all(clock.used_duration.ToTimedelta() >= timedelta(0) for clock in ticket.clocks)
    stretches = [stretch for clock in ticket.clocks for stretch in clock.segments]
    assert all(stretch.start_time.ToDatetime() <= stretch.end_time.ToDatetime() for stretch in stretches)


async def test_rungs_that_differ_in_their_condition_alone_are_climbed_once(desk: Desk) -> None:
    name = (await desk.open(priority=pb.P1)).name
    await at(desk, name, 60)
    await at(desk, name, 75)
    assert (await desk.get(name)).tier == 3
    assert (await desk.told_types()).count("TicketEscalated") == 2


async def test_a_condition_is_asked_when_its_step_is_due(desk: Desk) -> None:
    # At tier 3 already: nothing to climb. A step that was not called for then is not made up for later.
    name = (await desk.open()).name
    for _ in range(2):
        await desk.do("EscalateTicket", name)
    await at(desk, name, 50)
    assert [await at(desk, name, percent) for percent in (60, 70, 80)] == [[], [], []]
    assert await at(desk, name, 90) == ["REQUEST_ENGAGEMENT on RESOLUTION at 90 %"]


async def test_no_second_engagement_is_asked_for_while_one_is_active(desk: Desk) -> None:
    name = (await desk.open()).name
    await desk.engage("RequestEngagement", name)
    await at(desk, name, 95)
    assert (await desk.told_types()).count("EngagementRequested") == 1


async def test_a_breach_shows_on_the_ticket(desk: Desk) -> None:
    name = (await desk.open()).name
    await at(desk, name, RESPONSE)
    clocks = {clock.kind: clock.state for clock in (await desk.do("CommentTicket", name)).clocks}
    assert clocks == {pb.Clock.RESPONSE: pb.Clock.BREACHED, pb.Clock.RESOLUTION: pb.Clock.RUNNING}


async def test_nothing_is_due_while_a_ticket_waits(desk: Desk) -> None:
    name = (await desk.open()).name
    await desk.do("PauseTicket", name)
    desk.clock.advance(days=30)
    answer = await desk.evaluate(name)
    assert (list(answer.actions), answer.HasField("next_due_time"), answer.ended) == ([], False, False)


async def test_the_clocks_of_a_resolved_ticket_have_ended(desk: Desk) -> None:
    name = (await desk.open()).name
    await desk.do("ResolveTicket", name)
    assert (await desk.evaluate(name)).ended


async def test_the_clocks_of_an_absent_ticket_are_not_found(desk: Desk) -> None:
    with refused() as refusal:
        await desk.evaluate(f"{desk.unit}/tickets/1")
    assert refusal.reason == "RESOURCE_NOT_FOUND"


async def test_a_warning_says_when_the_clock_runs_out(desk: Desk) -> None:
    name = (await desk.open()).name
    await at(desk, name, 5)
    warned = SlaWarned.FromString((await desk.records())[-1].decoded().payload)
    assert (warned.percent, warned.due_time.ToDatetime(MONDAY.tzinfo)) == (50, MONDAY + timedelta(hours=1))


async def test_open_clocks_are_listed_with_what_is_due_next(desk: Desk) -> None:
    name = (await desk.open()).name
    answer = await desk.open_clocks()
    assert list(answer.tickets) == [name]
    assert answer.open_clocks[0].next_due_time.ToDatetime(MONDAY.tzinfo) == MONDAY + timedelta(minutes=30)


async def test_open_clocks_that_stand_have_nothing_due(desk: Desk) -> None:
    name = (await desk.open()).name
    await desk.do("PauseTicket", name)
    [clocks] = (await desk.open_clocks(name)).open_clocks
    assert (clocks.ticket, clocks.HasField("next_due_time")) == (name, False)


async def test_open_clocks_are_listed_page_by_page(desk: Desk) -> None:
    names = sorted([(await desk.open()).name for _ in range(3)])
    first = await desk.open_clocks(page_size=2)
    second = await desk.open_clocks(page_size=2, page_token=first.next_page_token)
    assert ([*first.tickets], [*second.tickets], second.next_page_token) == (names[:2], names[2:], "")


async def test_only_the_open_clocks_that_were_asked_for_are_listed(desk: Desk) -> None:
    resolved, running, _other = [(await desk.open()).name for _ in range(3)]
    await desk.do("ResolveTicket", resolved)
    assert list((await desk.open_clocks(resolved, running)).tickets) == [running]


async def test_a_skipped_step_is_never_done_and_the_clocks_go_on(desk: Desk) -> None:
    name = (await desk.open()).name
    assert await desk.skip_step(name) == "WARN on RESPONSE at 50 %"
    assert await at(desk, name, 5) == []
    assert await at(desk, name, RESPONSE) == ["BREACH on RESPONSE at 100 %"]


async def test_a_skipped_step_is_told_with_its_reason_sealed(desk: Desk) -> None:
    name = (await desk.open()).name
    await desk.skip_step(name)
    skipped = SlaStepSkipped.FromString((await desk.records())[-1].decoded().payload)
    assert (skipped.step, skipped.requester) == ("WARN on RESPONSE at 50 %", "units/shanghai/agents/li")
    assert {field.field: field.value for field in (await desk.fact(SlaStepSkipped)).sealed} == {"reason": "Agreed"}


async def test_nobody_skips_that_a_target_was_missed(desk: Desk) -> None:
    name = (await desk.open()).name
    assert await at(desk, name, 5) == ["WARN on RESPONSE at 50 %"]
    with refused() as refusal:
        await desk.skip_step(name)
    assert refusal.reason == "NOTHING_TO_SKIP"
    desk.clock.advance(hours=1)
    ticket = await desk.do("ResolveTicket", name)
    assert response(ticket).state == pb.Clock.BREACHED


async def test_nothing_is_skipped_while_the_clocks_stand(desk: Desk) -> None:
    name = (await desk.open()).name
    await desk.do("PauseTicket", name)
    with refused() as refusal:
        await desk.skip_step(name)
    assert refusal.reason == "NOTHING_TO_SKIP"


async def test_only_those_are_listed_on_which_something_is_due_where_that_is_asked(desk: Desk) -> None:
    early = (await desk.open()).name
    desk.clock.advance(minutes=20)
    late = (await desk.open()).name
    # Half an hour after each opening the first warning is due.
    for minutes, due in ((29, []), (30, [early]), (50, sorted([early, late]))):
        answer = await desk.open_clocks(due_by=timestamp(MONDAY + timedelta(minutes=minutes)))
        assert list(answer.tickets) == due
