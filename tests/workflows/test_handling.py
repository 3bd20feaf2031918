"""Handling a process by hand, on real servers: what a person asks for is what happens, and shows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, cast
from uuid import uuid4

import pytest

from hanse.errors import ResourceNotFound, Unavailable
from hanse.identity import Role
from hanse.rpc.client import RemoteError, remote_errors
from hanse.rpc.interceptor import Context
from hanse.work import CommandExecutor
from hanse_protos.federation.v1 import group_pb2
from hanse_protos.waiting.v1 import processes_pb2 as pb
from hanse_protos.waiting.v1.processes_pb2_grpc import ProcessServiceStub
from hanse_workflows.handling.servicer import ProcessServicer
from hanse_workflows.model import SCHEMA as WAITING_SCHEMA
from hanse_workflows.processes import complaint_of, escalation_of, sla_of
from tests.support import MakeRuntime
from tests.workflows.fake_complaints import FakeComplaint
from tests.workflows.fakes import FakeEngagement, FakeTicket, eventually
from tests.workflows.unit import (
    COMPLAINT,
    ENGAGEMENT,
    FAR_SECONDS,
    FEDERATION_SCHEMA,
    NEVER_SECONDS,
    PATIENCE_SECONDS,
    TICKET,
    Unit,
    commented,
    complained,
    in_seconds,
    opened,
    passed,
    requested,
)

if TYPE_CHECKING:
    from hanse_protos.waiting.v1.processes_pb2_grpc import ProcessServiceAsyncStub

SLA_ID, ESCALATION_ID = sla_of(TICKET).id, escalation_of(ENGAGEMENT).id
REASON = "The customer is at the fair until Friday."
LEAD = "units/hq/agents/li"


def processes_at(unit: Unit, role: Role = Role.LEAD) -> ProcessServiceAsyncStub:
    return ProcessServiceStub(unit.caller.channel(role))


def pause(process_id: str = SLA_ID) -> pb.PauseProcessRequest:
    return pb.PauseProcessRequest(id=process_id, reason=REASON, request_id=str(uuid4()))


def resume(process_id: str = SLA_ID) -> pb.ResumeProcessRequest:
    return pb.ResumeProcessRequest(id=process_id, request_id=str(uuid4()))


def retry(process_id: str = SLA_ID) -> pb.RetryProcessRequest:
    return pb.RetryProcessRequest(id=process_id, request_id=str(uuid4()))


async def reason_of(call: Awaitable[object]) -> str:
    """Return the reason for which a call is refused."""
    with pytest.raises(RemoteError) as refusal, remote_errors():
        await call
    return refusal.value.reason


async def watched(unit: Unit, ticket: FakeTicket) -> FakeTicket:
    """Open a ticket, and return it when its process is planned."""
    unit.tickets.tickets[TICKET] = ticket
    await unit.tell(opened(), TICKET)
    await unit.begin_time_of(sla_of(TICKET))
    return ticket


async def failing(processes: ProcessServiceAsyncStub) -> pb.Process:
    """Return the process of the ticket, once it is the only one and has failed more than once."""
    request = pb.ListProcessesRequest(parent="units/hq", kind="sla")
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            listed = (await processes.ListProcesses(request)).processes
            if [one.state for one in listed] == [pb.FAILING] and listed[0].tries > 2:
                return listed[0]
            await asyncio.sleep(0.2)


async def test_a_paused_process_does_nothing_until_it_is_resumed(unit: Unit) -> None:
    processes = processes_at(unit)
    async with unit.waiting():
        due_time = in_seconds(FAR_SECONDS)
        ticket = await watched(unit, FakeTicket({"breach": due_time}))
        shown = await processes.PauseProcess(pause())
        assert (shown.state, shown.interventions[0].reason, shown.interventions[0].actor) == (pb.PAUSED, REASON, LEAD)
        # Neither an event nor the reconciler, which compares every second, starts it again.
        await unit.tell(commented(), TICKET)
        await passed(due_time)
        assert ticket.done == []
        listed = await processes.ListProcesses(pb.ListProcessesRequest(parent="units/hq"))
        assert [(one.id, one.state) for one in listed.processes] == [(SLA_ID, pb.PAUSED)]
        await processes.ResumeProcess(resume())
        await eventually(lambda: ticket.done)
    kinds = [one.kind for one in (await processes.GetProcess(pb.GetProcessRequest(id=SLA_ID))).interventions]
    assert kinds == [pb.Intervention.PAUSE, pb.Intervention.RESUME]


async def test_no_activity_of_a_paused_process_begins_even_where_the_process_runs(unit: Unit) -> None:
    ticket = unit.tickets.tickets[TICKET] = FakeTicket({"breach": in_seconds(0)})
    # While nobody works, nothing is known to Temporal yet; the starter passes the process over, so we start it.
    await processes_at(unit).PauseProcess(pause())
    client = await unit.client()
    await client.start_workflow("sla", sla_of(TICKET).input, id=SLA_ID, task_queue="hanse-hq")
    async with unit.waiting():
        await asyncio.sleep(3)
        assert (ticket.done, unit.tickets.request_ids) == ([], [])


async def test_a_pause_is_known_after_temporals_store_is_lost(unit: Unit) -> None:
    async with unit.waiting():
        due_time = in_seconds(FAR_SECONDS)
        ticket = await watched(unit, FakeTicket({"breach": due_time}))
        await processes_at(unit).PauseProcess(pause())
    await unit.lose_store()
    async with unit.waiting():
        await unit.sees_it_work()
        await passed(due_time)
        assert ticket.done == []


async def test_what_fails_is_shown_and_tried_at_once_when_a_person_says_so(unit: Unit) -> None:
    processes = processes_at(unit, Role.OPERATIONS)
    unit.tickets.failures = [Unavailable() for _ in range(100)]
    ticket = unit.tickets.tickets[TICKET] = FakeTicket({"breach": in_seconds(0)})
    async with unit.waiting(reconcile_interval_seconds=NEVER_SECONDS):
        await unit.tell(opened(), TICKET)
        shown = await failing(processes)
        assert (shown.error, shown.resource) == ("UNAVAILABLE", TICKET)
        asked = set(unit.tickets.request_ids)
        await processes.RetryProcess(retry())
        # A try that comes by itself repeats its request; this one is of a process that is new.
        await eventually(lambda: set(unit.tickets.request_ids) - asked)
        unit.tickets.failures.clear()
        await eventually(lambda: ticket.done)


async def test_a_skipped_step_is_not_done_and_who_wanted_it_is_kept(unit: Unit) -> None:
    processes = processes_at(unit)
    async with unit.waiting():
        ticket = await watched(unit, FakeTicket({"warn": in_seconds(3600), "breach": in_seconds(7200)}))
        request = pb.SkipProcessStepRequest(id=SLA_ID, reason=REASON, request_id=str(uuid4()))
        shown = await processes.SkipProcessStep(request)
    assert list(ticket.deadlines) == ["breach"]
    [kept] = shown.interventions
    assert (kept.kind, kept.step, kept.reason, kept.actor) == (pb.Intervention.SKIP, "warn", REASON, LEAD)


async def test_an_escalation_is_paused_and_resumed_like_any_other(unit: Unit) -> None:
    processes = processes_at(unit)
    engagement = unit.routing.engagements[ENGAGEMENT] = FakeEngagement(["units/munich", "units/hq"])
    async with unit.waiting():
        await unit.tell(requested(), ENGAGEMENT, schema=FEDERATION_SCHEMA, unit="units/shanghai")
        await eventually(lambda: engagement.open_offer)
        await processes.PauseProcess(pause(ESCALATION_ID))
        engagement.answer(group_pb2.DECLINED)
        await asyncio.sleep(2)
        assert len(engagement.offers) == 1
        await processes.ResumeProcess(resume(ESCALATION_ID))
        await eventually(lambda: len(engagement.offers) == 2)


async def test_a_unit_says_that_escalations_are_headquarters(make_runtime: MakeRuntime) -> None:
    runtime = make_runtime("units/munich")
    servicer = ProcessServicer(runtime, CommandExecutor(runtime.database, WAITING_SCHEMA, runtime.unit))
    with pytest.raises(ResourceNotFound) as refusal:
        await servicer.GetProcess(pb.GetProcessRequest(id=ESCALATION_ID), cast("Context", None))
    assert "--unit hq" in refusal.value.hint


async def test_refusals_say_what_is_the_matter(unit: Unit) -> None:
    processes = processes_at(unit)
    assert await reason_of(processes.GetProcess(pb.GetProcessRequest(id="sla:units/hq/tickets/none"))) == (
        "RESOURCE_NOT_FOUND"
    )
    assert await reason_of(processes.PauseProcess(pause("dance:units/hq/tickets/t1"))) == "RESOURCE_NOT_FOUND"
    assert await reason_of(processes.PauseProcess(pause())) == "PROCESS_NOT_NEEDED"
    assert await reason_of(processes.ResumeProcess(resume())) == "PROCESS_NOT_PAUSED"
    unit.tickets.tickets[TICKET] = FakeTicket({"breach": in_seconds(3600)})
    await processes.PauseProcess(pause())
    assert await reason_of(processes.PauseProcess(pause())) == "PROCESS_PAUSED"
    assert await reason_of(processes.RetryProcess(retry())) == "PROCESS_PAUSED"
    unit.tickets.tickets[TICKET].deadlines.clear()
    skip = pb.SkipProcessStepRequest(id=SLA_ID, reason=REASON, request_id=str(uuid4()))
    assert await reason_of(processes.SkipProcessStep(skip)) == "NOTHING_TO_SKIP"
    assert await reason_of(processes_at(unit, Role.AGENT).PauseProcess(pause())) == "ROLE_MISSING"
    await unit.temporal.stop()
    listing = pb.ListProcessesRequest(parent="units/hq")
    assert await reason_of(processes.ListProcesses(listing)) == "TEMPORAL_UNAVAILABLE"


async def test_a_step_of_a_complaint_is_skipped(unit: Unit) -> None:
    complaint = unit.complaints.complaints[COMPLAINT] = FakeComplaint({"warn": in_seconds(3600)})
    process_id = complaint_of(COMPLAINT).id
    async with unit.waiting():
        await unit.tell(complained(), COMPLAINT)
        await unit.begin_time_of(complaint_of(COMPLAINT))
        request = pb.SkipProcessStepRequest(id=process_id, reason=REASON, request_id=str(uuid4()))
        skipped = await processes_at(unit).SkipProcessStep(request)
    assert complaint.deadlines == {}
    assert [each.step for each in skipped.interventions] == ["warn"]
