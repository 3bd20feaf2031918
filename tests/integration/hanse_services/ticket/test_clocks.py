"""The clocks of a ticket: what starts, holds, stops and breaches them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hanse_protos.ticket.v1 import ticket_pb2 as pb
from tests.integration.hanse_services.ticket.desk import MONDAY, Desk


def clock_of(ticket: pb.Ticket, kind: pb.Clock.Kind.ValueType) -> pb.Clock:
    [clock] = [clock for clock in ticket.clocks if clock.kind == kind]
    return clock


def response(ticket: pb.Ticket) -> pb.Clock:
    return clock_of(ticket, pb.Clock.RESPONSE)


def resolution(ticket: pb.Ticket) -> pb.Clock:
    return clock_of(ticket, pb.Clock.RESOLUTION)


def used(clock: pb.Clock) -> timedelta:
    return clock.used_duration.ToTimedelta()


@pytest.mark.parametrize(
    ("early", "state"), [(timedelta(0), pb.Clock.BREACHED), (timedelta(microseconds=1), pb.Clock.MET)]
)
async def test_at_the_very_instant_at_which_it_is_due_a_solution_is_late(
    desk: Desk, early: timedelta, state: pb.Clock.State.ValueType
) -> None:
    name = (await desk.open()).name
    desk.clock.now = MONDAY + timedelta(hours=10) - early
    assert resolution(await desk.do("ResolveTicket", name)).state == state


async def test_both_clocks_of_the_target_start_with_the_ticket(desk: Desk) -> None:
    ticket = await desk.open()
    due = {clock.kind: clock.due_time.ToDatetime(MONDAY.tzinfo) for clock in ticket.clocks}
    assert due == {
        pb.Clock.RESPONSE: MONDAY + timedelta(hours=1),
        pb.Clock.RESOLUTION: MONDAY + timedelta(hours=10),
    }


async def test_a_pause_holds_the_clock_and_moves_its_deadline(desk: Desk) -> None:
    name = (await desk.open()).name
    desk.clock.advance(minutes=20)
    await desk.do("PauseTicket", name)
    desk.clock.advance(hours=5)
    ticket = await desk.do("ResumeTicket", name)
    assert used(resolution(ticket)) == timedelta(minutes=20)
    assert resolution(ticket).due_time.ToDatetime(MONDAY.tzinfo) == MONDAY + timedelta(hours=15)
    assert ticket.waiting_duration.ToTimedelta() == timedelta(hours=5)


async def test_a_paused_clock_has_no_deadline(desk: Desk) -> None:
    ticket = await desk.do("PauseTicket", (await desk.open()).name)
    assert [(clock.state, clock.HasField("due_time")) for clock in ticket.clocks] == [(pb.Clock.PAUSED, False)] * 2


async def test_the_first_public_comment_of_an_agent_stops_the_response_clock(desk: Desk) -> None:
    name = (await desk.open()).name
    desk.clock.advance(minutes=10)
    await desk.do("CommentTicket", name, public=True)
    desk.clock.advance(minutes=10)
    ticket = await desk.do("CommentTicket", name, public=True)
    assert (response(ticket).state, used(response(ticket))) == (pb.Clock.MET, timedelta(minutes=10))
    assert used(resolution(ticket)) == timedelta(minutes=20)


async def test_a_comment_inside_does_not_stop_the_response_clock(desk: Desk) -> None:
    ticket = await desk.do("CommentTicket", (await desk.open()).name, public=False)
    assert response(ticket).state == pb.Clock.RUNNING


async def test_a_comment_of_the_customer_does_not_stop_the_response_clock(desk: Desk) -> None:
    ticket = await desk.open(partner="partners/acme")
    commented = await desk.customer_says(ticket.name, "Any news?", "partners/acme")
    assert response(commented).state == pb.Clock.RUNNING


async def test_a_comment_of_the_customer_ends_a_wait_for_the_customer(desk: Desk) -> None:
    name = (await desk.open(partner="partners/acme")).name
    await desk.do("PauseTicket", name, waiting_for="customer")
    desk.clock.advance(hours=1)
    ticket = await desk.customer_says(name, "Model 7", "partners/acme")
    assert (ticket.state, ticket.waiting_duration.ToTimedelta()) == (pb.IN_PROGRESS, timedelta(hours=1))


async def test_a_comment_of_the_customer_does_not_end_a_wait_for_a_vendor(desk: Desk) -> None:
    name = (await desk.open(partner="partners/acme")).name
    await desk.do("PauseTicket", name, waiting_for="vendor")
    assert (await desk.customer_says(name, "Any news?", "partners/acme")).state == pb.WAITING


async def test_a_comment_of_an_agent_does_not_end_a_wait_for_the_customer(desk: Desk) -> None:
    name = (await desk.open()).name
    await desk.do("PauseTicket", name, waiting_for="customer")
    assert (await desk.do("CommentTicket", name, public=True)).state == pb.WAITING


async def test_a_solution_stops_both_clocks(desk: Desk) -> None:
    name = (await desk.open()).name
    desk.clock.advance(minutes=30)
    await desk.do("ResolveTicket", name)
    desk.clock.advance(hours=3)
    ticket = await desk.do("CloseTicket", name)
    assert [(clock.state, used(clock)) for clock in ticket.clocks] == [(pb.Clock.MET, timedelta(minutes=30))] * 2


async def test_a_reopened_ticket_goes_on_where_its_resolution_clock_stopped(desk: Desk) -> None:
    name = (await desk.open()).name
    desk.clock.advance(minutes=30)
    await desk.do("ResolveTicket", name)
    desk.clock.advance(days=2)
    await desk.do("ReopenTicket", name)
    desk.clock.advance(minutes=15)
    ticket = await desk.do("CommentTicket", name)
    assert (resolution(ticket).state, used(resolution(ticket))) == (pb.Clock.RUNNING, timedelta(minutes=45))
    assert used(response(ticket)) == timedelta(minutes=30)


async def test_a_ticket_that_is_resolved_while_it_waits_has_waited_until_then(desk: Desk) -> None:
    name = (await desk.open()).name
    await desk.do("PauseTicket", name)
    desk.clock.advance(hours=2)
    ticket = await desk.do("ResolveTicket", name)
    assert (ticket.waiting_duration.ToTimedelta(), used(resolution(ticket))) == (timedelta(hours=2), timedelta(0))


async def test_an_answer_that_comes_too_late_is_a_breach_though_nobody_evaluated_the_clock(desk: Desk) -> None:
    name = (await desk.open()).name
    desk.clock.advance(minutes=61)
    ticket = await desk.do("CommentTicket", name, public=True)
    assert response(ticket).state == pb.Clock.BREACHED
    assert await desk.told_types() == ["TicketOpened", "SlaBreached", "TicketCommented"]


async def test_a_late_solution_breaches_each_clock_once_also_after_a_reopening(desk: Desk) -> None:
    name = (await desk.open()).name
    desk.clock.advance(hours=11)
    for verb in ("ResolveTicket", "ReopenTicket", "ResolveTicket"):
        await desk.do(verb, name)
    await desk.evaluate(name)
    assert (await desk.told_types()).count("SlaBreached") == 2
