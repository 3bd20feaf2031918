"""Planted mistakes: what somebody might change about a workflow, and must not without a patch marker; and one with it.

Each calls itself as the workflow does that it would be a changed version of.
"""

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from hanse_workflows.calls import ACTIVITY_TIMEOUT
    from hanse_workflows.complaint.activities import ComplaintActivities
    from hanse_workflows.complaint.types import ComplaintInput, ComplaintOutcome, EvaluateComplaintInput
    from hanse_workflows.escalation.types import EscalationInput, EscalationOutcome, OfferInput
    from hanse_workflows.sla.activities import SlaActivities
    from hanse_workflows.sla.types import EvaluateInput, Evaluation, SlaInput, SlaOutcome
    from hanse_workflows.waiting import wait_for


class _Variant:
    """What the variants have in common with the workflow."""

    _is_changed = False

    async def _evaluate(self, ticket: str) -> Evaluation:
        return await workflow.execute_activity_method(
            SlaActivities.evaluate_clocks, EvaluateInput(ticket), start_to_close_timeout=ACTIVITY_TIMEOUT
        )

    def _take_note(self) -> None:
        self._is_changed = True


@workflow.defn(name="sla")
class SleepsFirst(_Variant):
    """Waits a moment before it asks."""

    @workflow.run
    async def run(self, process: SlaInput) -> SlaOutcome:
        await workflow.sleep(timedelta(seconds=1))
        while not (evaluation := await self._evaluate(process.ticket)).ended:
            await wait_for(lambda: self._is_changed, evaluation.next_due_time)
        return SlaOutcome(process.ticket, 0)

    @workflow.signal
    def changed(self) -> None:
        self._take_note()


@workflow.defn(name="sla")
class SleepsFirstFromNowOn(_Variant):
    """Waits a moment before it asks, unless it began before that was so: how such a change is made."""

    @workflow.run
    async def run(self, process: SlaInput) -> SlaOutcome:
        if workflow.patched("sleeps-first"):
            await workflow.sleep(timedelta(seconds=1))
        while not (evaluation := await self._evaluate(process.ticket)).ended:
            self._is_changed = False
            await wait_for(lambda: self._is_changed, evaluation.next_due_time)
        return SlaOutcome(process.ticket, 0)

    @workflow.signal
    def changed(self) -> None:
        self._take_note()


@workflow.defn(name="sla")
class SleepsFirstAlways(_Variant):
    """Waits a moment before it asks, and knows no other way any more; the marker is still written."""

    @workflow.run
    async def run(self, process: SlaInput) -> SlaOutcome:
        workflow.deprecate_patch("sleeps-first")
        await workflow.sleep(timedelta(seconds=1))
        while not (evaluation := await self._evaluate(process.ticket)).ended:
            self._is_changed = False
            await wait_for(lambda: self._is_changed, evaluation.next_due_time)
        return SlaOutcome(process.ticket, 0)

    @workflow.signal
    def changed(self) -> None:
        self._take_note()


@workflow.defn(name="escalation")
class ExpiresAtOnce:
    """Has an offer expired without waiting for its time."""

    @workflow.run
    async def run(self, process: EscalationInput) -> EscalationOutcome:
        for activity in ("offer_engagement", "expire_offer"):
            await workflow.execute_activity(
                activity, OfferInput(process.engagement), start_to_close_timeout=ACTIVITY_TIMEOUT
            )
        return EscalationOutcome(process.engagement, 0, 0)

    @workflow.signal
    def answered(self) -> None:
        """Hear, and do nothing."""


@workflow.defn(name="sla")
class AsksSomethingElse(_Variant):
    """Asks by another activity."""

    @workflow.run
    async def run(self, process: SlaInput) -> SlaOutcome:
        await workflow.execute_activity(
            "check_clocks", EvaluateInput(process.ticket), start_to_close_timeout=ACTIVITY_TIMEOUT
        )
        return SlaOutcome(process.ticket, 0)

    @workflow.signal
    def changed(self) -> None:
        self._take_note()


@workflow.defn(name="sla")
class NeverWaits(_Variant):
    """Asks again at once."""

    @workflow.run
    async def run(self, process: SlaInput) -> SlaOutcome:
        while not (await self._evaluate(process.ticket)).ended:
            pass
        return SlaOutcome(process.ticket, 0)

    @workflow.signal
    def changed(self) -> None:
        self._take_note()


@workflow.defn(name="sla")
class MiscountsItsQuestions(_Variant):
    """Does what it should, and reports something wrong: the kind of change that a replay does not see."""

    @workflow.run
    async def run(self, process: SlaInput) -> SlaOutcome:
        while not (evaluation := await self._evaluate(process.ticket)).ended:
            self._is_changed = False
            await wait_for(lambda: self._is_changed, evaluation.next_due_time)
        return SlaOutcome(process.ticket, -1)

    @workflow.signal
    def changed(self) -> None:
        self._take_note()


@workflow.defn(name="complaint")
class EscalatesByItself:
    """Takes a complaint to the next level by an activity of its own, when its time is up."""

    @workflow.run
    async def run(self, process: ComplaintInput) -> ComplaintOutcome:
        for activity in ("evaluate_complaint", "escalate_complaint"):
            await workflow.execute_activity(
                activity, EvaluateComplaintInput(process.complaint), start_to_close_timeout=ACTIVITY_TIMEOUT
            )
        return ComplaintOutcome(process.complaint, 0)


@workflow.defn(name="complaint")
class NeverWaitsForAComplaint:
    """Asks again at once."""

    @workflow.run
    async def run(self, process: ComplaintInput) -> ComplaintOutcome:
        asked = 0
        while (
            await workflow.execute_activity_method(
                ComplaintActivities.evaluate_complaint,
                EvaluateComplaintInput(process.complaint),
                start_to_close_timeout=ACTIVITY_TIMEOUT,
            )
        ).next_due_time:
            asked += 1
        return ComplaintOutcome(process.complaint, asked)
