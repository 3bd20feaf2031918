"""The stage on which a recorded process lives: names and services of its own, and what scenarios do with them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from temporalio.client import Client, WorkflowExecutionStatus

from hanse_workflows.processes import Process, Processes, complaint_of, escalation_of, sla_of
from hanse_workflows.sla.workflow import SlaWorkflow
from tests.workflows.fake_complaints import FakeComplaint, FakeComplaints
from tests.workflows.fakes import FakeEngagement, FakeRouting, FakeTicket, FakeTickets, eventually

UNIT = "units/hq"
SUGGESTED_EVENTS = 80
"""At how many events the recording server suggests to continue as new; no other scenario comes near it."""
MOST_WAKES = 20
"""How often a process is woken until it continues as new."""


@dataclass
class Scene:
    """The stage of one scenario: services and names of its own."""

    client: Client
    tickets: FakeTickets
    complaints: FakeComplaints
    routing: FakeRouting
    name: str

    @property
    def ticket(self) -> str:
        return f"{UNIT}/tickets/{self.name.replace('_', '-')}"

    @property
    def engagement(self) -> str:
        return f"{self.ticket}/engagements/e1"

    @property
    def complaint(self) -> str:
        return f"{self.ticket}/complaints/c1"

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

    async def begin_complaint(self, complaint: FakeComplaint) -> Process:
        """Start a complaint's process, and return it when it has asked once."""
        self.complaints.complaints[self.complaint] = complaint
        process = complaint_of(self.complaint)
        await self.processes.start(process)
        await self.asked_about_complaint(1)
        return process

    async def asked_about_complaint(self, times: int) -> None:
        await eventually(lambda: len(self.complaints.request_ids) >= times)

    async def change(self, process: Process) -> None:
        """Tell a ticket's process that the ticket is not what it was."""
        await self.client.get_workflow_handle(process.id).signal(SlaWorkflow.changed)

    async def end(self, process: Process) -> None:
        """End a process, as the starter does with one that is needed no more."""
        await self.processes.end(process, "nothing is left to wait for")

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


def soon(seconds: float = 1) -> datetime:
    """Return a time that lies ahead."""
    return datetime.now(UTC) + timedelta(seconds=seconds)


FAR_SECONDS = 86_400.0
