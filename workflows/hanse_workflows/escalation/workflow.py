"""The `escalation` process: offer, wait for the answer or for the offer's end, offer again."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from hanse_workflows.calls import ACTIVITY_TIMEOUT, TRY_FOR_EVER
    from hanse_workflows.escalation.activities import EscalationActivities
    from hanse_workflows.escalation.types import (
        EscalationInput,
        EscalationOutcome,
        EscalationState,
        ExpireInput,
        OfferInput,
        StandingOffer,
    )
    from hanse_workflows.waiting import wait_for


@workflow.defn(name="escalation")
class EscalationWorkflow:
    """Finds a provider for one engagement."""

    @workflow.init
    def __init__(self, process: EscalationInput) -> None:
        self._engagement = process.engagement
        self._offers = process.offers
        self._expired = process.expired
        self._offer: StandingOffer | None = None
        self._answered = False

    @workflow.run
    async def run(self, process: EscalationInput) -> EscalationOutcome:
        """Return once the engagement needs no more offers."""
        while True:
            self._answered = False
            offer = await self._next_offer()
            if offer is None and not self._answered:
                return EscalationOutcome(process.engagement, self._offers, self._expired)
            if workflow.info().is_continue_as_new_suggested():
                await workflow.wait_condition(workflow.all_handlers_finished)
                workflow.continue_as_new(EscalationInput(process.engagement, self._offers, self._expired))
            if offer and not await wait_for(lambda: self._answered, offer.expire_time):
                await self._expire(offer)

    @workflow.signal
    def answered(self) -> None:
        """Take note that somebody has accepted, declined or called off."""
        self._answered = True

    @workflow.query
    def state(self) -> EscalationState:
        """Say where the process is."""
        return EscalationState(self._engagement, self._offer, self._expired)

    async def _next_offer(self) -> StandingOffer | None:
        """Return the offer that stands now, or none where the engagement is settled."""
        answer = await workflow.execute_activity_method(
            EscalationActivities.offer_engagement,
            OfferInput(self._engagement),
            start_to_close_timeout=ACTIVITY_TIMEOUT,
            retry_policy=TRY_FOR_EVER,
        )
        self._offer = answer.offer
        if answer.offer:
            self._offers = answer.offer.number
        return answer.offer

    async def _expire(self, offer: StandingOffer) -> None:
        answer = await workflow.execute_activity_method(
            EscalationActivities.expire_offer,
            ExpireInput(self._engagement, offer.number),
            start_to_close_timeout=ACTIVITY_TIMEOUT,
            retry_policy=TRY_FOR_EVER,
        )
        self._expired += answer.expired
