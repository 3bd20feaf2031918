"""A process that lives long: it continues as new before its history is too large, and loses nothing by it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from hanse.local.binaries import temporal_binary
from hanse_protos.federation.v1 import group_pb2
from hanse_workflows.processes import Process, Processes, escalation_of
from hanse_workflows.worker import make_worker
from tests.workflows.fakes import FakeEngagement, FakeRouting, channel_to, eventually

UNIT = "units/hq"
ENGAGEMENT = f"{UNIT}/tickets/t1/engagements/e1"
SUGGESTED_EVENTS = 80
"""At how many events the server suggests to continue; Temporal's own figure is 4,096, and its limit 51,200."""
LONGEST_EVENTS = 10 * SUGGESTED_EVENTS
WAKES = 300
AT_A_TIME = 16


async def test_a_process_that_is_woken_hundreds_of_times_continues_as_new_and_loses_nothing() -> None:
    engagement = FakeEngagement(["units/munich", "units/porto", UNIT], timeout=timedelta(days=1))
    routing, suggestion = FakeRouting(), f"limit.historyCount.suggestContinueAsNew={SUGGESTED_EVENTS}"
    routing.engagements[ENGAGEMENT] = engagement
    async with (
        await WorkflowEnvironment.start_local(
            dev_server_existing_path=str(temporal_binary()),
            dev_server_extra_args=["--dynamic-config-value", suggestion],
        ) as environment,
        channel_to(routing) as channel,
        make_worker(environment.client, UNIT, channel, with_escalation=True),
    ):
        processes, process = Processes(environment.client, UNIT), escalation_of(ENGAGEMENT)
        await processes.start(process)
        await eventually(lambda: engagement.open_offer)
        await wake_often(processes, process)
        engagement.answer(group_pb2.DECLINED)
        await processes.wake(process)
        await eventually(lambda: len(engagement.offers) == 2)
        engagement.answer(group_pb2.ACCEPTED)
        await processes.wake(process)
        outcome = await environment.client.get_workflow_handle(process.id).result()
        lengths = await lengths_of(environment.client, process)
    assert outcome == {"engagement": ENGAGEMENT, "offers": 2, "expired": 0}
    assert len(lengths) > 1
    assert max(lengths) < LONGEST_EVENTS


async def wake_often(processes: Processes, process: Process) -> None:
    """Wake a process again and again, without waiting for what it does."""
    calls = asyncio.Semaphore(AT_A_TIME)

    async def wake() -> None:
        async with calls:
            await processes.wake(process)

    await asyncio.gather(*(wake() for _ in range(WAKES)))


async def lengths_of(client: Client, process: Process) -> list[int]:
    """Return how many events each run of a process has, from its last one back to its first."""
    lengths, run_id = [], (await client.get_workflow_handle(process.id).describe()).run_id
    while run_id:
        events = (await client.get_workflow_handle(process.id, run_id=run_id).fetch_history()).events
        lengths.append(len(events))
        run_id = events[0].workflow_execution_started_event_attributes.continued_execution_run_id
    return lengths
