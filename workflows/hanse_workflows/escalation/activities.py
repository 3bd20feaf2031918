"""What the `escalation` process asks of headquarters' routing."""

from datetime import UTC

import grpc
from temporalio import activity

from hanse_protos.federation.v1 import group_pb2 as pb
from hanse_protos.federation.v1.group_pb2_grpc import RoutingServiceStub
from hanse_workflows.calls import CALL_TIMEOUT_SECONDS, answer_of, request_id
from hanse_workflows.escalation.types import ExpireAnswer, ExpireInput, OfferAnswer, OfferInput, StandingOffer


class EscalationActivities:
    """Asks headquarters' routing."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._routing = RoutingServiceStub(channel)

    @activity.defn
    async def offer_engagement(self, asked: OfferInput) -> OfferAnswer:
        """Have the engagement offered to the next candidate, unless an offer stands."""
        request = pb.OfferEngagementRequest(name=asked.engagement, request_id=request_id())
        answer = await answer_of(self._routing.OfferEngagement(request, timeout=CALL_TIMEOUT_SECONDS))
        if answer.settled or not answer.HasField("offer"):
            return OfferAnswer(settled=True)
        return OfferAnswer(settled=False, offer=_standing_offer(answer.offer))

    @activity.defn
    async def expire_offer(self, asked: ExpireInput) -> ExpireAnswer:
        """End an offer whose time is up, unless it was answered."""
        request = pb.ExpireOfferRequest(name=asked.engagement, request_id=request_id(), offer=asked.offer)
        answer = await answer_of(self._routing.ExpireOffer(request, timeout=CALL_TIMEOUT_SECONDS))
        return ExpireAnswer(expired=answer.offer.state == pb.EXPIRED)


def _standing_offer(offer: pb.Offer) -> StandingOffer:
    expire_time = offer.expire_time.ToDatetime(tzinfo=UTC) if offer.HasField("expire_time") else None
    return StandingOffer(offer.number, offer.provider, expire_time, offer.final)
