"""What the recorded processes live through: one function for each branch of a workflow.

Each takes its process from its start to where its history is worth keeping, in real time, with deadlines of a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from temporalio.client import Client, WorkflowExecutionStatus

from hanse.errors import PolicyMissing, Unavailable
from hanse_protos.federation.v1 import group_pb2
from hanse_workflows.processes import Process, Processes, escalation_of, sla_of
from hanse_workflows.sla.workflow import SlaWorkflow
from tests.workflows.fakes import FakeEngagement, FakeRouting, FakeTicket, FakeTickets, eventually

UNIT = "units/hq"
SUGGESTED_EVENTS = 80
"""At how many events the recording server suggests to continue as new; no other scenario comes near it."""
_MOST_WAKES = 20


@dataclass
class Scene:
    """The stage of one scenario: services and names of its own."""

    client: Client
    tickets: FakeTickets
    routing: FakeRouting
    name: str

    @property
    def ticket(self) -> str:
        return f"{UNIT}/tickets/{self.name.replace('_', '-')}"

    @property
    def engagement(self) -> str:
        return f"{self.ticket}/engagements/e1"

    @property
    def processes(self) -> Processes:
        return Processes(self.client, UNIT)

    async def begin_sla(self, ticket: FakeTicket) -> Process:
        """Start a ticket's process, and return it when it has asked once."""
        self.tickets.tickets[self.ticket] = ticket
        process = sla_of(self.ticket)
        await self.processes.start(process)
        await self.asked(1)
        return process

    async def begin_escalation(self, *candidates: str) -> tuple[Process, FakeEngagement]:
        """Start an engagement's process, and return both when the first offer is made."""
        engagement = self.routing.engagements[self.engagement] = FakeEngagement(
            list(candidates), timeout=timedelta(seconds=1)
        )
        process = escalation_of(self.engagement)
        await self.processes.start(process)
        await eventually(lambda: engagement.offers)
        return process, engagement

    async def change(self, process: Process) -> None:
        """Tell a ticket's process that the ticket is not what it was."""
        await self.client.get_workflow_handle(process.id).signal(SlaWorkflow.changed)

    async def asked(self, times: int) -> None:
        await eventually(lambda: len(self.tickets.request_ids) >= times)

    async def closed(self, process: Process) -> None:
        """Return when the process's first run is over, however it went."""
        handle = self.client.get_workflow_handle(process.id)
        first_run = self.client.get_workflow_handle(process.id, run_id=(await handle.describe()).run_id)
        async with asyncio.timeout(20):
            while (await first_run.describe()).status == WorkflowExecutionStatus.RUNNING:  # noqa: ASYNC110 - not our event
                await asyncio.sleep(0.05)

    async def settled(self) -> None:
        """Let the last answer reach the history."""
        await asyncio.sleep(0.5)


Scenario = Callable[[Scene], Awaitable[Process]]


def _soon(seconds: float = 1) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


_FAR_SECONDS = 86_400.0


# The clocks of a ticket.


async def ended_at_once(scene: Scene) -> Process:
    process = await scene.begin_sla(FakeTicket(ended=True))
    await scene.closed(process)
    return process


async def warned_and_breached(scene: Scene) -> Process:
    process = await scene.begin_sla(FakeTicket({"warn": _soon(1), "breach": _soon(2)}))
    await scene.closed(process)
    return process


async def stood_and_resumed(scene: Scene) -> Process:
    ticket = FakeTicket({"breach": _soon(0)}, paused=True)
    process = await scene.begin_sla(ticket)
    await scene.settled()
    ticket.paused, ticket.deadlines = False, {"breach": _soon()}
    await scene.change(process)
    await scene.closed(process)
    return process


async def paused_while_waiting(scene: Scene) -> Process:
    ticket = FakeTicket({"breach": _soon(_FAR_SECONDS)})
    process = await scene.begin_sla(ticket)
    await scene.settled()
    ticket.paused = True
    await scene.change(process)
    await scene.asked(2)
    await scene.settled()
    return process


async def resolved_while_waiting(scene: Scene) -> Process:
    ticket = FakeTicket({"breach": _soon(_FAR_SECONDS)})
    process = await scene.begin_sla(ticket)
    await scene.settled()
    ticket.ended = True
    await scene.change(process)
    await scene.closed(process)
    return process


async def changed_while_it_asked(scene: Scene) -> Process:
    scene.tickets.gate.clear()
    ticket = FakeTicket({"breach": _soon(_FAR_SECONDS)})
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
    ticket.ended, ticket.deadlines = False, {"breach": _soon()}
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
    process = await scene.begin_sla(FakeTicket({"breach": _soon(_FAR_SECONDS)}))
    await scene.settled()
    return process


async def stands(scene: Scene) -> Process:
    process = await scene.begin_sla(FakeTicket({"breach": _soon()}, paused=True))
    await scene.settled()
    return process


async def changed_so_often_that_it_continued(scene: Scene) -> Process:
    process = await scene.begin_sla(FakeTicket({"breach": _soon(_FAR_SECONDS)}))
    for times in range(2, _MOST_WAKES):
        await scene.change(process)
        await scene.asked(times)
    return process


# The provider of an engagement.


async def accepted(scene: Scene) -> Process:
    process, engagement = await scene.begin_escalation("units/munich", "units/hq")
    engagement.timeout = timedelta(days=1)
    engagement.answer(group_pb2.ACCEPTED)
    await scene.processes.wake(process)
    await scene.closed(process)
    return process


async def declined_and_accepted(scene: Scene) -> Process:
    process, engagement = await scene.begin_escalation("units/munich", "units/porto", "units/hq")
    engagement.answer(group_pb2.DECLINED)
    await scene.processes.wake(process)
    await eventually(lambda: len(engagement.offers) == 2)
    engagement.answer(group_pb2.ACCEPTED)
    await scene.processes.wake(process)
    await scene.closed(process)
    return process


async def expired_and_accepted(scene: Scene) -> Process:
    process, engagement = await scene.begin_escalation("units/munich", "units/porto", "units/hq")
    await eventually(lambda: len(engagement.offers) == 2)
    engagement.answer(group_pb2.ACCEPTED)
    await scene.processes.wake(process)
    await scene.closed(process)
    return process


async def nobody_but_the_final_owner(scene: Scene) -> Process:
    process, engagement = await scene.begin_escalation("units/munich", "units/porto", "units/hq")
    await eventually(lambda: len(engagement.offers) == 3)
    await scene.settled()
    engagement.answer(group_pb2.ACCEPTED)
    await scene.processes.wake(process)
    await scene.closed(process)
    return process


async def withdrawn(scene: Scene) -> Process:
    process, engagement = await scene.begin_escalation("units/munich", "units/hq")
    engagement.withdrawn = True
    await scene.processes.wake(process)
    await scene.closed(process)
    return process


async def settled_before_it_asked(scene: Scene) -> Process:
    scene.routing.engagements[scene.engagement] = FakeEngagement(["units/hq"], withdrawn=True)
    process = escalation_of(scene.engagement)
    await scene.processes.wake(process)
    await scene.closed(process)
    return process


async def acceptance_met_the_expiry(scene: Scene) -> Process:
    process, engagement = await scene.begin_escalation("units/munich", "units/hq")
    engagement.answer(group_pb2.ACCEPTED)
    await scene.closed(process)
    return process


async def woken_for_nothing(scene: Scene) -> Process:
    process, engagement = await scene.begin_escalation("units/hq")
    for _ in range(2):
        await scene.processes.wake(process)
        await scene.settled()
    engagement.answer(group_pb2.ACCEPTED)
    await scene.processes.wake(process)
    await scene.closed(process)
    return process


async def engagement_is_missing(scene: Scene) -> Process:
    process = escalation_of(scene.engagement)
    await scene.processes.start(process)
    await scene.closed(process)
    return process


async def no_policy_in_force(scene: Scene) -> Process:
    scene.routing.failures = [PolicyMissing()]
    return await engagement_is_missing(scene)


async def routing_was_down(scene: Scene) -> Process:
    scene.routing.failures = [Unavailable()]
    return await settled_before_it_asked(scene)


async def waits_for_the_final_owner(scene: Scene) -> Process:
    process, _engagement = await scene.begin_escalation("units/hq")
    await scene.settled()
    return process


async def woken_so_often_that_it_continued(scene: Scene) -> Process:
    process, _engagement = await scene.begin_escalation("units/hq")
    for times in range(2, _MOST_WAKES):
        await scene.processes.wake(process)
        await eventually(lambda: len(scene.routing.request_ids) >= times)  # noqa: B023 - it is awaited at once.
    return process


SCENARIOS: dict[str, list[Scenario]] = {
    "sla": [
        ended_at_once, warned_and_breached, stood_and_resumed, paused_while_waiting, resolved_while_waiting,
        changed_while_it_asked, reopened_as_it_ended, service_was_down, ticket_is_missing, waits_for_its_time,
        stands, changed_so_often_that_it_continued,
    ],
    "escalation": [
        accepted, declined_and_accepted, expired_and_accepted, nobody_but_the_final_owner, withdrawn,
        settled_before_it_asked, acceptance_met_the_expiry, woken_for_nothing, engagement_is_missing,
        no_policy_in_force, routing_was_down, waits_for_the_final_owner, woken_so_often_that_it_continued,
    ],
}  # fmt: skip
