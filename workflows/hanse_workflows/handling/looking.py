"""What processes do at present, as Temporal has it."""

from __future__ import annotations

from datetime import UTC, datetime

from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import (
    Client,
    WorkflowExecution,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowHistoryEventFilterType,
)

from hanse.times import timestamp
from hanse_protos.waiting.v1 import processes_pb2 as pb


async def list_running(
    client: Client, kinds: list[str], page_size: int, page_token: bytes
) -> tuple[list[pb.Process], bytes]:
    """Return a page of the processes that run, and the token of the next one. Raises RPCError."""
    names = ", ".join(f"'{kind}'" for kind in kinds)
    query = f"ExecutionStatus = 'Running' AND WorkflowType IN ({names})"
    executions = client.list_workflows(query, page_size=page_size, next_page_token=page_token or None)
    await executions.fetch_next_page()
    found = [await _seen(client, execution) for execution in executions.current_page or ()]
    return found, executions.next_page_token or b""


async def look_at(client: Client, process_id: str) -> pb.Process:
    """Return a process as it is, or as it ended. Raises RPCError, where there is none with the status NOT_FOUND."""
    return await _described(client, await client.get_workflow_handle(process_id).describe())


async def _seen(client: Client, execution: WorkflowExecution) -> pb.Process:
    """Return a process of the index. Only one that has begun is asked about: of the others there is no more to say."""
    if _is_planned(execution):
        return _process(execution, pb.PLANNED)
    handle = client.get_workflow_handle(execution.id, run_id=execution.run_id)
    return await _described(client, await handle.describe())


async def _described(client: Client, execution: WorkflowExecutionDescription) -> pb.Process:
    if execution.status == WorkflowExecutionStatus.FAILED:
        process = _process(execution, pb.FAILED)
        process.error = await _reason_of_the_end(client, execution)
        return process
    if execution.status != WorkflowExecutionStatus.RUNNING:
        return _process(execution, pb.ENDED)
    if _is_planned(execution):
        return _process(execution, pb.PLANNED)
    pending = execution.raw_description.pending_activities
    return _asking(execution, pending[0]) if pending else _process(execution, pb.WAITING)


def _asking(execution: WorkflowExecution, asked: PendingActivityInfo) -> pb.Process:
    failed = asked.HasField("last_failure")
    process = _process(execution, pb.FAILING if failed else pb.ASKING)
    process.tries = asked.attempt
    if failed:
        process.error = asked.last_failure.application_failure_info.type or asked.last_failure.message
    if asked.HasField("next_attempt_schedule_time"):
        process.next_try_time.CopyFrom(asked.next_attempt_schedule_time)
    return process


async def _reason_of_the_end(client: Client, execution: WorkflowExecution) -> str:
    """Return the service's reason, for which a process failed."""
    handle = client.get_workflow_handle(execution.id, run_id=execution.run_id)
    close_event = WorkflowHistoryEventFilterType.CLOSE_EVENT
    async for event in handle.fetch_history_events(event_filter_type=close_event):
        failure = event.workflow_execution_failed_event_attributes.failure
        # The service's own error is the cause of the activity's.
        return failure.cause.application_failure_info.type or failure.message
    return ""


def _is_planned(execution: WorkflowExecution) -> bool:
    return execution.execution_time is not None and execution.execution_time > datetime.now(UTC)


def _process(execution: WorkflowExecution, state: pb.ProcessState.ValueType) -> pb.Process:
    begin_time = execution.execution_time or execution.start_time
    return pb.Process(id=execution.id, state=state, begin_time=timestamp(begin_time))
