"""A ticket that turns out to be something that nothing is promised for, and something else again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hanse.policy import load_yaml
from hanse.policy.store import PolicyStore
from hanse_protos.policy.v1.policy_pb2 import Policy
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.model import SCHEMA, TICKET_TRANSITIONS
from tests.integration.hanse_services.ticket.desk import MONDAY, Desk, FakeClock
from tests.integration.hanse_services.ticket.test_agreements import AGREED
from tests.integration.hanse_services.ticket.test_clock_histories import FURTHER_VERBS
from tests.integration.hanse_services.ticket.test_clocks import resolution, used
from tests.integration.hanse_services.ticket.test_repair import explain, repaired, versions
from tests.integration.hanse_services.ticket.test_restoring import lose_and_restore

NOTHING_FOR_P4 = AGREED.replace("{id: every, response", "{id: every, when: 'ticket.priority != \"P4\"', response")
OUT, BACK = {"priority": pb.P4}, {"priority": pb.P2}


async def without_p4(desk: Desk) -> Desk:
    """Put a desk under a policy that promises nothing for a P4."""
    version = next(versions)
    policy = Policy(name=f"policies/{version}", version=version, document=load_yaml(NOTHING_FOR_P4))
    await desk.runtime.database.write(PolicyStore(SCHEMA).enact, policy)
    return desk


@pytest.fixture
async def lenient(desk: Desk) -> Desk:
    return await without_p4(desk)


async def out_and_back(desk: Desk) -> pb.Ticket:
    """Let a ticket be nothing that is promised for, from one hour after its opening until four, with an hour's wait."""
    name = (await desk.open(priority=pb.P2)).name
    desk.clock.advance(hours=1)
    await desk.do("CommentTicket", name, public=True)
    await desk.do("ReclassifyTicket", name, **OUT)
    for verb in ("PauseTicket", "ResumeTicket"):
        desk.clock.advance(hours=1)
        await desk.do(verb, name)
    desk.clock.advance(hours=1)
    return await desk.do("ReclassifyTicket", name, **BACK)


async def test_what_nothing_is_promised_for_has_no_clock_that_runs(lenient: Desk) -> None:
    name = (await lenient.open(priority=pb.P2)).name
    ticket = await lenient.do("ReclassifyTicket", name, **OUT)
    assert (ticket.target, {clock.state for clock in ticket.clocks}) == ("", {pb.Clock.CANCELLED})
    lenient.clock.advance(hours=1)
    await lenient.do("ResolveTicket", name)
    assert not (await repaired(lenient, name, preview=True)).changed


async def test_its_clocks_go_on_from_where_they_started_once_it_is_promised_something_again(lenient: Desk) -> None:
    ticket = await out_and_back(lenient)
    clock = resolution(ticket)
    assert (ticket.target, clock.target, clock.state, clock.number) == ("every", "every", pb.Clock.RUNNING, 1)
    assert (clock.start_time.ToDatetime(MONDAY.tzinfo), used(clock)) == (MONDAY, timedelta(hours=3))
    assert (await lenient.told_types())[-3:-1] == ["TicketReclassified", "TicketClocksRepaired"]
    await lenient.evaluate(ticket.name)
    assert not (await repaired(lenient, ticket.name, preview=True)).changed


async def test_the_explanation_says_what_the_time_between_counts_as(lenient: Desk) -> None:
    explained = await explain(lenient, (await out_and_back(lenient)).name)
    because = [line.because for line in explained.lines if "turned out" in line.because]
    assert "nothing was promised for that, so it counts as what it turned out to be later" in because[0]
    assert "later" not in because[1]
    assert explained.agrees


async def test_what_would_have_run_out_meanwhile_has_run_out(lenient: Desk) -> None:
    name = (await lenient.open(priority=pb.P2)).name
    await lenient.do("ReclassifyTicket", name, **OUT)
    lenient.clock.advance(hours=12)
    assert "SlaBreached" not in await lenient.told_types()
    clock = resolution(await lenient.do("ReclassifyTicket", name, **BACK))
    assert clock.breach_time.ToDatetime(MONDAY.tzinfo) == MONDAY + timedelta(hours=10)
    assert "SlaBreached" in await lenient.told_types()


async def test_an_old_target_is_not_missed_while_nothing_was_promised(lenient: Desk) -> None:
    name = (await lenient.open(priority=pb.P1)).name
    await lenient.do("ReclassifyTicket", name, **OUT)
    # A P1 would have had four hours.
    lenient.clock.advance(hours=6)
    clock = resolution(await lenient.do("ReclassifyTicket", name, **BACK))
    assert (clock.state, clock.due_time.ToDatetime(MONDAY.tzinfo)) == (pb.Clock.RUNNING, MONDAY + timedelta(hours=10))


async def test_a_suspension_ends_also_where_nothing_is_promised_any_more(lenient: Desk) -> None:
    name = (await lenient.open(priority=pb.P2)).name
    await lenient.do("SuspendTicket", name)
    await lenient.do("ReclassifyTicket", name, **OUT)
    ticket = await lenient.do("ResumeTicket", name)
    assert all(clock.HasField("stop_time") for clock in ticket.clocks)
    assert not (await repaired(lenient, name, preview=True)).changed


async def test_a_lost_ticket_comes_back_with_the_clocks_that_it_got_again(lenient: Desk) -> None:
    before = await out_and_back(lenient)
    await lose_and_restore(lenient)
    after = await lenient.get(before.name)
    assert (after.target, after.clocks) == (before.target, before.clocks)


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    history=st.lists(
        st.tuples(st.integers(0, 20_000), st.integers(0, 40), st.integers(1, 4), st.booleans()), max_size=10
    )
)
async def test_however_often_it_turns_out_to_be_something_else_rows_and_history_say_the_same(
    desk: Desk, history: list[tuple[int, int, int, bool]]
) -> None:
    desk.clock = desk.executor.clock = FakeClock()
    await without_p4(desk)
    name = (await desk.open(priority=pb.P4)).name
    for seconds, choice, priority, is_watched in history:
        desk.clock.advance(seconds=seconds)
        if is_watched:
            await desk.evaluate(name)
        ticket = await desk.get(name)
        possible = [verb for verb in FURTHER_VERBS if ticket.state in TICKET_TRANSITIONS[verb]]
        possible = [verb for verb in possible if verb not in ("EscalateTicket", "SuspendTicket")]
        verb = "ReclassifyTicket" if choice % 2 and "ReclassifyTicket" in possible else possible[choice % len(possible)]
        fields = {"priority": priority} if verb == "ReclassifyTicket" else FURTHER_VERBS[verb]
        await desk.do(verb, name, **fields)
    await desk.evaluate(name)
    assert not (await repaired(desk, name, preview=True)).changed
    assert (await explain(desk, name)).agrees
