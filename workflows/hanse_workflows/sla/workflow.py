"""The `sla` process: evaluate, wait until something is due or has changed, evaluate again."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from hanse_workflows.calls import ACTIVITY_TIMEOUT, TRY_FOR_EVER
    from hanse_workflows.sla.activities import SlaActivities
    from hanse_workflows.sla.types import EvaluateInput, Evaluation, SlaInput, SlaOutcome, SlaState
    from hanse_workflows.waiting import wait_for


@workflow.defn(name="sla")
class SlaWorkflow:
    """Watches the clocks of one ticket."""

    @workflow.init
    def __init__(self, process: SlaInput) -> None:
        self._ticket = process.ticket
        self._evaluations = process.evaluations
        self._last: Evaluation | None = None
        self._changed = False

    @workflow.run
    async def run(self, process: SlaInput) -> SlaOutcome:
        """Return once the clocks have ended."""
        while True:
            self._changed = False
            evaluation = await self._evaluate()
            # A change that arrived while the service answered may have started the clocks again.
            if evaluation.ended and not self._changed:
                return SlaOutcome(process.ticket, self._evaluations)
            if workflow.info().is_continue_as_new_suggested():
                await workflow.wait_condition(workflow.all_handlers_finished)
                workflow.continue_as_new(SlaInput(process.ticket, self._evaluations))
            await wait_for(lambda: self._changed, evaluation.next_due_time)

    @workflow.signal
    def changed(self) -> None:
        """Take note that the ticket is not what it was."""
        self._changed = True

    @workflow.query
    def state(self) -> SlaState:
        """Say where the process is."""
        return SlaState(self._ticket, self._evaluations, self._last)

    async def _evaluate(self) -> Evaluation:
        self._last = await workflow.execute_activity_method(
            SlaActivities.evaluate_clocks,
            EvaluateInput(self._ticket),
            start_to_close_timeout=ACTIVITY_TIMEOUT,
            retry_policy=TRY_FOR_EVER,
        )
        self._evaluations += 1
        return self._last
