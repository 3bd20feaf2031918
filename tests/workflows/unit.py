"""A unit whose services are in memory, with its waiting on a real log and a real Temporal."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from google.protobuf.message import Message
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError

from hanse.database import with_driver
from hanse.local.temporal import EmbeddedTemporal
from hanse.log.append import Entry, append
from hanse.log.events import Origin, new_event
from hanse.log.follow import read_cursor, read_head
from hanse.names import HEADQUARTERS, stream_name
from hanse.runtime import Runtime
from hanse.schema import ServiceSchema
from hanse_protos.ticket.v1 import complaint_pb2, events_pb2, ticket_pb2
from hanse_workflows.model import SCHEMA as WAITING_SCHEMA
from hanse_workflows.processes import Process, sla_of
from hanse_workflows.starter import FOLLOWER
from hanse_workflows.worker import Waiting
from tests.support import Caller
from tests.workflows.fake_complaints import FakeComplaints
from tests.workflows.fake_teams import FakeTeams
from tests.workflows.fakes import FakeRouting, FakeTicket, FakeTickets

NAMESPACE = "units-hq"
TICKET_SCHEMA, FEDERATION_SCHEMA = ServiceSchema("ticket"), ServiceSchema("federation")
FIRST_TICKET, TICKET = "units/hq/tickets/t0", "units/hq/tickets/t1"
SHANGHAI_TICKET = "units/shanghai/tickets/t1"
ENGAGEMENT = f"{SHANGHAI_TICKET}/engagements/e1"
COMPLAINT = f"{TICKET}/complaints/c1"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PATIENCE_SECONDS = 20.0
NEVER_SECONDS = 600.0
"""Between two comparisons, for what must not need one."""
FAR_SECONDS = 8.0
"""How far off a deadline is that has to outlast a start on a busy machine, and then to pass."""


@dataclass
class Unit:
    """Headquarters with a ticket service and a routing in memory, on a real log and a real Temporal."""

    runtime: Runtime
    temporal: EmbeddedTemporal
    tickets: FakeTickets
    complaints: FakeComplaints
    routing: FakeRouting
    teams: FakeTeams
    caller: Caller

    async def tell(
        self,
        payload: Message,
        resource: str,
        *,
        schema: ServiceSchema = TICKET_SCHEMA,
        unit: str = HEADQUARTERS,
        trace: str = TRACE,
        service: str = "ticket",
    ) -> None:
        """Append an event to a unit's ticket log, to headquarters' copy of it, or to another service's log."""
        entry = new_event(Origin(unit, f"{unit}/agents/li", trace_context=trace), resource, payload, datetime.now(UTC))
        await self.runtime.database.write(_append, schema, stream_name(unit, service), entry)

    @asynccontextmanager
    async def waiting(
        self, *, at_headquarters: bool = True, reconcile_interval_seconds: float = 1
    ) -> AsyncIterator[None]:
        """Run the unit's waiting, with a short time between comparisons."""
        log = FEDERATION_SCHEMA.log if at_headquarters else None
        waiting = Waiting(self.runtime, log, reconcile_interval_seconds=reconcile_interval_seconds)
        work = asyncio.create_task(waiting.run())
        try:
            yield
        finally:
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work

    async def lose_store(self) -> None:
        """Lose Temporal's store, and start it with an empty one."""
        await self.temporal.stop()
        for file in self.temporal.data_dir.glob("temporal.sqlite*"):
            file.unlink()
        await self.temporal.start()

    async def client(self) -> Client:
        return await Client.connect(self.temporal.address, namespace=NAMESPACE)

    async def result_of(self, process: Process) -> object:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await (await self.client()).get_workflow_handle(process.id).result()

    async def begin_time_of(self, process: Process) -> datetime:
        """Return when a process begins, as soon as there is one."""
        handle = (await self.client()).get_workflow_handle(process.id)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                with contextlib.suppress(RPCError):
                    execution = await handle.describe()
                    if execution.status == WorkflowExecutionStatus.RUNNING and execution.execution_time:
                        return execution.execution_time
                await asyncio.sleep(0.05)

    async def sees_it_work(self) -> None:
        """Return once the waiting starts processes: it has connected, and what was overdue before is done."""
        self.tickets.tickets[FIRST_TICKET] = FakeTicket({"breach": in_seconds(3600)})
        await self.tell(opened(name=FIRST_TICKET), FIRST_TICKET)
        await self.begin_time_of(sla_of(FIRST_TICKET))

    async def sees_all_told(self) -> None:
        """Return once the starter has told the processes of all that is in the unit's ticket log."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await self.runtime.database.read(_is_all_told):  # noqa: ASYNC110 - the log says it to nobody
                await asyncio.sleep(0.05)

    async def runs_of(self, process: Process) -> list[WorkflowExecutionStatus | None]:
        """Return the states of all runs of a process, once Temporal's index has caught up."""
        await asyncio.sleep(0.5)
        executions = (await self.client()).list_workflows(f"WorkflowId = '{process.id}'")
        return [execution.status async for execution in executions]

    async def sees_it_ended(self, process: Process) -> None:
        """Return when there was a process and none of its runs goes on: each was ended or replaced."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while set(await self.runs_of(process)) != {WorkflowExecutionStatus.TERMINATED}:
                pass


def _append(session: Session, schema: ServiceSchema, stream: str, entry: Entry) -> None:
    append(session, schema.log, stream, [entry])


def _is_all_told(session: Session) -> bool:
    stream = stream_name(HEADQUARTERS, "ticket")
    told = read_cursor(session, TICKET_SCHEMA.log, FOLLOWER, stream)
    head = read_head(session, TICKET_SCHEMA.log, stream)
    return (told.epoch, told.sequence) == (head.epoch, head.sequence)


def create_schemas(url: str) -> None:
    engine = create_engine(with_driver(url, "psycopg"))
    with engine.begin() as connection:
        for schema in (TICKET_SCHEMA, FEDERATION_SCHEMA, WAITING_SCHEMA):
            connection.execute(text(f"CREATE SCHEMA {schema.name}"))
            schema.metadata.create_all(connection)
    engine.dispose()


def in_seconds(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


async def passed(due_time: datetime) -> None:
    """Return a second after a time."""
    await asyncio.sleep((due_time - datetime.now(UTC)).total_seconds() + 1)


def opened(state: ticket_pb2.TicketState.ValueType = ticket_pb2.NEW, name: str = TICKET) -> events_pb2.TicketOpened:
    return events_pb2.TicketOpened(ticket=ticket_pb2.TicketSummary(name=name, state=state))


def commented() -> events_pb2.TicketCommented:
    return events_pb2.TicketCommented(ticket=ticket_pb2.TicketSummary(name=TICKET, state=ticket_pb2.IN_PROGRESS))


def complained(
    state: complaint_pb2.ComplaintState.ValueType = complaint_pb2.COMPLAINT_OPEN,
) -> events_pb2.ComplaintOpened:
    return events_pb2.ComplaintOpened(complaint=complaint_pb2.ComplaintSummary(name=COMPLAINT, state=state))


def requested() -> events_pb2.EngagementRequested:
    summary = ticket_pb2.EngagementSummary(name=ENGAGEMENT, state=ticket_pb2.REQUESTED, home="units/shanghai")
    return events_pb2.EngagementRequested(engagement=summary)
