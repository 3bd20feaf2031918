"""The processes as those see them who start and wake them: one id for one thing that is waited for.

There are two ways to have a process ask its service again.

- **By time.** A process whose service knows when something is due next begins at that time and not before: Temporal
  keeps it as one delayed start, and no worker hears of it. When the time changes it is replaced by one that begins at
  the new time, and when nothing is left to wait for it is ended. It knows nothing that its service does not, so
  nothing is lost with it. Most end without having begun, which makes waiting cheap.
- **By signal.** A process that has to answer at once runs all the time, and is woken by its signal.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from hanse.names import short_unit
from hanse_workflows.complaint.types import ComplaintInput
from hanse_workflows.escalation.types import EscalationInput
from hanse_workflows.sla.types import SlaInput

SLA = "sla"
COMPLAINT = "complaint"
ESCALATION = "escalation"

TASK_TIMEOUT = timedelta(seconds=5)
"""How long a worker may take for one step of a process. Temporal's default of 10 seconds is what a process would lose
when the worker that had taken its step was killed; a step of ours takes milliseconds, and a full replay a second."""

MAX_CONCURRENT_CALLS = 16
"""How many processes are told at the same time; the development server has one file and gains nothing from more."""


def task_queue_of(unit: str) -> str:
    """Return the name of a unit's task queue."""
    return f"hanse-{short_unit(unit)}"


@dataclass(frozen=True, slots=True)
class Process:
    """A waiting process, which may run, or not, or not any more."""

    workflow: str
    """The name of its workflow type."""
    input: SlaInput | ComplaintInput | EscalationInput
    wake_signal: str | None
    """The signal that has it ask its service again; none where it is replaced by one that begins at another time."""
    id: str

    @property
    def resource(self) -> str:
        """What it waits for something about, "units/shanghai/tickets/3k9m2x-4t7qzd"."""
        return self.id.partition(":")[2]


def sla_of(ticket: str) -> Process:
    """Return the process that watches a ticket's clocks."""
    return Process(SLA, SlaInput(ticket), None, f"{SLA}:{ticket}")


def complaint_of(complaint: str) -> Process:
    """Return the process that watches the times of a complaint."""
    return Process(COMPLAINT, ComplaintInput(complaint), None, f"{COMPLAINT}:{complaint}")


def escalation_of(engagement: str) -> Process:
    """Return the process that finds a provider for an engagement."""
    return Process(ESCALATION, EscalationInput(engagement), "answered", f"{ESCALATION}:{engagement}")


class Processes:
    """Starts, wakes and ends the processes of one unit. Each method raises RPCError where Temporal does not answer."""

    def __init__(self, client: Client, unit: str) -> None:
        self._client = client
        self._task_queue = task_queue_of(unit)

    async def start(self, process: Process, begin_time: datetime | None = None) -> None:
        """Start a process, unless there is one: then nothing happens. It asks its service first.

        It begins at its time; at once where that is past, or where there is none.
        """
        await self._start(process, begin_time)

    async def wake(self, process: Process, begin_time: datetime | None = None) -> None:
        """Have a process ask its service: at once by its signal, or at a time by replacing it. Start what lacks."""
        if process.wake_signal:
            await self._start(process, signal=process.wake_signal)
        else:
            await self.replace(process, begin_time)

    async def replace(self, process: Process, begin_time: datetime | None = None) -> None:
        """Start a process, and end the one that there is. It asks its service first, at its time."""
        await self._start(process, begin_time, if_running=WorkflowIDConflictPolicy.TERMINATE_EXISTING)

    async def release(self, process: Process) -> None:
        """Tell a process, if it runs, that it is needed no more: it is ended, or finds out when its signal wakes it."""
        if process.wake_signal:
            with _if_it_runs():
                await self._client.get_workflow_handle(process.id).signal(process.wake_signal)
        else:
            await self.end(process, "nothing is left to wait for")

    async def end(self, process: Process, reason: str) -> None:
        """End a process, if it runs."""
        with _if_it_runs():
            await self._client.get_workflow_handle(process.id).terminate(reason=reason)

    async def running(self, workflow: str) -> dict[str, datetime]:
        """Return the processes of one type that run, by id, and when each begins or has begun.

        That is as Temporal's index has it: a moment late.
        """
        query = f"WorkflowType = '{workflow}' AND ExecutionStatus = 'Running'"
        executions = self._client.list_workflows(query)
        return {one.id: one.execution_time or one.start_time async for one in executions}

    async def _start(
        self,
        process: Process,
        begin_time: datetime | None = None,
        *,
        signal: str | None = None,
        if_running: WorkflowIDConflictPolicy = WorkflowIDConflictPolicy.USE_EXISTING,
    ) -> None:
        await self._client.start_workflow(
            process.workflow,
            process.input,
            id=process.id,
            task_queue=self._task_queue,
            task_timeout=TASK_TIMEOUT,
            start_delay=_delay_until(begin_time),
            start_signal=signal,
            id_conflict_policy=if_running,
            # A ticket that was over may be opened again, and needs its process again.
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        )


@contextmanager
def _if_it_runs() -> Iterator[None]:
    """Do nothing to a process that does not run."""
    try:
        yield
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise


def _delay_until(begin_time: datetime | None) -> timedelta | None:
    if begin_time is None or (delay := begin_time - datetime.now(UTC)) <= timedelta(0):
        return None
    return delay
