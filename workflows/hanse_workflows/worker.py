"""The worker of one unit: connects to Temporal, and runs the unit's processes with what starts and heals them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import grpc
import structlog
from temporalio.client import Client
from temporalio.contrib.opentelemetry import TracingInterceptor
from temporalio.service import RPCError
from temporalio.worker import Interceptor, Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from hanse.log.tables import LogTables
from hanse.runtime import Runtime
from hanse.temporal import connect
from hanse_workflows.backoff import Backoff
from hanse_workflows.complaint.activities import ComplaintActivities
from hanse_workflows.complaint.workflow import ComplaintWorkflow
from hanse_workflows.escalation.activities import EscalationActivities
from hanse_workflows.escalation.workflow import EscalationWorkflow
from hanse_workflows.handling.interventions import paused_among
from hanse_workflows.handling.pausing import PausedProcesses
from hanse_workflows.processes import Processes, task_queue_of
from hanse_workflows.reconciler import INTERVAL_SECONDS, Reconciler
from hanse_workflows.shifts import Shifts
from hanse_workflows.sla.activities import SlaActivities
from hanse_workflows.sla.workflow import SlaWorkflow
from hanse_workflows.sources import Source, group_tickets, own_tickets, routing_decisions
from hanse_workflows.starter import Starter
from hanse_workflows.store import Store

MAX_CACHED_PROCESSES = 500
"""How many sleeping processes stay in memory, about 20 kB each; the others are replayed from history when they wake."""
MAX_CONCURRENT_ACTIVITIES = 16
"""How many requests are made of the unit's services at the same time: their pool of connections is about as large."""
STICKY_TIMEOUT = timedelta(seconds=2)
"""How long a process that wakes waits for the worker that has it in memory, before any other replays it. Temporal's
default of 10 seconds is what every deadline would be late by after a worker was killed."""
HEAD_START_SECONDS = 10.0
"""How long what is overdue is done before the processes are: on two cores they would only be in each other's way."""
DRAIN = timedelta(seconds=5)
"""How long activities may finish when the worker stops."""

SHARED_MODULES = ("hanse", "hanse_protos", "google", "grpc", "opentelemetry", "structlog")
"""Imported once, not again for each process: they are large, and keep no state that a process could see."""
SANDBOX = SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*SHARED_MODULES))

logger = structlog.get_logger(__name__)


class Waiting:
    """All waiting of one unit. At headquarters it needs the log tables that the units' copies are kept in."""

    def __init__(
        self,
        runtime: Runtime,
        federation_log: LogTables | None = None,
        *,
        reconcile_interval_seconds: float = INTERVAL_SECONDS,
    ) -> None:
        self._runtime = runtime
        self._federation_log = federation_log
        self._reconcile_interval_seconds = reconcile_interval_seconds

    async def run(self) -> None:
        """Run until cancelled. While Temporal is away, try to reach it; what is running drains before it returns."""
        async with self._runtime.channel("waiting") as channel, asyncio.TaskGroup() as tasks:
            tasks.create_task(Shifts(self._runtime.unit, channel).run(), name="shifts")
            tasks.create_task(self._run_processes(channel), name="processes")

    async def _run_processes(self, channel: grpc.aio.Channel) -> None:
        backoff = Backoff()
        while True:
            try:
                client = await self._connect()
                store = Store(client)
                await store.ensure_namespace()
                backoff.reset()
                logger.info("connected to Temporal", namespace=client.namespace)
                await self._work(client, store, channel)
            except (RPCError, RuntimeError) as error:
                # Temporal's client reports a refused connection, and its worker a lost one, as RuntimeError.
                delay_seconds = backoff.after_failure()
                logger.warning("waiting for Temporal", error=str(error), seconds=round(delay_seconds, 1))
                await asyncio.sleep(delay_seconds)

    async def _connect(self) -> Client:
        return await connect(
            self._runtime.settings,
            identity=f"{self._runtime.unit}/services/waiting",
            # The older of the two integrations: it takes the process's own tracer provider as it is.
            interceptors=[TracingInterceptor()],
        )

    async def _work(self, client: Client, store: Store, channel: grpc.aio.Channel) -> None:
        processes = Processes(client, self._runtime.unit)
        starter, reconciler = self._starter(processes, channel), self._reconciler(store, processes, channel)
        await reconciler.catch_up(HEAD_START_SECONDS)
        async with self._worker(client, channel), asyncio.TaskGroup() as tasks:
            tasks.create_task(starter.run(), name="starter")
            tasks.create_task(reconciler.run(), name="reconciler")

    def _starter(self, processes: Processes, channel: grpc.aio.Channel) -> Starter:
        sources = self._sources(channel)
        if self._federation_log:
            sources.append(routing_decisions(self._federation_log, channel))
        return Starter(self._runtime.database, self._runtime.wakeup, processes, sources)

    def _reconciler(self, store: Store, processes: Processes, channel: grpc.aio.Channel) -> Reconciler:
        interval_seconds = self._reconcile_interval_seconds
        sources = self._sources(channel)
        return Reconciler(self._runtime.database, processes, store, sources, interval_seconds=interval_seconds)

    def _sources(self, channel: grpc.aio.Channel) -> list[Source]:
        """Return the logs of what the unit's processes wait for, one for each kind of process."""
        sources = [own_tickets(self._runtime.unit, channel)]
        if self._federation_log:
            sources.append(group_tickets(self._federation_log, channel))
        return sources

    def _worker(self, client: Client, channel: grpc.aio.Channel) -> Worker:
        with_escalation = self._federation_log is not None
        paused = PausedProcesses(self._is_paused)
        return make_worker(client, self._runtime.unit, channel, with_escalation=with_escalation, interceptors=[paused])

    async def _is_paused(self, process_id: str) -> bool:
        return bool(await self._runtime.database.read(paused_among, [process_id]))


def make_worker(
    client: Client,
    unit: str,
    channel: grpc.aio.Channel,
    *,
    with_escalation: bool,
    interceptors: Sequence[Interceptor] = (),
) -> Worker:
    """Return the worker of a unit, whose activities call services over the channel."""
    workflows: list[type] = [SlaWorkflow, ComplaintWorkflow]
    activities: list[Callable[..., Any]] = [
        SlaActivities(channel).evaluate_clocks,
        ComplaintActivities(channel).evaluate_complaint,
    ]
    if with_escalation:
        routing = EscalationActivities(channel)
        workflows += [EscalationWorkflow]
        activities += [routing.offer_engagement, routing.expire_offer]
    return Worker(
        client,
        task_queue=task_queue_of(unit),
        workflows=workflows,
        activities=activities,
        workflow_runner=SANDBOX,
        interceptors=interceptors,
        max_cached_workflows=MAX_CACHED_PROCESSES,
        sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
        max_concurrent_activities=MAX_CONCURRENT_ACTIVITIES,
        graceful_shutdown_timeout=DRAIN,
    )
