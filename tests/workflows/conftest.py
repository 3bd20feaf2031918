"""Two stages, with services in memory: a worker on the time-skipping server; a whole unit on real servers."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import pytest
from temporalio.api.testservice.v1 import LockTimeSkippingRequest, UnlockTimeSkippingRequest
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from hanse.local.temporal import EmbeddedTemporal
from hanse.names import HEADQUARTERS
from hanse.work import CommandExecutor
from hanse_workflows.handling import servicer as handling
from hanse_workflows.model import SCHEMA as WAITING_SCHEMA
from hanse_workflows.processes import Process, Processes
from hanse_workflows.worker import make_worker
from tests.support import MakeDatabase, MakeRuntime, Serve
from tests.workflows.fake_complaints import FakeComplaints
from tests.workflows.fake_teams import FakeTeams
from tests.workflows.fakes import FakeRouting, FakeTickets, channel_to
from tests.workflows.unit import NAMESPACE, Unit, create_schemas

UNIT = "units/hq"
RESULT_SECONDS = 20.0
"""How long a process may take in real time, whatever time it skips."""
_numbers = count(1)


@pytest.fixture
async def skipping() -> AsyncIterator[WorkflowEnvironment]:
    """A server whose time jumps to the next timer while a test waits for a result or sleeps.

    It starts in a tenth of a second, and each test has its own: processes that a test leaves would haunt the next one.
    """
    program = Path(sys.executable).parent / "temporal-test-server"
    async with await WorkflowEnvironment.start_time_skipping(test_server_existing_path=str(program)) as environment:
        yield environment


@dataclass
class Stage:
    """What a test of a process works with."""

    environment: WorkflowEnvironment
    channel: grpc.aio.Channel
    tickets: FakeTickets
    complaints: FakeComplaints
    routing: FakeRouting
    ticket: str = field(default_factory=lambda: f"{UNIT}/tickets/t{next(_numbers)}")

    @property
    def engagement(self) -> str:
        return f"{self.ticket}/engagements/e1"

    @property
    def complaint(self) -> str:
        return f"{self.ticket}/complaints/c1"

    @property
    def processes(self) -> Processes:
        return Processes(self.environment.client, UNIT)

    def handle(self, process: Process) -> WorkflowHandle[Any, Any]:
        return self.environment.client.get_workflow_handle(process.id)

    async def result_of(self, process: Process) -> object:
        """Let time skip until the process has ended, and return its outcome."""
        service = self.environment.client.test_service
        await service.unlock_time_skipping(UnlockTimeSkippingRequest())
        try:
            async with asyncio.timeout(RESULT_SECONDS):
                return await self.handle(process).result()
        finally:
            await service.lock_time_skipping(LockTimeSkippingRequest())

    async def in_future(self, **parts: float) -> datetime:
        """Return a time that lies ahead by the server's clock."""
        return await self.environment.get_current_time() + timedelta(**parts)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Run a worker."""
        async with make_worker(self.environment.client, UNIT, self.channel, with_escalation=True):
            yield


@pytest.fixture
async def stage(skipping: WorkflowEnvironment) -> AsyncIterator[Stage]:
    now = skipping.get_current_time
    tickets, complaints, routing = FakeTickets(now), FakeComplaints(now), FakeRouting(now)
    async with AsyncExitStack() as stack:
        channel = await stack.enter_async_context(channel_to(tickets, complaints, routing))
        yield Stage(skipping, channel, tickets, complaints, routing)


@pytest.fixture
async def temporal(tmp_path: Path) -> AsyncIterator[EmbeddedTemporal]:
    async with EmbeddedTemporal(tmp_path / "temporal", namespaces=[NAMESPACE]) as server:
        yield server


@pytest.fixture
async def unit(
    temporal: EmbeddedTemporal, make_database: MakeDatabase, make_runtime: MakeRuntime, serve: Serve
) -> AsyncIterator[Unit]:
    url = make_database()
    create_schemas(url)
    runtime = make_runtime(
        HEADQUARTERS, database_url=url, temporal_address=temporal.address, temporal_namespace=NAMESPACE
    )
    tickets, complaints, routing, teams = FakeTickets(), FakeComplaints(), FakeRouting(), FakeTeams()
    executor = CommandExecutor(runtime.database, WAITING_SCHEMA, HEADQUARTERS)
    desk = [tickets.served, complaints.served, teams.served]
    caller = await serve(runtime, [*desk, routing.served, *handling.served(runtime, executor)])
    unit = Unit(runtime, temporal, tickets, complaints, routing, teams, caller)
    wakeup = asyncio.create_task(runtime.wakeup.run())
    yield unit
    wakeup.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await wakeup
