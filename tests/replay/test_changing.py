"""The steps of `docs/how-to/change-a-workflow.md`, tried: which code goes on with processes of which other code.

`before` is the workflow as it is; `patched` has the new way behind a marker; `deprecated` has the new way alone and
still writes the marker; `after` has the new way alone.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio import activity, workflow
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHandle, WorkflowHistory
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, Worker

from hanse_workflows.sla.types import EvaluateInput, Evaluation, SlaInput
from hanse_workflows.sla.workflow import SlaWorkflow
from hanse_workflows.worker import SANDBOX
from tests.replay.variants import SleepsFirst, SleepsFirstAlways, SleepsFirstFromNowOn

QUEUE = "changing"
PATIENCE_SECONDS = 60.0
CODE: dict[str, type] = {
    "before": SlaWorkflow,
    "patched": SleepsFirstFromNowOn,
    "deprecated": SleepsFirstAlways,
    "after": SleepsFirst,
}
GOES_ON = {
    ("before", "before"), ("before", "patched"),
    ("patched", "patched"), ("patched", "deprecated"),
    ("deprecated", "patched"), ("deprecated", "deprecated"), ("deprecated", "after"),
    ("after", "deprecated"), ("after", "after"),
}  # fmt: skip
"""Whose processes which code goes on with: those of the releases right before and after it, and of no other. Only what
the patch was made for is impossible: to go back behind it."""


@pytest.fixture(scope="module")
async def temporal() -> AsyncIterator[WorkflowEnvironment]:
    program = Path(sys.executable).parent / "temporal-test-server"
    async with await WorkflowEnvironment.start_time_skipping(test_server_existing_path=str(program)) as environment:
        yield environment


@pytest.fixture(scope="module")
async def histories(temporal: WorkflowEnvironment) -> dict[str, WorkflowHistory]:
    """What a process leaves behind that lived under each code."""
    return {name: await _lived(temporal, name) for name in CODE}


async def _lived(temporal: WorkflowEnvironment, code: str) -> WorkflowHistory:
    async with working(temporal, CODE[code]):
        handle = await started(temporal, code)
        await handle.result()
    return await handle.fetch_history()


@pytest.mark.parametrize("now", CODE)
@pytest.mark.parametrize("then", CODE)
async def test_code_goes_on_with_the_processes_of_its_neighbours_and_of_no_other(
    histories: dict[str, WorkflowHistory], then: str, now: str
) -> None:
    replayer = Replayer(workflows=[CODE[now]], workflow_runner=SANDBOX)
    result = await replayer.replay_workflow(histories[then], raise_on_replay_failure=False)
    failure = result.replay_failure
    assert failure is None or isinstance(failure, workflow.NondeterminismError)
    assert (failure is None) == ((then, now) in GOES_ON)


async def test_a_process_that_runs_while_the_patched_code_is_deployed_ends_the_old_way(
    temporal: WorkflowEnvironment,
) -> None:
    async with working(temporal, SlaWorkflow, waits=True):
        handle = await started(temporal, "running")
        await _until_it_waits(handle)
    async with working(temporal, SleepsFirstFromNowOn):
        await handle.signal(SlaWorkflow.changed)
        await handle.result()
    markers = [event for event in await _events(handle) if event.HasField("marker_recorded_event_attributes")]
    assert markers == []


async def _until_it_waits(handle: WorkflowHandle[Any, Any]) -> None:
    """Return once the process has asked its service: a task that is under way when its worker ends is lost for long."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not any(event.HasField("timer_started_event_attributes") for event in await _events(handle)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def _events(handle: WorkflowHandle[Any, Any]) -> Sequence[HistoryEvent]:
    return (await handle.fetch_history()).events


def working(temporal: WorkflowEnvironment, code: type, *, waits: bool = False) -> Worker:
    """Return a worker with some code; its service says that the clocks have ended, unless there is to be a wait."""

    @activity.defn
    async def evaluate_clocks(_asked: EvaluateInput) -> Evaluation:
        far = datetime.now(UTC) + timedelta(days=300)
        return Evaluation(next_due_time=far) if waits else Evaluation(ended=True)

    return Worker(
        temporal.client,
        task_queue=QUEUE,
        workflows=[code],
        activities=[evaluate_clocks],
        workflow_runner=SANDBOX,
        # The test server leaves tasks for ever in the queue of a worker's cache when that worker is gone.
        max_cached_workflows=0,
    )


async def started(temporal: WorkflowEnvironment, name: str) -> WorkflowHandle[Any, Any]:
    process = SlaInput(f"units/hq/tickets/{name}")
    return await temporal.client.start_workflow("sla", process, id=name, task_queue=QUEUE)
