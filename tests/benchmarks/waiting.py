"""Waiting: an SLA process that ends before anything is due, against a bare workflow with one timer and one signal.

Both on one Temporal, in turns. Ours is the whole way: tickets are in a real ticket service, the starter reads their
events in the log, asks the service when something is due, and tells Temporal; then the tickets are resolved, and the
starter ends their processes. The bare one is the least that one would write with the SDK alone: start, set a timer,
hear the signal, complete, on a worker in the same process. Opening and resolving tickets is not counted: that is the
same whoever waits.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from temporalio.client import Client

from hanse.identity import Role
from hanse.local.postgres import EmbeddedPostgres
from hanse.local.temporal import EmbeddedTemporal
from hanse.runtime import Runtime
from hanse.temporal import connect
from hanse_protos.ticket.v1.service_pb2 import ResolveTicketRequest
from hanse_protos.ticket.v1.service_pb2_grpc import TicketServiceStub
from hanse_workflows.processes import MAX_CONCURRENT_CALLS, Processes
from hanse_workflows.sources import own_tickets
from hanse_workflows.starter import Starter
from tests.benchmarks.bare_waiting import bare_worker, run_bare
from tests.benchmarks.callers import UNIT, request
from tests.benchmarks.report import Report
from tests.benchmarks.units import (
    READY_SECONDS,
    STOP_SECONDS,
    enact_policy,
    is_listening,
    prepare_unit,
    roles_process,
)

if TYPE_CHECKING:
    from hanse_protos.ticket.v1.service_pb2_grpc import TicketServiceAsyncStub

TARGET_RATIO = 1.5
PROCESSES = 300
"""In each turn: a turn takes seconds, and the starter takes them in one batch."""
TURNS = 5
NAMESPACE = "hanse-shanghai"
HANSE, BARE = "sla process", "bare workflow"
CONCURRENT_REQUESTS = 32


@dataclass(frozen=True)
class Desk:
    """A unit's ticket service in a process of its own, and the unit's starter in this one."""

    tickets: TicketServiceAsyncStub
    starter: Starter
    client: Client

    async def open(self, count: int) -> list[str]:
        """Open tickets and return their names."""
        return await _each(self._open_one, [""] * count)

    async def resolve(self, tickets: Sequence[str]) -> None:
        """Resolve tickets."""
        await _each(self._resolve_one, tickets)

    async def _open_one(self, _: str) -> str:
        return (await self.tickets.CreateTicket(request())).name

    async def _resolve_one(self, ticket: str) -> str:
        asked = ResolveTicketRequest(name=ticket, solution="Stecker gesteckt.", request_id=str(uuid4()))
        return (await self.tickets.ResolveTicket(asked)).name


async def _each(call: Callable[[str], Awaitable[str]], names: Sequence[str]) -> list[str]:
    """Call for each name, some at a time."""
    calls = asyncio.Semaphore(CONCURRENT_REQUESTS)

    async def one(name: str) -> str:
        async with calls:
            return await call(name)

    return await asyncio.gather(*map(one, names))


async def measure(folder: Path, quick: bool) -> Report:
    """Measure both, in turns, after one turn of each to warm up."""
    report = Report("waiting")
    count, turns = (30, 2) if quick else (PROCESSES, TURNS)
    rates: dict[str, list[float]] = {HANSE: [], BARE: []}
    async with desk_in(folder) as desk, bare_worker(desk.client):
        for _ in range(1 + turns):
            rates[HANSE].append(count / await _sla_turn(desk, count))
            rates[BARE].append(count / await _bare_turn(desk.client, count))
    ours, bare = (report.add(name, turns_of[1:], "processes/s") for name, turns_of in rates.items())
    report.at_least("ratio of the medians", ours.median / bare.median, TARGET_RATIO)
    report.notes.append(f"{count} processes a turn, for both {MAX_CONCURRENT_CALLS} calls of Temporal at a time.")
    return report


@asynccontextmanager
async def desk_in(folder: Path) -> AsyncIterator[Desk]:
    """Run a unit's ticket service, its PostgreSQL and its Temporal for the length of a block."""
    async with (
        EmbeddedPostgres(folder / "postgres") as postgres,
        EmbeddedTemporal(folder / "temporal", namespaces=[NAMESPACE]) as temporal,
    ):
        settings = await prepare_unit(
            UNIT, folder, postgres, temporal_address=temporal.address, temporal_namespace=NAMESPACE
        )
        runtime = Runtime(settings)
        await enact_policy(runtime.database, "hanse_services.ticket")
        process = roles_process(settings, ["serve"])
        await process.start(lambda: is_listening(settings, settings.serve_address), deadline_seconds=READY_SECONDS)
        try:
            async with runtime.channel("benchmark", Role.AGENT, Role.SYSTEM) as channel:
                client = await connect(settings)
                starter = Starter(
                    runtime.database, runtime.wakeup, Processes(client, UNIT), [own_tickets(UNIT, channel)]
                )
                yield Desk(TicketServiceStub(channel), starter, client)
        finally:
            await process.stop(grace_seconds=STOP_SECONDS)
            await runtime.close()


async def _sla_turn(desk: Desk, count: int) -> float:
    """Return the seconds that the processes of so many tickets take, from the events to their end."""
    tickets = await desk.open(count)
    seconds = await _seconds_of(desk.starter.catch_up())
    await desk.resolve(tickets)
    return seconds + await _seconds_of(desk.starter.catch_up())


async def _bare_turn(client: Client, count: int) -> float:
    return await _seconds_of(run_bare(client, [f"bare:{uuid4()}" for _ in range(count)]))


async def _seconds_of(part: Awaitable[None]) -> float:
    start = time.perf_counter()
    await part
    return time.perf_counter() - start
