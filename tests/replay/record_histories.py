"""Record what the processes live through: `python -m tests.replay.record_histories`, at the top of the repository.

Record only what is new, or what was changed on purpose: the histories that are here are those of processes that may
still be running somewhere, and a changed workflow must be able to go on with them. So a history that exists is left as
it is; delete the file to have it recorded again.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowHistory
from temporalio.testing import WorkflowEnvironment

from hanse.local.binaries import temporal_binary
from hanse_workflows.worker import make_worker
from tests.replay.scenarios import SCENARIOS
from tests.replay.scene import SUGGESTED_EVENTS, UNIT, Scenario, Scene
from tests.workflows.fake_complaints import FakeComplaints
from tests.workflows.fakes import FakeRouting, FakeTickets, channel_to

HISTORIES = Path(__file__).parent / "histories"
_TRACES = frozenset({"stackTrace", "identity", "workerVersion"})


async def record(client: Client, scenario: Scenario, file: Path) -> None:
    """Play one scenario, and write the history of its process's first run."""
    scene = Scene(client, FakeTickets(), FakeComplaints(), FakeRouting(), scenario.__name__)
    async with (
        channel_to(scene.tickets, scene.complaints, scene.routing) as channel,
        make_worker(client, UNIT, channel, with_escalation=True),
    ):
        process = await scenario(scene)
        handle = client.get_workflow_handle(process.id)
        first_run = (await handle.describe()).raw_description.workflow_execution_info.first_run_id
        history = await client.get_workflow_handle(process.id, run_id=first_run).fetch_history()
        # No other worker may meet what is left of it.
        await _terminate(client, process.id)
    _write(history, file)


def _write(history: WorkflowHistory, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(_without_traces_of_the_machine(history.to_json_dict()), indent=1) + "\n")
    print(f"{file.parent.name}: {file.stem}, {len(history.events)} events")


def _without_traces_of_the_machine(part: Any) -> Any:
    """Return the history without stack traces and the names of processes: they say where it was recorded, no more."""
    if isinstance(part, dict):
        return {key: _without_traces_of_the_machine(value) for key, value in part.items() if key not in _TRACES}
    return [_without_traces_of_the_machine(item) for item in part] if isinstance(part, list) else part


async def _terminate(client: Client, workflow_id: str) -> None:
    async for execution in client.list_workflows(f"WorkflowId = '{workflow_id}' AND ExecutionStatus = 'Running'"):
        await client.get_workflow_handle(execution.id, run_id=execution.run_id).terminate()


async def main() -> None:
    """Record what is missing."""
    suggestion = f"limit.historyCount.suggestContinueAsNew={SUGGESTED_EVENTS}"
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(temporal_binary()),
        dev_server_extra_args=["--dynamic-config-value", suggestion],
    ) as environment:
        for workflow, scenarios in SCENARIOS.items():
            for scenario in scenarios:
                file = HISTORIES / workflow / f"{scenario.__name__}.json"
                if not file.exists():
                    await record(environment.client, scenario, file)


if __name__ == "__main__":
    asyncio.run(main())
