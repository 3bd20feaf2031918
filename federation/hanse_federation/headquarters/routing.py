"""Routing: headquarters chooses who is asked, in rounds, until somebody takes the engagement.

In each round every candidate is asked once, the best first; candidates are ranked anew for each offer, since loads
change. A shared desk that takes the ticket comes before single units, and all of its units are asked at once. When the
policy's rounds are gone through, or nobody is eligible, the final owner gets the last offer: it cannot decline, and it
never runs out. So nothing is ever nobody's.

A decision is appended to headquarters' own stream and, in the same transaction, to the streams of the units that it
concerns (`forwarding`).
"""

from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hanse.errors import ResourceNotFound
from hanse.names import HEADQUARTERS
from hanse.offers import next_offer_number
from hanse.policy.facts import facts_of
from hanse.policy.standards import Standards
from hanse.rpc.paging import decode_token, encode_token, page_size
from hanse.times import timestamp
from hanse.work import Work
from hanse_federation.headquarters.engagements import offers_of, request_of, summary_of
from hanse_federation.headquarters.messages import offer_to_proto
from hanse_federation.membership.register import units_that_left
from hanse_federation.model import SEEKING, GroupEngagement, Offer
from hanse_protos.federation.v1 import group_pb2 as group
from hanse_protos.policy.v1.policy_pb2 import TicketFacts
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as ticket


class Candidate(NamedTuple):
    """Who is asked next: one unit, or the units of a shared desk."""

    units: tuple[str, ...]
    round: int
    final: bool = False
    desk: str = ""

    @property
    def provider(self) -> str:
        """The one unit; nobody yet where a desk is asked."""
        return "" if self.desk else self.units[0]


def offer_engagement(work: Work, request: group.OfferEngagementRequest) -> group.OfferEngagementResponse:
    """Offer an engagement to the next candidate; while an offer stands, return that one.

    Raises ResourceNotFound; PolicyMissing before the first policy; what the policy's conditions raise.
    """
    engagement = _locked(work.session, request.name)
    if engagement.state not in SEEKING:
        return group.OfferEngagementResponse(settled=True)
    offers = offers_of(work.session, [engagement.name])[engagement.name]
    if offers and offers[-1].state == group.OPEN:
        return group.OfferEngagementResponse(offer=offer_to_proto(offers[-1]))
    standards = work.standards
    if request_of(work.session, engagement.name) is None:
        # A peer of the home unit told of it first; the home unit's request starts the search anew.
        return group.OfferEngagementResponse(settled=True)
    gone = units_that_left(work.session)
    candidate = next_candidate(standards, _facts(standards, engagement), _loads(work.session), offers, gone)
    offer = Offer(
        engagement=engagement.name,
        number=_next_number(offers),
        provider=candidate.provider,
        desk=candidate.desk,
        units=list(candidate.units),
        round=candidate.round,
        final=candidate.final,
        state=group.OPEN,
        offer_time=work.now,
        expire_time=work.now + standards.document.routing.offer_timeout.ToTimedelta(),
    )
    work.session.add(offer)
    engagement.state, engagement.provider, engagement.offer = ticket.OFFERED, offer.provider, offer.number
    engagement.update_time = work.now
    offered = told.EngagementOffered(
        engagement=summary_of(engagement),
        expire_time=timestamp(offer.expire_time),
        final=candidate.final,
        units=candidate.units if candidate.desk else (),
    )
    offered.engagement.desk = candidate.desk
    # The row of the offer has to be there when the decision is passed on.
    work.session.flush()
    work.tell(engagement.name, offered)
    return group.OfferEngagementResponse(offer=offer_to_proto(offer))


def next_candidate(
    standards: Standards,
    facts: TicketFacts,
    loads: dict[str, int],
    offers: list[Offer],
    gone: frozenset[str] = frozenset(),
) -> Candidate:
    """Return who is asked next, after the offers so far; nobody who has left the group."""
    rule = standards.document.routing
    candidates, desks = standards.candidates(facts, loads), standards.desks(facts, loads)
    this_round = max((offer.round for offer in offers), default=1)
    for number in range(this_round, rule.rounds + 1):
        asked = {unit for offer in offers if offer.round == number for unit in offer.units}
        asked_desks = {offer.desk for offer in offers if offer.round == number}
        for desk in desks:
            units = tuple(unit for unit in desk.units if unit not in gone)
            if desk.id not in asked_desks and units:
                return Candidate(units, number, desk=desk.id)
        for unit in candidates:
            if unit not in asked | gone:
                return Candidate((unit,), number)
    final_owner = HEADQUARTERS if rule.final_owner in gone else rule.final_owner
    return Candidate((final_owner,), rule.rounds + 1, final=True)


def _next_number(offers: list[Offer]) -> int:
    last = offers[-1] if offers else None
    return next_offer_number(last.number if last else 0, own=last is None or not last.peer)


def _facts(standards: Standards, engagement: GroupEngagement) -> TicketFacts:
    return facts_of(standards, summary_of(engagement).ticket, engagement.home)


def _loads(session: Session) -> dict[str, int]:
    """Return how many engagements each unit works on or has been asked for."""
    busy = (ticket.OFFERED, ticket.ACCEPTED)
    query = select(GroupEngagement.provider, func.count()).where(GroupEngagement.state.in_(busy))
    # A result has keys(), so that dict() would take it for a mapping; its list of rows has not.
    return dict(session.execute(query.group_by(GroupEngagement.provider)).all())


def expire_offer(work: Work, request: group.ExpireOfferRequest) -> group.ExpireOfferResponse:
    """End an offer whose time is up. Raises ResourceNotFound.

    An answered offer stays as it is, and so does one that still has time. The final owner's stands for ever: it gets
    another stretch of time, after which whoever waits for an answer may look again.
    """
    engagement = _locked(work.session, request.name)
    offer = work.session.get(Offer, (request.name, request.offer))
    if offer is None:
        raise ResourceNotFound(resource=f"{request.name}, offer {request.offer}")
    if offer.state != group.OPEN or work.now < offer.expire_time:
        return group.ExpireOfferResponse(offer=offer_to_proto(offer))
    if offer.final or offer.peer:
        # Nobody else can take the one, and the other is the home unit's to end.
        offer.expire_time = work.now + work.standards.document.routing.offer_timeout.ToTimedelta()
    else:
        offer.state = group.EXPIRED
        engagement.state, engagement.update_time = ticket.EXPIRED, work.now
        work.tell(engagement.name, told.EngagementOfferExpired(engagement=summary_of(engagement)))
    return group.ExpireOfferResponse(offer=offer_to_proto(offer))


def _locked(session: Session, name: str) -> GroupEngagement:
    engagement = session.get(GroupEngagement, name, with_for_update=True, populate_existing=True)
    if engagement is None:
        raise ResourceNotFound(resource=name)
    return engagement


def list_open_engagements(
    session: Session, request: group.ListOpenEngagementsRequest
) -> group.ListOpenEngagementsResponse:
    """Return a page of the engagements that still look for a provider, by name."""
    size = page_size(request.page_size)
    query = select(GroupEngagement.name).where(GroupEngagement.state.in_(SEEKING)).order_by(GroupEngagement.name)
    if key := decode_token(request.page_token, [str]):
        query = query.where(GroupEngagement.name > key[0])
    names = list(session.scalars(query.limit(size + 1)))
    token = encode_token(names[size - 1]) if len(names) > size else ""
    return group.ListOpenEngagementsResponse(engagements=names[:size], next_page_token=token)
