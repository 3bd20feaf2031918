"""The `complaint` process: evaluate, wait until something is due, evaluate again."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from hanse_workflows.calls import ACTIVITY_TIMEOUT, TRY_FOR_EVER
    from hanse_workflows.complaint.activities import ComplaintActivities
    from hanse_workflows.complaint.types import (
        ComplaintEvaluation,
        ComplaintInput,
        ComplaintOutcome,
        ComplaintProcessState,
        EvaluateComplaintInput,
    )
    from hanse_workflows.waiting import wait_until


@workflow.defn(name="complaint")
class ComplaintWorkflow:
    """Watches the times of one complaint."""

    @workflow.init
    def __init__(self, process: ComplaintInput) -> None:
        self._complaint = process.complaint
        self._evaluations = process.evaluations
        self._last: ComplaintEvaluation | None = None

    @workflow.run
    async def run(self, process: ComplaintInput) -> ComplaintOutcome:
        """Return once nothing is due any more."""
        while (due_time := (await self._evaluate()).next_due_time) is not None:
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(ComplaintInput(process.complaint, self._evaluations))
            await wait_until(due_time)
        return ComplaintOutcome(process.complaint, self._evaluations)

    @workflow.query
    def state(self) -> ComplaintProcessState:
        """Say where the process is."""
        return ComplaintProcessState(self._complaint, self._evaluations, self._last)

    async def _evaluate(self) -> ComplaintEvaluation:
        self._last = await workflow.execute_activity_method(
            ComplaintActivities.evaluate_complaint,
            EvaluateComplaintInput(self._complaint),
            start_to_close_timeout=ACTIVITY_TIMEOUT,
            retry_policy=TRY_FOR_EVER,
        )
        self._evaluations += 1
        return self._last
