"""Processes that have begun must be able to go on with today's workflows: every recorded history replays.

A replay compares the commands' kinds and order, and no values: a process that came to another result, or asked about
something else, would replay clean. So a witness looks on, and what it saw is compared with what was recorded.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistory
from temporalio.worker import (
    ContinueAsNewInput,
    ExecuteWorkflowInput,
    Interceptor,
    Replayer,
    StartActivityInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from hanse_workflows.complaint.types import ComplaintInput
from hanse_workflows.complaint.workflow import ComplaintWorkflow
from hanse_workflows.escalation.types import EscalationInput
from hanse_workflows.escalation.workflow import EscalationWorkflow
from hanse_workflows.sla.types import SlaInput
from hanse_workflows.sla.workflow import SlaWorkflow
from hanse_workflows.worker import SANDBOX
from tests.replay import variants
from tests.replay.scenarios import SCENARIOS

HISTORIES = Path(__file__).parent / "histories"
WORKFLOWS: dict[str, type] = {"sla": SlaWorkflow, "complaint": ComplaintWorkflow, "escalation": EscalationWorkflow}
MIN_HISTORIES = 30
"""Of each workflow: about as many as there are ways through it, with the services answering, late or not at all."""
FILES = sorted(HISTORIES.glob("*/*.json"))


def name_of(file: Path) -> str:
    return f"{file.parent.name}-{file.stem}"


@pytest.mark.parametrize("file", FILES, ids=name_of)
async def test_the_history_replays(file: Path) -> None:
    await replayed(file, WORKFLOWS[file.parent.name])


@pytest.mark.parametrize("file", FILES, ids=name_of)
async def test_the_process_comes_to_the_recorded_result(file: Path) -> None:
    witness = await replayed(file, WORKFLOWS[file.parent.name])
    assert witness.results == recorded_results(file)


@pytest.mark.parametrize("file", FILES, ids=name_of)
async def test_the_process_asks_what_was_recorded(file: Path) -> None:
    witness = await replayed(file, WORKFLOWS[file.parent.name])
    assert witness.questions == recorded_questions(file)


def test_every_scenario_is_recorded() -> None:
    scenarios = {f"{workflow}-{one.__name__}" for workflow, ones in SCENARIOS.items() for one in ones}
    assert {name_of(file) for file in FILES} == scenarios


@pytest.mark.parametrize("workflow_name", WORKFLOWS)
def test_there_are_thirty_histories(workflow_name: str) -> None:
    assert sum(file.parent.name == workflow_name for file in FILES) >= MIN_HISTORIES


@pytest.mark.parametrize("workflow_name", WORKFLOWS)
def test_some_history_continues_as_new(workflow_name: str) -> None:
    histories = [history_of(file) for file in FILES if file.parent.name == workflow_name]
    last_types = {history.events[-1].event_type for history in histories}
    assert EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW in last_types


@pytest.mark.parametrize("variant", [variants.SleepsFirst, variants.AsksSomethingElse, variants.NeverWaits])
async def test_an_incompatible_workflow_does_not_replay(variant: type) -> None:
    with pytest.raises(workflow.NondeterminismError):
        await replayed(HISTORIES / "sla" / "warned_and_breached.json", variant)


async def test_an_incompatible_escalation_does_not_replay() -> None:
    with pytest.raises(workflow.NondeterminismError):
        await replayed(HISTORIES / "escalation" / "declined_and_accepted.json", variants.ExpiresAtOnce)


@pytest.mark.parametrize("variant", [variants.EscalatesByItself, variants.NeverWaitsForAComplaint])
async def test_an_incompatible_complaint_does_not_replay(variant: type) -> None:
    with pytest.raises(workflow.NondeterminismError):
        await replayed(HISTORIES / "complaint" / "warned_and_overdue.json", variant)


async def test_the_same_change_behind_a_patch_marker_replays() -> None:
    await replayed(HISTORIES / "sla" / "warned_and_breached.json", variants.SleepsFirstFromNowOn)


async def test_a_workflow_that_comes_to_another_result_replays_clean_and_the_witness_sees_it() -> None:
    file = HISTORIES / "sla" / "warned_and_breached.json"
    witness = await replayed(file, variants.MiscountsItsQuestions)
    assert witness.results != recorded_results(file)


class Witness(Interceptor):
    """Looks on while a process is replayed."""

    def __init__(self) -> None:
        self.results: list[Any] = []
        self.questions: list[tuple[str, Any]] = []

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor]:  # noqa: A002
        def see_result(result: Any) -> None:
            self.results.append(asdict(result))

        def see_question(activity: str, asked: Any) -> None:
            self.questions.append((activity, asdict(asked)))

        input.unsafe_extern_functions.update(see_result=see_result, see_question=see_question)
        return _Inbound


class _Inbound(WorkflowInboundInterceptor):
    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_Outbound(outbound))

    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:  # noqa: A002
        result = await super().execute_workflow(input)
        workflow.extern_functions()["see_result"](result)
        return result


class _Outbound(WorkflowOutboundInterceptor):
    def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:  # noqa: A002
        workflow.extern_functions()["see_question"](input.activity, *input.args)
        return super().start_activity(input)

    def continue_as_new(self, input: ContinueAsNewInput) -> NoReturn:  # noqa: A002
        workflow.extern_functions()["see_result"](*input.args)
        super().continue_as_new(input)


def history_of(file: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(name_of(file), file.read_text())


async def replayed(file: Path, workflow_class: type) -> Witness:
    """Replay a history; raise what it fails with."""
    witness = Witness()
    replayer = Replayer(workflows=[workflow_class], workflow_runner=SANDBOX, interceptors=[witness])
    await replayer.replay_workflow(history_of(file))
    return witness


def recorded_results(file: Path) -> list[Any]:
    """Return the outcome of a process that ended, or what it continued with."""
    return [payload for event in history_of(file).events for payload in _payloads_of_the_end(event)]


def _payloads_of_the_end(event: HistoryEvent) -> list[Any]:
    if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
        payloads = event.workflow_execution_completed_event_attributes.result.payloads
    elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
        payloads = event.workflow_execution_continued_as_new_event_attributes.input.payloads
    else:
        return []
    return [json.loads(payload.data) for payload in payloads]


def recorded_questions(file: Path) -> list[tuple[str, Any]]:
    """Return the activities that were scheduled, with what they were asked."""
    scheduled = [
        event.activity_task_scheduled_event_attributes
        for event in history_of(file).events
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    ]
    return [(one.activity_type.name, json.loads(one.input.payloads[0].data)) for one in scheduled]


# What older processes were started with must stay readable: a field that is new needs a default.


@pytest.mark.parametrize(
    "started_with",
    [
        SlaInput("units/hq/tickets/t1"),
        ComplaintInput("units/hq/tickets/t1/complaints/c1"),
        EscalationInput("units/hq/tickets/t1/engagements/e1"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_process_is_started_with_a_name_alone(started_with: SlaInput | ComplaintInput | EscalationInput) -> None:
    [name, *counts] = asdict(started_with).values()
    assert name.startswith("units/hq/tickets/t1")
    assert set(counts) == {0}
