"""The processes as those see them who start and wake them: one id for one thing that is waited for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from hanse.names import short_unit
from hanse_workflows.escalation.types import EscalationInput
from hanse_workflows.sla.types import SlaInput

SLA = "sla"
ESCALATION = "escalation"

TASK_TIMEOUT = timedelta(seconds=5)
"""How long a worker may take for one step of a process. Temporal's default of 10 seconds is what a process would lose
when the worker that had taken its step was killed; a step of ours takes milliseconds, and a full replay a second."""


def task_queue_of(unit: str) -> str:
    """Return the name of a unit's task queue."""
    return f"hanse-{short_unit(unit)}"


@dataclass(frozen=True, slots=True)
class Process:
    """A waiting process, which may run, or not, or not any more."""

    workflow: str
    """The name of its workflow type."""
    input: SlaInput | EscalationInput
    wake_signal: str
    """The signal that has it ask its service again."""
    id: str


def sla_of(ticket: str) -> Process:
    """Return the process that watches a ticket's clocks."""
    return Process(SLA, SlaInput(ticket), "changed", f"{SLA}:{ticket}")


def escalation_of(engagement: str) -> Process:
    """Return the process that finds a provider for an engagement."""
    return Process(ESCALATION, EscalationInput(engagement), "answered", f"{ESCALATION}:{engagement}")


class Processes:
    """Starts and wakes the processes of one unit. Each method raises RPCError where Temporal does not answer."""

    def __init__(self, client: Client, unit: str) -> None:
        self._client = client
        self._task_queue = task_queue_of(unit)

    async def start(self, process: Process) -> None:
        """Start a process, unless it runs: then nothing happens. It begins by asking its service."""
        await self._start(process, signal=None)

    async def wake(self, process: Process) -> None:
        """Have a process ask its service from now on: wake it, or start it where it does not run."""
        await self._start(process, signal=process.wake_signal)

    async def wake_running(self, process: Process) -> None:
        """Wake a process if it runs: there is no need to start one that would only find out that it may end."""
        try:
            await self._client.get_workflow_handle(process.id).signal(process.wake_signal)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise

    async def running_ids(self, workflow: str) -> AsyncIterator[str]:
        """Yield the ids of the processes of one type that run, as Temporal's index has them: a moment late."""
        query = f"WorkflowType = '{workflow}' AND ExecutionStatus = 'Running'"
        async for execution in self._client.list_workflows(query):
            yield execution.id

    async def _start(self, process: Process, signal: str | None) -> None:
        await self._client.start_workflow(
            process.workflow,
            process.input,
            id=process.id,
            task_queue=self._task_queue,
            task_timeout=TASK_TIMEOUT,
            start_signal=signal,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            # A ticket that was over may be opened again, and needs its process again.
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        )
