"""The least that waits for a deadline or a signal, as one would write it with the SDK alone: the floor of `waiting`."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from hanse_workflows.processes import MAX_CONCURRENT_CALLS

QUEUE = "bare"
_DEADLINE = timedelta(hours=4)
_completed = 0


@workflow.defn(name="bare", sandboxed=False)
class BareWorkflow:
    """One timer, one signal."""

    def __init__(self) -> None:
        self._ended = False

    @workflow.run
    async def run(self) -> None:
        """Return when the signal comes, or at the deadline."""
        global _completed  # noqa: PLW0603 - counted in this process, which asks Temporal nothing for it.
        await workflow.wait_condition(lambda: self._ended, timeout=_DEADLINE)
        _completed += 1

    @workflow.signal
    def end(self) -> None:
        """Take note that nothing is left to wait for."""
        self._ended = True


def bare_worker(client: Client) -> Worker:
    """Return the worker of the bare workflow, without the sandbox, which would only slow it down."""
    return Worker(client, task_queue=QUEUE, workflows=[BareWorkflow], workflow_runner=UnsandboxedWorkflowRunner())


async def run_bare(client: Client, ids: list[str]) -> None:
    """Take workflows from their start over the signal to their completion."""
    calls = asyncio.Semaphore(MAX_CONCURRENT_CALLS)
    expected = _completed + len(ids)

    async def start(workflow_id: str) -> None:
        async with calls:
            await client.start_workflow(BareWorkflow.run, id=workflow_id, task_queue=QUEUE)

    async def end(workflow_id: str) -> None:
        async with calls:
            await client.get_workflow_handle(workflow_id).signal(BareWorkflow.end)

    await asyncio.gather(*map(start, ids))
    await asyncio.gather(*map(end, ids))
    while _completed < expected:  # noqa: ASYNC110 - what completes is in a workflow, and may set no event.
        await asyncio.sleep(0.01)
