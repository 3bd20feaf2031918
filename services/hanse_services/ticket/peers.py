"""What the home unit does itself while headquarters is out of reach: it offers its engagement to its peers.

The home unit chooses by the same policy as headquarters, among the peers that it can reach, and asks each of them once.
It makes the offer, ends it when its time is up, and decides whether an acceptance came in time, as headquarters does
for its own. Whoever made an offer rules on it; so there is one ruler for each offer, and both may have made some.
"""

from collections.abc import Iterable

from sqlalchemy import func, select

from hanse.engagement_states import BUSY
from hanse.offers import next_offer_number
from hanse.policy.routing import Known, knowing, next_peer
from hanse.times import timestamp
from hanse.work import Work
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.loading import home_engagement, kept_engagement, own_ticket
from hanse_services.ticket.messages import engagement_summary_of, engagement_to_proto
from hanse_services.ticket.model import Engagement

UNANSWERED = frozenset({pb.REQUESTED, pb.DECLINED, pb.EXPIRED})
"""The states in which an engagement waits for the next offer."""


def offer_to_peer(work: Work, request: rpc.OfferToPeerRequest) -> pb.Engagement:
    """Offer an engagement to the next peer, unless headquarters has offered it; end an own offer whose time is up.

    Raises ResourceNotFound; PolicyMissing before the first policy; what `next_peer` raises.
    """
    engagement = home_engagement(work, request.name)
    by_headquarters = engagement.offer > 0 and not engagement.peer
    if by_headquarters:
        return engagement_to_proto(engagement)
    changed = _expire(work, engagement)
    if engagement.state in UNANSWERED and (peer := _next_peer(work, engagement, request.peers)):
        _offer(work, engagement, peer)
        changed = True
    return kept_engagement(engagement) if changed else engagement_to_proto(engagement)


def _expire(work: Work, engagement: Engagement) -> bool:
    """End the offer that stands where its time is up, and return whether it was."""
    until = engagement.offer_expire_time
    if engagement.state != pb.OFFERED or until is None or until > work.now:
        return False
    engagement.move("ExpireOffer")
    work.tell(engagement.name, told.EngagementOfferExpired(engagement=engagement_summary_of(engagement)))
    return True


def _next_peer(work: Work, engagement: Engagement, reachable: Iterable[str]) -> str | None:
    """Return the best of the peers that can be reached and have not been asked; none once the ticket is stopped.

    None either where no version is here that knows the ticket: the final owner is headquarters' to ask.
    """
    in_force, ticket = work.standards, own_ticket(work, engagement.ticket)
    possible = in_force.peers_of(work.unit).intersection(reachable).difference(engagement.peers_asked)
    version = knowing(in_force, lambda: work.standards_of(engagement.policy_version), ticket, work.unit)
    if version is None:
        return None
    known = Known(_loads(work), ticket.left_units, version.dropped)
    return next_peer(version.standards, version.facts, known, work.now, possible)


def _loads(work: Work) -> dict[str, int]:
    """Return how many of this unit's engagements each other one has or is asked for: all that is known here."""
    query = select(Engagement.provider, func.count()).where(Engagement.state.in_(BUSY)).group_by(Engagement.provider)
    return dict(work.session.execute(query).all())


def _offer(work: Work, engagement: Engagement, peer: str) -> None:
    until = work.now + work.standards.document.routing.offer_timeout.ToTimedelta()
    engagement.move("OfferEngagement")
    engagement.offer = next_offer_number(engagement.offer, own=engagement.peer)
    engagement.provider, engagement.peer, engagement.offer_expire_time = peer, True, until
    engagement.offer_final = False
    engagement.peers_asked = [*engagement.peers_asked, peer]
    offered = told.EngagementOffered(engagement=engagement_summary_of(engagement), expire_time=timestamp(until))
    work.tell(engagement.name, offered)


def withdraw_from_peer(work: Work, summary: pb.EngagementSummary) -> None:
    """Tell a peer that its acceptance of an own offer came too late."""
    withdrawn = told.EngagementOfferWithdrawn()
    withdrawn.engagement.CopyFrom(summary)
    withdrawn.engagement.state = pb.WITHDRAWN
    work.tell(summary.name, withdrawn)
