"""The whole of a unit's waiting on real servers: from a log in PostgreSQL to processes in Temporal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from google.protobuf.message import Message
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError

from hanse.database import with_driver
from hanse.local.temporal import EmbeddedTemporal
from hanse.log.append import append
from hanse.log.events import Origin, new_event
from hanse.names import HEADQUARTERS, stream_name
from hanse.runtime import Runtime
from hanse.schema import ServiceSchema
from hanse_protos.federation.v1 import group_pb2
from hanse_protos.ticket.v1 import events_pb2, ticket_pb2
from hanse_workflows.processes import Process, escalation_of, sla_of
from hanse_workflows.worker import Waiting
from tests.support import MakeDatabase, MakeRuntime, Serve
from tests.workflows.fakes import FakeEngagement, FakeRouting, FakeTicket, FakeTickets, eventually

NAMESPACE = "units-hq"
TICKET_SCHEMA, FEDERATION_SCHEMA = ServiceSchema("ticket"), ServiceSchema("federation")
TICKET = "units/hq/tickets/t1"
SHANGHAI_TICKET = "units/shanghai/tickets/t1"
ENGAGEMENT = f"{SHANGHAI_TICKET}/engagements/e1"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PUNCTUAL = timedelta(seconds=1)
PATIENCE_SECONDS = 20.0
WAITING_PROCESS = str(Path(__file__).with_name("waiting_process.py"))


@dataclass
class Unit:
    """Headquarters with a ticket service and a routing in memory, on a real log and a real Temporal."""

    runtime: Runtime
    temporal: EmbeddedTemporal
    tickets: FakeTickets
    routing: FakeRouting

    async def tell(
        self, payload: Message, resource: str, *, schema: ServiceSchema = TICKET_SCHEMA, unit: str = HEADQUARTERS
    ) -> None:
        """Append an event to a unit's ticket log, or to headquarters' copy of it."""
        entry = new_event(Origin(unit, f"{unit}/agents/li", trace_context=TRACE), resource, payload, datetime.now(UTC))
        await self.runtime.database.write(_append, schema, stream_name(unit, "ticket"), entry)

    @asynccontextmanager
    async def waiting(self, *, at_headquarters: bool = True) -> AsyncIterator[None]:
        """Run the unit's waiting, with a short time between comparisons."""
        log = FEDERATION_SCHEMA.log if at_headquarters else None
        work = asyncio.create_task(Waiting(self.runtime, log, reconcile_interval_seconds=1).run())
        try:
            yield
        finally:
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work

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

    async def runs_of(self, process: Process) -> list[WorkflowExecutionStatus | None]:
        """Return the states of all runs of a process, once Temporal's index has caught up."""
        await asyncio.sleep(0.5)
        executions = (await self.client()).list_workflows(f"WorkflowId = '{process.id}'")
        return [execution.status async for execution in executions]

    async def sees_runs(self, process: Process, states: list[WorkflowExecutionStatus]) -> None:
        """Return when these are the states of all runs of a process."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self.runs_of(process) != states:
                pass


def _append(session: Session, schema: ServiceSchema, stream: str, entry: object) -> None:
    append(session, schema.log, stream, [entry])


def _create_schemas(url: str) -> None:
    engine = create_engine(with_driver(url, "psycopg"))
    with engine.begin() as connection:
        for schema in (TICKET_SCHEMA, FEDERATION_SCHEMA):
            connection.execute(text(f"CREATE SCHEMA {schema.name}"))
            schema.metadata.create_all(connection)
    engine.dispose()


@pytest.fixture
async def temporal(tmp_path: Path) -> AsyncIterator[EmbeddedTemporal]:
    async with EmbeddedTemporal(tmp_path / "temporal", namespaces=[NAMESPACE]) as server:
        yield server


@pytest.fixture
async def unit(
    temporal: EmbeddedTemporal, make_database: MakeDatabase, make_runtime: MakeRuntime, serve: Serve
) -> AsyncIterator[Unit]:
    url = make_database()
    _create_schemas(url)
    runtime = make_runtime(
        HEADQUARTERS, database_url=url, temporal_address=temporal.address, temporal_namespace=NAMESPACE
    )
    unit = Unit(runtime, temporal, FakeTickets(), FakeRouting())
    await serve(runtime, [unit.tickets.served, unit.routing.served])
    wakeup = asyncio.create_task(runtime.wakeup.run())
    yield unit
    wakeup.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await wakeup


def in_seconds(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def opened(state: ticket_pb2.TicketState = ticket_pb2.NEW, name: str = TICKET) -> events_pb2.TicketOpened:
    return events_pb2.TicketOpened(ticket=ticket_pb2.TicketSummary(name=name, state=state))


def commented() -> events_pb2.TicketCommented:
    return events_pb2.TicketCommented(ticket=ticket_pb2.TicketSummary(name=TICKET, state=ticket_pb2.IN_PROGRESS))


def requested() -> events_pb2.EngagementRequested:
    summary = ticket_pb2.EngagementSummary(name=ENGAGEMENT, state=ticket_pb2.REQUESTED, home="units/shanghai")
    return events_pb2.EngagementRequested(engagement=summary)


async def test_an_opened_ticket_is_watched_and_its_deadline_met_within_a_second(unit: Unit) -> None:
    async with unit.waiting():
        # The worker has connected.
        await unit.tell(opened(name="units/hq/tickets/t0"), "units/hq/tickets/t0")
        await asyncio.sleep(1)
        ticket = unit.tickets.tickets[TICKET] = FakeTicket({"breach": in_seconds(3)})
        await unit.tell(opened(), TICKET)
        await eventually(lambda: ticket.done)
    [done] = ticket.done
    assert timedelta() <= done.lateness <= PUNCTUAL


async def test_a_process_begins_when_something_is_due_and_not_before(unit: Unit) -> None:
    due_time = in_seconds(3600)
    unit.tickets.tickets[TICKET] = FakeTicket({"breach": due_time})
    async with unit.waiting():
        await unit.tell(opened(), TICKET)
        assert abs(await unit.begin_time_of(sla_of(TICKET)) - due_time) <= PUNCTUAL
    assert unit.tickets.request_ids == []


async def test_an_event_moves_the_time_at_which_the_process_begins(unit: Unit) -> None:
    ticket = unit.tickets.tickets[TICKET] = FakeTicket({"breach": in_seconds(3600)})
    async with unit.waiting():
        await unit.tell(opened(), TICKET)
        await unit.begin_time_of(sla_of(TICKET))
        ticket.deadlines = {"breach": in_seconds(1)}
        await unit.tell(commented(), TICKET)
        await eventually(lambda: ticket.done)


async def test_a_ticket_whose_clocks_stand_has_no_process_until_they_go_on(unit: Unit) -> None:
    ticket = unit.tickets.tickets[TICKET] = FakeTicket({"breach": in_seconds(3600)})
    async with unit.waiting():
        await unit.tell(opened(), TICKET)
        await unit.begin_time_of(sla_of(TICKET))
        ticket.paused = True
        await unit.tell(commented(), TICKET)
        await unit.sees_runs(sla_of(TICKET), [WorkflowExecutionStatus.TERMINATED])
        ticket.paused, ticket.deadlines = False, {"breach": in_seconds(1)}
        summary = ticket_pb2.TicketSummary(name=TICKET, state=ticket_pb2.IN_PROGRESS)
        await unit.tell(events_pb2.TicketResumed(ticket=summary), TICKET)
        await eventually(lambda: ticket.done)


async def test_a_ticket_that_ends_before_something_is_due_was_never_asked_about(unit: Unit) -> None:
    ticket = unit.tickets.tickets[TICKET] = FakeTicket({"breach": in_seconds(3600)})
    async with unit.waiting():
        await unit.tell(opened(), TICKET)
        await unit.begin_time_of(sla_of(TICKET))
        ticket.ended = True
        await unit.tell(events_pb2.TicketResolved(ticket=opened(ticket_pb2.RESOLVED).ticket), TICKET)
        await unit.sees_runs(sla_of(TICKET), [WorkflowExecutionStatus.TERMINATED])
    assert unit.tickets.request_ids == []


async def test_the_calls_carry_the_trace_of_the_event(unit: Unit) -> None:
    async with unit.waiting():
        # The reconciler, which would start it without a trace, has compared by now.
        await unit.tell(opened(name="units/hq/tickets/t0"), "units/hq/tickets/t0")
        await asyncio.sleep(0.5)
        unit.tickets.tickets[TICKET] = FakeTicket({"breach": in_seconds(0)})
        await unit.tell(opened(), TICKET)
        await eventually(lambda: unit.tickets.request_ids)
    trace_ids = {traceparent.split("-")[1] for traceparent in unit.tickets.traceparents}
    assert trace_ids == {TRACE.split("-")[1]}


async def test_a_ticket_whose_whole_life_is_in_the_log_starts_nothing(unit: Unit) -> None:
    await unit.tell(opened(), TICKET)
    summary = ticket_pb2.TicketSummary(name=TICKET, state=ticket_pb2.CLOSED)
    await unit.tell(events_pb2.TicketClosed(ticket=summary), TICKET)
    other = "units/hq/tickets/t2"
    unit.tickets.tickets[other] = FakeTicket({"breach": in_seconds(3600)})
    async with unit.waiting():
        await unit.tell(opened(name=other), other)
        await unit.begin_time_of(sla_of(other))
    assert await unit.runs_of(sla_of(TICKET)) == []


async def test_events_told_again_start_no_second_process(unit: Unit) -> None:
    ticket = unit.tickets.tickets[TICKET] = FakeTicket({"breach": in_seconds(4)})
    for _ in range(2):
        async with unit.waiting():
            await unit.tell(opened(), TICKET)
            await unit.begin_time_of(sla_of(TICKET))
            await unit.runtime.database.write(_forget_cursor)
    async with unit.waiting():
        await eventually(lambda: ticket.done)
        await unit.result_of(sla_of(TICKET))
    assert [done.what for done in ticket.done] == ["breach"]


async def test_headquarters_escalates_what_a_unit_asks_for(unit: Unit) -> None:
    engagement = unit.routing.engagements[ENGAGEMENT] = FakeEngagement(["units/munich", HEADQUARTERS])
    async with unit.waiting():
        await unit.tell(requested(), ENGAGEMENT, schema=FEDERATION_SCHEMA, unit="units/shanghai")
        await eventually(lambda: engagement.open_offer)
        engagement.answer(group_pb2.DECLINED)
        declined = events_pb2.EngagementDeclined(engagement=requested().engagement)
        await unit.tell(declined, ENGAGEMENT, schema=FEDERATION_SCHEMA, unit="units/munich")
        await eventually(lambda: len(engagement.offers) == 2)
        engagement.answer(group_pb2.ACCEPTED)
        accepted = events_pb2.EngagementAccepted(engagement=requested().engagement)
        await unit.tell(accepted, ENGAGEMENT, schema=FEDERATION_SCHEMA, unit=HEADQUARTERS)
        outcome = await unit.result_of(escalation_of(ENGAGEMENT))
    assert outcome == {"engagement": ENGAGEMENT, "offers": 2, "expired": 0}


async def test_a_restarted_worker_goes_on_at_once(unit: Unit) -> None:
    ticket = unit.tickets.tickets[TICKET] = FakeTicket({"breach": in_seconds(3)})
    async with unit.waiting():
        await unit.tell(opened(), TICKET)
        await unit.begin_time_of(sla_of(TICKET))
    async with unit.waiting():
        await eventually(lambda: ticket.done)
    [done] = ticket.done
    assert done.lateness <= timedelta(seconds=5)


async def test_a_killed_worker_does_what_became_due_once_within_five_seconds_of_its_return(unit: Unit) -> None:
    ticket = unit.tickets.tickets[TICKET] = FakeTicket({"notice": in_seconds(0)})
    async with worker_process(unit) as first:
        await unit.tell(opened(), TICKET)
        await eventually(lambda: ticket.done, seconds=PATIENCE_SECONDS)
        ticket.ended, ticket.deadlines = False, {"warn": in_seconds(2), "breach": in_seconds(3)}
        await unit.tell(commented(), TICKET)
        await unit.begin_time_of(sla_of(TICKET))
        first.kill()
        await asyncio.sleep(3)
    assert [done.what for done in ticket.done] == ["notice"]
    async with worker_process(unit):
        return_time = datetime.now(UTC)
        await eventually(lambda: len(ticket.done) == 3)
    assert [done.what for done in ticket.done] == ["notice", "warn", "breach"]
    assert all(done.time - return_time <= timedelta(seconds=5) for done in ticket.done)


async def test_a_worker_that_was_killed_while_it_asked_asks_the_same_again(unit: Unit) -> None:
    unit.tickets.tickets[TICKET] = FakeTicket({"breach": in_seconds(0)})
    unit.tickets.gate.clear()
    async with worker_process(unit) as first:
        await unit.tell(opened(), TICKET)
        await eventually(lambda: unit.tickets.request_ids, seconds=PATIENCE_SECONDS)
        first.kill()
    unit.tickets.gate.set()
    async with worker_process(unit):
        assert await unit.result_of(sla_of(TICKET)) == {"ticket": TICKET, "evaluations": 1}
    assert len(set(unit.tickets.request_ids)) == 1


async def test_a_lost_store_is_rebuilt_with_the_original_deadlines(unit: Unit) -> None:
    due_time = in_seconds(6)
    names = [f"units/hq/tickets/t{number}" for number in range(5)]
    for name in names:
        unit.tickets.tickets[name] = FakeTicket({"breach": due_time})
    engagement = unit.routing.engagements[ENGAGEMENT] = FakeEngagement(["units/munich", HEADQUARTERS])
    async with unit.waiting():
        for name in names:
            await unit.tell(opened(name=name), name)
            await unit.begin_time_of(sla_of(name))
        await eventually(lambda: engagement.open_offer)
        await _wipe(unit.temporal)
        await eventually(lambda: all(unit.tickets.tickets[name].done for name in names), seconds=PATIENCE_SECONDS)
        engagement.answer(group_pb2.ACCEPTED)
    done = [done for name in names for done in unit.tickets.tickets[name].done]
    assert [one.due_time for one in done] == [due_time] * len(names)


async def test_a_store_that_is_lost_while_nobody_works_is_rebuilt_at_the_start(unit: Unit) -> None:
    ticket = unit.tickets.tickets[TICKET] = FakeTicket({"breach": in_seconds(4)})
    async with unit.waiting():
        await unit.tell(opened(), TICKET)
        await unit.begin_time_of(sla_of(TICKET))
    await _wipe(unit.temporal)
    async with unit.waiting():
        await eventually(lambda: ticket.done)
    assert len(ticket.done) == 1


async def test_a_unit_makes_its_namespace_where_it_is_missing(unit: Unit, make_runtime: MakeRuntime) -> None:
    ticket = unit.tickets.tickets[TICKET] = FakeTicket({"breach": in_seconds(1)})
    runtime = make_runtime(
        HEADQUARTERS,
        database_url=unit.runtime.settings.database_url,
        serve_address=unit.runtime.settings.serve_address,
        temporal_address=unit.temporal.address,
        temporal_namespace="units-new",
    )
    await unit.tell(opened(), TICKET)
    async with Unit(runtime, unit.temporal, unit.tickets, unit.routing).waiting(at_headquarters=False):
        await eventually(lambda: ticket.done, seconds=PATIENCE_SECONDS)


async def test_it_waits_for_a_temporal_that_comes_later(unit: Unit) -> None:
    ticket = unit.tickets.tickets[TICKET] = FakeTicket({"breach": in_seconds(1)})
    await unit.temporal.stop()
    async with unit.waiting():
        await unit.tell(opened(), TICKET)
        await asyncio.sleep(0.5)
        await unit.temporal.start()
        await eventually(lambda: ticket.done, seconds=PATIENCE_SECONDS)


@asynccontextmanager
async def worker_process(unit: Unit) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the unit's waiting in a process of its own; at the end it is killed, if it still lives."""
    settings = unit.runtime.settings.model_dump(mode="json", exclude_none=True)
    environment = os.environ | {f"HANSE_{name.upper()}": str(value) for name, value in settings.items()}
    process = await asyncio.create_subprocess_exec(
        sys.executable, WAITING_PROCESS, env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        assert await process.stdout.readline() == b"up\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def _forget_cursor(session: Session) -> None:
    session.execute(TICKET_SCHEMA.log.cursor.delete())


async def _wipe(temporal: EmbeddedTemporal) -> None:
    """Lose Temporal's store."""
    await temporal.stop()
    for file in temporal.data_dir.glob("temporal.sqlite*"):
        file.unlink()
    await temporal.start()
