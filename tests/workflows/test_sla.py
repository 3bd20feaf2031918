"""The `sla` process against a ticket service in memory, in time that skips."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ActivityError, ApplicationError

from hanse.errors import RoleMissing, Unavailable
from hanse_workflows.processes import sla_of
from hanse_workflows.sla.types import SlaState
from hanse_workflows.sla.workflow import SlaWorkflow
from tests.workflows.conftest import Stage
from tests.workflows.fakes import FakeTicket, eventually, settled

PUNCTUAL = timedelta(seconds=1)


async def result_of(stage: Stage) -> object:
    return await stage.result_of(sla_of(stage.ticket))


async def state_of(stage: Stage) -> SlaState:
    return await stage.handle(sla_of(stage.ticket)).query(SlaWorkflow.state)


async def changed(stage: Stage) -> None:
    await stage.handle(sla_of(stage.ticket)).signal(SlaWorkflow.changed)


async def evaluations(stage: Stage, number: int) -> None:
    await eventually(lambda: len(stage.tickets.request_ids) >= number)


async def test_warning_and_breach_happen_within_a_second_of_their_times(stage: Stage) -> None:
    deadlines = {"warn": await stage.in_future(seconds=40), "breach": await stage.in_future(days=3)}
    ticket = stage.tickets.tickets[stage.ticket] = FakeTicket(dict(deadlines))
    async with stage.working():
        await stage.processes.start(sla_of(stage.ticket))
        await result_of(stage)
    assert [done.what for done in ticket.done] == ["warn", "breach"]
    assert all(timedelta() <= done.lateness <= PUNCTUAL for done in ticket.done)


async def test_the_outcome_says_how_often_it_asked(stage: Stage) -> None:
    stage.tickets.tickets[stage.ticket] = FakeTicket({"warn": await stage.in_future(seconds=40)})
    async with stage.working():
        await stage.processes.start(sla_of(stage.ticket))
        assert await result_of(stage) == {"ticket": stage.ticket, "evaluations": 2}


async def test_nothing_happens_while_the_clocks_stand(stage: Stage) -> None:
    ticket = stage.tickets.tickets[stage.ticket] = FakeTicket({"breach": await stage.in_future(minutes=5)}, paused=True)
    async with stage.working():
        await stage.processes.start(sla_of(stage.ticket))
        await evaluations(stage, 1)
        await stage.environment.sleep(timedelta(hours=1))
        assert ticket.done == []
        assert len(stage.tickets.request_ids) == 1


async def test_a_resumed_clock_runs_out_at_its_new_time(stage: Stage) -> None:
    ticket = stage.tickets.tickets[stage.ticket] = FakeTicket({"breach": await stage.in_future(minutes=5)}, paused=True)
    async with stage.working():
        await stage.processes.start(sla_of(stage.ticket))
        await evaluations(stage, 1)
        await stage.environment.sleep(timedelta(hours=1))
        ticket.paused, ticket.deadlines = False, {"breach": await stage.in_future(minutes=5)}
        await changed(stage)
        await result_of(stage)
    [done] = ticket.done
    assert timedelta() <= done.lateness <= PUNCTUAL


async def test_a_pause_that_begins_while_it_waits_holds_the_clock(stage: Stage) -> None:
    ticket = stage.tickets.tickets[stage.ticket] = FakeTicket({"breach": await stage.in_future(minutes=5)})
    async with stage.working():
        await stage.processes.start(sla_of(stage.ticket))
        await evaluations(stage, 1)
        ticket.paused = True
        await changed(stage)
        await evaluations(stage, 2)
        await stage.environment.sleep(timedelta(hours=1))
        assert ticket.done == []


async def test_the_signal_has_it_ask_again(stage: Stage) -> None:
    ticket = stage.tickets.tickets[stage.ticket] = FakeTicket({"breach": await stage.in_future(days=300)})
    async with stage.working():
        await stage.processes.start(sla_of(stage.ticket))
        await evaluations(stage, 1)
        ticket.ended = True
        await changed(stage)
        assert await result_of(stage) == {"ticket": stage.ticket, "evaluations": 2}


async def test_people_can_ask_where_it_is(stage: Stage) -> None:
    due_time = await stage.in_future(days=300)
    stage.tickets.tickets[stage.ticket] = FakeTicket({"breach": due_time})
    async with stage.working():
        await stage.processes.start(sla_of(stage.ticket))
        await evaluations(stage, 1)
        state = await settled(partial(state_of, stage), lambda state: state.last)
    assert state.ticket == stage.ticket
    assert state.last is not None
    assert state.last.next_due_time == due_time


async def test_being_told_many_times_is_one_process_that_does_each_thing_once(stage: Stage) -> None:
    due_time = await stage.in_future(minutes=5)
    ticket = stage.tickets.tickets[stage.ticket] = FakeTicket({"breach": due_time})
    process = sla_of(stage.ticket)
    async with stage.working():
        for _ in range(5):
            await stage.processes.wake(process, due_time)
        assert await result_of(stage) == {"ticket": stage.ticket, "evaluations": 1}
    assert [done.what for done in ticket.done] == ["breach"]


async def test_a_process_asks_nothing_before_something_is_due(stage: Stage) -> None:
    due_time = await stage.in_future(minutes=5)
    stage.tickets.tickets[stage.ticket] = FakeTicket({"breach": due_time})
    async with stage.working():
        await stage.processes.wake(sla_of(stage.ticket), due_time)
        await stage.environment.sleep(timedelta(minutes=4))
        assert stage.tickets.request_ids == []


async def test_a_process_that_is_replaced_begins_at_the_new_time(stage: Stage) -> None:
    ticket = stage.tickets.tickets[stage.ticket] = FakeTicket({"breach": await stage.in_future(minutes=5)})
    async with stage.working():
        await stage.processes.wake(sla_of(stage.ticket), await stage.in_future(days=3))
        await stage.processes.wake(sla_of(stage.ticket), ticket.deadlines["breach"])
        await result_of(stage)
    [done] = ticket.done
    assert timedelta() <= done.lateness <= PUNCTUAL


async def test_a_process_that_is_needed_no_more_never_asks(stage: Stage) -> None:
    due_time = await stage.in_future(minutes=5)
    ticket = stage.tickets.tickets[stage.ticket] = FakeTicket({"breach": due_time})
    async with stage.working():
        await stage.processes.wake(sla_of(stage.ticket), due_time)
        await stage.processes.release(sla_of(stage.ticket))
        await stage.environment.sleep(timedelta(hours=1))
    assert ticket.done == []


async def test_releasing_what_does_not_run_changes_nothing(stage: Stage) -> None:
    await stage.processes.release(sla_of(stage.ticket))


async def test_a_ticket_that_does_not_exist_ends_it_with_the_reason(stage: Stage) -> None:
    async with stage.working():
        await stage.processes.start(sla_of(stage.ticket))
        with pytest.raises(WorkflowFailureError) as failure:
            await result_of(stage)
    assert reason_of(failure.value) == "RESOURCE_NOT_FOUND"
    assert len(stage.tickets.request_ids) == 1


async def test_a_denied_request_is_not_repeated(stage: Stage) -> None:
    stage.tickets.failures = [RoleMissing()]
    async with stage.working():
        await stage.processes.start(sla_of(stage.ticket))
        with pytest.raises(WorkflowFailureError) as failure:
            await result_of(stage)
    assert reason_of(failure.value) == "ROLE_MISSING"


async def test_a_service_that_is_down_is_asked_again_with_the_same_request(stage: Stage) -> None:
    stage.tickets.tickets[stage.ticket] = FakeTicket()
    stage.tickets.failures = [Unavailable() for _ in range(6)]
    async with stage.working():
        await stage.processes.start(sla_of(stage.ticket))
        await result_of(stage)
    assert len(stage.tickets.request_ids) == 7
    assert len(set(stage.tickets.request_ids)) == 1


async def test_each_evaluation_is_a_request_of_its_own(stage: Stage) -> None:
    stage.tickets.tickets[stage.ticket] = FakeTicket({"warn": await stage.in_future(minutes=5)})
    async with stage.working():
        await stage.processes.start(sla_of(stage.ticket))
        await result_of(stage)
    assert len(set(stage.tickets.request_ids)) == 2


async def test_a_ticket_that_is_opened_again_gets_its_process_again(stage: Stage) -> None:
    ticket = stage.tickets.tickets[stage.ticket] = FakeTicket()
    async with stage.working():
        await stage.processes.start(sla_of(stage.ticket))
        await result_of(stage)
        ticket.ended, ticket.deadlines = False, {"breach": await stage.in_future(minutes=5)}
        await stage.processes.start(sla_of(stage.ticket))
        await result_of(stage)
    assert [done.what for done in ticket.done] == ["breach"]


async def test_an_event_told_again_after_the_end_asks_once_and_ends(stage: Stage) -> None:
    ticket = stage.tickets.tickets[stage.ticket] = FakeTicket(ended=True)
    async with stage.working():
        await stage.processes.start(sla_of(stage.ticket))
        await result_of(stage)
        await stage.processes.start(sla_of(stage.ticket))
        assert await result_of(stage) == {"ticket": stage.ticket, "evaluations": 1}
    assert ticket.done == []


async def test_a_change_that_arrives_while_it_hears_of_the_end_is_not_lost(stage: Stage) -> None:
    ticket = stage.tickets.tickets[stage.ticket] = FakeTicket(ended=True)
    stage.tickets.gate.clear()
    async with stage.working():
        await stage.processes.start(sla_of(stage.ticket))
        await evaluations(stage, 1)
        ticket.ended, ticket.deadlines = False, {"breach": await stage.in_future(minutes=5)}
        await changed(stage)
        stage.tickets.gate.set()
        await result_of(stage)
    assert [done.what for done in ticket.done] == ["breach"]


def reason_of(failure: WorkflowFailureError) -> str | None:
    """Return the service's reason, for which a process failed."""
    assert isinstance(failure.cause, ActivityError)
    assert isinstance(failure.cause.cause, ApplicationError)
    return failure.cause.cause.type
