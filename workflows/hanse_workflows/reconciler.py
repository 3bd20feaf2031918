"""The reconciler: what the services say is open is what runs.

The starter alone keeps them equal as long as Temporal keeps what it was told. The reconciler heals the rest: a store
that was lost, or restored from an older backup, and a process that failed because its service refused it for a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

import grpc
import structlog
from temporalio.service import RPCError

from hanse.rpc.client import remote_error
from hanse_protos.federation.v1.group_pb2 import ListOpenEngagementsRequest
from hanse_protos.federation.v1.group_pb2_grpc import RoutingServiceStub
from hanse_protos.ticket.v1.service_pb2 import ListOpenClocksRequest
from hanse_protos.ticket.v1.service_pb2_grpc import TicketServiceStub
from hanse_workflows.backoff import Backoff
from hanse_workflows.processes import ESCALATION, SLA, Process, Processes, escalation_of, sla_of

INTERVAL_SECONDS = 60.0
"""How long a lost process stays lost at most. A comparison costs a few pages from each side."""
PAGE_SIZE = 500

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class OpenWork:
    """What a service has open, by the type of process that it needs."""

    workflow: str
    pages: Callable[[], AsyncIterator[Sequence[Process]]]


def open_clocks(channel: grpc.aio.Channel) -> OpenWork:
    """Return the tickets whose clocks the unit's ticket service has open."""
    tickets = TicketServiceStub(channel)

    async def pages() -> AsyncIterator[Sequence[Process]]:
        request = ListOpenClocksRequest(page_size=PAGE_SIZE)
        while True:
            answer = await tickets.ListOpenClocks(request)
            yield [sla_of(ticket) for ticket in answer.tickets]
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    return OpenWork(SLA, pages)


def open_engagements(channel: grpc.aio.Channel) -> OpenWork:
    """Return the engagements for which headquarters' routing still looks for a provider."""
    routing = RoutingServiceStub(channel)

    async def pages() -> AsyncIterator[Sequence[Process]]:
        request = ListOpenEngagementsRequest(page_size=PAGE_SIZE)
        while True:
            answer = await routing.ListOpenEngagements(request)
            yield [escalation_of(engagement) for engagement in answer.engagements]
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    return OpenWork(ESCALATION, pages)


class Reconciler:
    """Starts what should run and does not."""

    def __init__(
        self, processes: Processes, works: Sequence[OpenWork], *, interval_seconds: float = INTERVAL_SECONDS
    ) -> None:
        self._processes = processes
        self._works = works
        self._interval_seconds = interval_seconds

    async def run(self) -> None:
        """Wake all that is open once, and from then on start what lacks, until cancelled."""
        await self._until_answered(self.wake_all)
        while True:
            await asyncio.sleep(self._interval_seconds)
            await self._until_answered(self.start_missing)

    async def wake_all(self) -> None:
        """Start or wake a process for everything that is open: a restored store may hold older deadlines."""
        for work in self._works:
            async for page in work.pages():
                for process in page:
                    await self._processes.wake(process)

    async def start_missing(self) -> None:
        """Start a process for everything that is open and has none."""
        for work in self._works:
            running = {process_id async for process_id in self._processes.running_ids(work.workflow)}
            async for page in work.pages():
                for process in page:
                    if process.id not in running:
                        await self._processes.start(process)

    async def _until_answered(self, reconcile: Callable[[], Awaitable[None]]) -> None:
        """Repeat while the service or Temporal does not answer: at the start of a unit, both may come later than we."""
        backoff = Backoff()
        while True:
            try:
                return await reconcile()
            except (RPCError, grpc.RpcError) as error:
                delay_seconds = backoff.after_failure()
                logger.warning("the reconciler waits", error=_text_of(error), seconds=round(delay_seconds, 1))
                await asyncio.sleep(delay_seconds)


def _text_of(error: RPCError | grpc.RpcError) -> str:
    return str(remote_error(error)) if isinstance(error, grpc.RpcError) else str(error)
