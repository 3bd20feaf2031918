"""What a recorded `sla` process lives through: one function for each way that the clocks of a ticket can go.

Each takes its process from its start to where its history is worth keeping, in real time, with deadlines of a second.
"""

from __future__ import annotations

from hanse.errors import RoleMissing, Unavailable
from hanse_workflows.processes import Process, sla_of
from tests.replay.scene import FAR_SECONDS, MOST_WAKES, Scene, soon
from tests.workflows.fakes import FakeTicket


async def ended_at_once(scene: Scene) -> Process:
    process = await scene.begin_sla(FakeTicket(ended=True))
    await scene.closed(process)
    return process


async def warned_and_breached(scene: Scene) -> Process:
    process = await scene.begin_sla(FakeTicket({"warn": soon(1), "breach": soon(2)}))
    await scene.closed(process)
    return process


async def stood_and_resumed(scene: Scene) -> Process:
    ticket = FakeTicket({"breach": soon(0)}, paused=True)
    process = await scene.begin_sla(ticket)
    await scene.settled()
    ticket.paused, ticket.deadlines = False, {"breach": soon()}
    await scene.change(process)
    await scene.closed(process)
    return process


async def paused_while_waiting(scene: Scene) -> Process:
    ticket = FakeTicket({"breach": soon(FAR_SECONDS)})
    process = await scene.begin_sla(ticket)
    await scene.settled()
    ticket.paused = True
    await scene.change(process)
    await scene.asked(2)
    await scene.settled()
    return process


async def resolved_while_waiting(scene: Scene) -> Process:
    ticket = FakeTicket({"breach": soon(FAR_SECONDS)})
    process = await scene.begin_sla(ticket)
    await scene.settled()
    ticket.ended = True
    await scene.change(process)
    await scene.closed(process)
    return process


async def changed_while_it_asked(scene: Scene) -> Process:
    scene.tickets.gate.clear()
    ticket = FakeTicket({"breach": soon(FAR_SECONDS)})
    process = await scene.begin_sla(ticket)
    ticket.ended = True
    await scene.change(process)
    scene.tickets.gate.set()
    await scene.closed(process)
    return process


async def reopened_as_it_ended(scene: Scene) -> Process:
    scene.tickets.gate.clear()
    ticket = FakeTicket(ended=True)
    process = await scene.begin_sla(ticket)
    ticket.ended, ticket.deadlines = False, {"breach": soon()}
    await scene.change(process)
    scene.tickets.gate.set()
    await scene.closed(process)
    return process


async def service_was_down(scene: Scene) -> Process:
    scene.tickets.failures = [Unavailable(), Unavailable()]
    process = await scene.begin_sla(FakeTicket(ended=True))
    await scene.closed(process)
    return process


async def ticket_is_missing(scene: Scene) -> Process:
    process = sla_of(scene.ticket)
    await scene.processes.start(process)
    await scene.closed(process)
    return process


async def waits_for_its_time(scene: Scene) -> Process:
    process = await scene.begin_sla(FakeTicket({"breach": soon(FAR_SECONDS)}))
    await scene.settled()
    return process


async def stands(scene: Scene) -> Process:
    process = await scene.begin_sla(FakeTicket({"breach": soon()}, paused=True))
    await scene.settled()
    return process


async def changed_so_often_that_it_continued(scene: Scene) -> Process:
    process = await scene.begin_sla(FakeTicket({"breach": soon(FAR_SECONDS)}))
    for times in range(2, MOST_WAKES):
        await scene.change(process)
        await scene.asked(times)
    return process


async def began_when_something_was_due(scene: Scene) -> Process:
    due_time = soon(2)
    scene.tickets.tickets[scene.ticket] = FakeTicket({"breach": due_time})
    process = sla_of(scene.ticket)
    await scene.processes.wake(process, due_time)
    await scene.closed(process)
    return process


async def began_after_everything_was_due(scene: Scene) -> Process:
    process = await scene.begin_sla(FakeTicket({"warn": soon(-20), "climb": soon(-10), "breach": soon(-1)}))
    await scene.closed(process)
    return process


async def ended_by_the_starter_while_it_waited(scene: Scene) -> Process:
    process = await scene.begin_sla(FakeTicket({"warn": soon(0), "breach": soon(FAR_SECONDS)}))
    await scene.settled()
    await scene.end(process)
    return process


async def ended_by_the_starter_while_it_asked(scene: Scene) -> Process:
    scene.tickets.gate.clear()
    process = await scene.begin_sla(FakeTicket({"breach": soon(FAR_SECONDS)}))
    await scene.end(process)
    scene.tickets.gate.set()
    return process


async def warned_and_waits(scene: Scene) -> Process:
    process = await scene.begin_sla(FakeTicket({"warn": soon(), "breach": soon(FAR_SECONDS)}))
    await scene.asked(2)
    await scene.settled()
    return process


async def warned_and_resolved(scene: Scene) -> Process:
    ticket = FakeTicket({"warn": soon(), "breach": soon(FAR_SECONDS)})
    process = await scene.begin_sla(ticket)
    await scene.asked(2)
    await scene.settled()
    ticket.ended = True
    await scene.change(process)
    await scene.closed(process)
    return process


async def warned_paused_and_resumed(scene: Scene) -> Process:
    ticket = FakeTicket({"warn": soon(), "breach": soon(FAR_SECONDS)})
    process = await scene.begin_sla(ticket)
    await scene.asked(2)
    ticket.paused = True
    await scene.change(process)
    await scene.asked(3)
    ticket.paused, ticket.deadlines = False, {"breach": soon()}
    await scene.change(process)
    await scene.closed(process)
    return process


async def stood_until_it_was_resolved(scene: Scene) -> Process:
    ticket = FakeTicket({"breach": soon()}, paused=True)
    process = await scene.begin_sla(ticket)
    await scene.settled()
    ticket.ended = True
    await scene.change(process)
    await scene.closed(process)
    return process


async def stood_twice(scene: Scene) -> Process:
    ticket = FakeTicket({"breach": soon(FAR_SECONDS)}, paused=True)
    process = await scene.begin_sla(ticket)
    for times in range(2, 5):
        ticket.paused = not ticket.paused
        await scene.change(process)
        await scene.asked(times)
    ticket.ended = True
    await scene.change(process)
    await scene.closed(process)
    return process


async def breached_and_waits_for_the_solution(scene: Scene) -> Process:
    ticket = FakeTicket({"breach": soon()}, ends_with_last_deadline=False)
    process = await scene.begin_sla(ticket)
    await scene.asked(2)
    await scene.settled()
    ticket.ended = True
    await scene.change(process)
    await scene.closed(process)
    return process


async def climbed_step_by_step(scene: Scene) -> Process:
    deadlines = {f"step {number}": soon(number) for number in range(1, 6)}
    process = await scene.begin_sla(FakeTicket(deadlines))
    await scene.closed(process)
    return process


async def steps_so_many_that_it_continued(scene: Scene) -> Process:
    deadlines = {f"step {number}": soon(number * 0.6) for number in range(1, MOST_WAKES)}
    process = await scene.begin_sla(FakeTicket(deadlines))
    await scene.closed(process)
    return process


async def deadline_came_closer(scene: Scene) -> Process:
    ticket = FakeTicket({"breach": soon(FAR_SECONDS)})
    process = await scene.begin_sla(ticket)
    await scene.settled()
    ticket.deadlines = {"breach": soon()}
    await scene.change(process)
    await scene.closed(process)
    return process


async def deadline_moved_away(scene: Scene) -> Process:
    ticket = FakeTicket({"breach": soon(3)})
    process = await scene.begin_sla(ticket)
    await scene.settled()
    ticket.deadlines = {"breach": soon(FAR_SECONDS)}
    await scene.change(process)
    await scene.asked(2)
    await scene.settled()
    return process


async def changed_many_times_while_it_asked(scene: Scene) -> Process:
    scene.tickets.gate.clear()
    ticket = FakeTicket({"breach": soon(FAR_SECONDS)})
    process = await scene.begin_sla(ticket)
    for _ in range(4):
        await scene.change(process)
    ticket.ended = True
    scene.tickets.gate.set()
    await scene.closed(process)
    return process


async def service_was_down_at_the_deadline(scene: Scene) -> Process:
    process = await scene.begin_sla(FakeTicket({"warn": soon(2), "breach": soon(3)}))
    scene.tickets.failures = [Unavailable(), Unavailable()]
    await scene.closed(process)
    return process


async def service_did_not_answer_in_time(scene: Scene) -> Process:
    scene.tickets.gate.clear()
    process = await scene.begin_sla(FakeTicket(ended=True))
    await scene.asked(2)
    scene.tickets.gate.set()
    await scene.closed(process)
    return process


async def ticket_vanished_before_the_breach(scene: Scene) -> Process:
    process = await scene.begin_sla(FakeTicket({"warn": soon(0), "breach": soon(2)}))
    await scene.settled()
    del scene.tickets.tickets[scene.ticket]
    await scene.closed(process)
    return process


async def was_not_allowed_to_ask(scene: Scene) -> Process:
    scene.tickets.failures = [RoleMissing()]
    process = await scene.begin_sla(FakeTicket({"breach": soon()}))
    await scene.closed(process)
    return process
