"""Routing: headquarters asks for a provider, in rounds, until somebody takes the engagement.

Who is asked next the policy knows (`hanse.policy.routing`); here is what headquarters knows of the group for it, and
what it does with the answer. Candidates are ranked anew for each offer, since loads change. The last offer, to the
final owner, can't be declined and never runs out. So nothing is ever nobody's.

A decision is appended to headquarters' own stream and, in the same transaction, to the streams of the units that it
concerns (`forwarding`).
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from hanse.engagement_states import BUSY, SEEKING
from hanse.errors import IllegalTransition, NothingToSkip, ResourceNotFound
from hanse.offers import next_offer_number
from hanse.policy.routing import Candidate, Known, knowing, last_resort, next_candidate
from hanse.policy.standards import Standards
from hanse.rpc.paging import decode_token, encode_token, page_size
from hanse.times import timestamp
from hanse.work import Work
from hanse_federation.headquarters.engagements import offers_of, release, request_of, summary_of
from hanse_federation.headquarters.messages import offer_to_proto
from hanse_federation.headquarters.overrides import routing_standards
from hanse_federation.membership.register import hold_members, units_that_left
from hanse_federation.model import GroupEngagement, GroupTicket, HandOver, Offer
from hanse_protos.federation.v1 import group_pb2 as group
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as ticket
from hanse_protos.ticket.v1.ticket_pb2 import TicketSummary


def offer_engagement(work: Work, request: group.OfferEngagementRequest) -> group.OfferEngagementResponse:
    """Offer an engagement to the next candidate; while an offer stands, return that one.

    Raises ResourceNotFound; PolicyMissing before the first policy; what `next_candidate` raises.
    """
    hold_members(work.session)
    engagement = _locked(work.session, request.name)
    if engagement.state not in SEEKING:
        return group.OfferEngagementResponse(settled=True)
    offers = offers_of(work.session, [engagement.name])[engagement.name]
    if (last := _last(engagement, offers)) and last.state == group.OPEN:
        return group.OfferEngagementResponse(offer=offer_to_proto(last))
    standards = routing_standards(work.session, work.standards, engagement.home)
    if request_of(work.session, engagement.name) is None:
        # A peer of the home unit told of it first; the home unit's request starts the search anew.
        return group.OfferEngagementResponse(settled=True)
    candidate = _candidate(work, standards, engagement, offers)
    until = work.now + standards.document.routing.offer_timeout.ToTimedelta()
    offer = _offered(work, engagement, candidate, _next_number(offers), until)
    return group.OfferEngagementResponse(offer=offer_to_proto(offer))


def _offered(work: Work, engagement: GroupEngagement, candidate: Candidate, number: int, until: datetime) -> Offer:
    """Make an offer to a candidate, and tell it."""
    offer = Offer(
        engagement=engagement.name,
        number=number,
        provider=candidate.provider,
        desk=candidate.desk,
        units=list(candidate.units),
        round=candidate.round,
        final=candidate.final,
        state=group.OPEN,
        offer_time=work.now,
        expire_time=until,
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
    return offer


def _last(engagement: GroupEngagement, offers: Sequence[Offer]) -> Offer | None:
    """Return the offer that an engagement is at: its home's own one also where headquarters' has a greater number."""
    return next((offer for offer in offers if offer.number == engagement.offer), None)


def _next_number(offers: list[Offer]) -> int:
    last = offers[-1] if offers else None
    return next_offer_number(last.number if last else 0, own=last is None or not last.peer)


def _candidate(work: Work, in_force: Standards, engagement: GroupEngagement, offers: Sequence[Offer]) -> Candidate:
    """Return who is asked next, also where the policy in force does not know the ticket's category any more."""
    summary = summary_of(engagement)

    def asked_under() -> Standards:
        return routing_standards(work.session, work.standards_of(summary.policy_version), engagement.home)

    version = knowing(in_force, asked_under, summary.ticket, engagement.home)
    known = _known(work.session, engagement, offers, version.dropped if version else ())
    if version is None:
        return last_resort(in_force, known)
    version.facts.returns = _returns(work.session, engagement)
    return next_candidate(version.standards, version.facts, known, work.now)


def _returns(session: Session, engagement: GroupEngagement) -> int:
    """Return how often the ticket has returned by now: its engagement tells of it as it was asked for."""
    known = session.get(GroupTicket, engagement.ticket)
    return TicketSummary.FromString(known.summary).returns if known else 0


def _known(session: Session, engagement: GroupEngagement, offers: Sequence[Offer], dropped: Collection[str]) -> Known:
    """Return what headquarters knows when it chooses: all that there is to know."""
    former_holders = select(HandOver.from_unit).where(HandOver.ticket == engagement.ticket).distinct()
    gone = units_that_left(session).union(dropped)
    return Known(_loads(session), session.scalars(former_holders).all(), gone, offers)


def _loads(session: Session) -> dict[str, int]:
    """Return how many engagements each unit works on or has been asked for.

    Not those that were imported: who has them only their home says, and nobody was asked.
    """
    query = select(GroupEngagement.provider, func.count()).where(GroupEngagement.state.in_(BUSY))
    query = query.where(GroupEngagement.offer > 0)
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
        _end(work, engagement, offer, skipped=False)
    return group.ExpireOfferResponse(offer=offer_to_proto(offer))


def reassign_engagement(work: Work, request: group.ReassignEngagementRequest) -> group.ReassignEngagementResponse:
    """Take an engagement from the provider that works on it, and offer it to the next candidate.

    Raises ResourceNotFound; IllegalTransition where nobody works on it, where a peer of the home unit does, since that
    is the home unit's own offer, and where the final owner does, since there is nobody else.
    """
    hold_members(work.session)
    row = _locked(work.session, request.name)
    offer = work.session.get(Offer, (row.name, row.offer))
    if row.state != ticket.ACCEPTED or offer is None or offer.state != group.ACCEPTED:
        raise _stays(row, "nobody works on it", "Wait for the answer to its offer, or for its home unit.")
    if offer.peer:
        raise _stays(row, f"{row.home} gave it to a peer itself", f"Ask {row.home} to reassign or recall it.")
    if offer.final:
        raise _stays(row, f"{row.provider} is the final owner", "Solve it there, or have its home unit recall it.")
    take_from_provider(work, row, offer, row.provider, stuck=True, reason=request.reason)
    answer = offer_engagement(work, group.OfferEngagementRequest(name=row.name))
    return group.ReassignEngagementResponse(offer=answer.offer)


def _stays(row: GroupEngagement, why: str, hint: str) -> IllegalTransition:
    return IllegalTransition(
        f"{row.name} can't be reassigned: {why}", hint=hint, resource=row.name, verb="ReassignEngagement"
    )


def take_from_provider(
    work: Work, row: GroupEngagement, offer: Offer, provider: str, *, stuck: bool, reason: str = ""
) -> None:
    """Take an engagement from its provider, and tell its home and, while it is still there, the provider."""
    release(row, offer)
    row.update_time = work.now
    reassigned = told.EngagementReassigned(engagement=summary_of(row), from_unit=provider, stuck=stuck)
    work.tell(row.name, reassigned, text=reason)
    if stuck:
        withdrawn = told.EngagementOfferWithdrawn(engagement=summary_of(row), worked_on=True)
        withdrawn.engagement.provider, withdrawn.engagement.state = provider, ticket.WITHDRAWN
        work.tell(row.name, withdrawn, text=reason)


def take_from_departed(work: Work, row: GroupEngagement, offer: Offer, unit: str) -> None:
    """Take an engagement from a unit that has left the group, so that another one is looked for.

    What its home gave to a peer itself is for the home to take back. It is told, does so, and headquarters hears of it.
    """
    if not offer.peer:
        take_from_provider(work, row, offer, unit, stuck=False)
        return
    departed = told.EngagementReassigned(engagement=summary_of(row), from_unit=unit)
    departed.engagement.peer = True
    work.tell(row.name, departed)


def skip_offer(work: Work, request: group.SkipOfferRequest) -> group.SkipOfferResponse:
    """End the standing offer before its time. Raises ResourceNotFound, and NothingToSkip.

    The final owner's can't be skipped, since nobody else is left, and one to a peer is the home unit's to end.
    """
    engagement = _locked(work.session, request.name)
    offers = offers_of(work.session, [engagement.name])[engagement.name]
    last = _last(engagement, offers)
    if last is None or last.state != group.OPEN or last.final or last.peer:
        raise NothingToSkip(resource=request.name)
    _end(work, engagement, last, skipped=True)
    return group.SkipOfferResponse(offer=offer_to_proto(last))


def _end(work: Work, engagement: GroupEngagement, offer: Offer, *, skipped: bool) -> None:
    """Note that nobody has taken an offer, and tell it."""
    offer.state = group.EXPIRED
    engagement.state, engagement.update_time = ticket.EXPIRED, work.now
    work.tell(engagement.name, told.EngagementOfferExpired(engagement=summary_of(engagement), skipped=skipped))


def _locked(session: Session, name: str) -> GroupEngagement:
    engagement = session.get(GroupEngagement, name, with_for_update=True, populate_existing=True)
    if engagement is None:
        raise ResourceNotFound(resource=name)
    return engagement


def list_open_engagements(
    session: Session, request: group.ListOpenEngagementsRequest
) -> group.ListOpenEngagementsResponse:
    """Return a page of the engagements that still look for a provider, by name, and when each has something due."""
    size = page_size(request.page_size)
    stands = and_(
        Offer.engagement == GroupEngagement.name, Offer.number == GroupEngagement.offer, Offer.state == group.OPEN
    )
    # A provider whose clock is fast, or who says so, must not put off the next offer.
    due_time = func.coalesce(Offer.expire_time, func.least(GroupEngagement.update_time, func.now()))
    query = select(GroupEngagement.name, due_time).outerjoin(Offer, stands).order_by(GroupEngagement.name)
    query = query.where(GroupEngagement.state.in_(SEEKING))
    if key := decode_token(request.page_token, [str]):
        query = query.where(GroupEngagement.name > key[0])
    found = session.execute(query.limit(size + 1)).all()
    shown = found[:size]
    return group.ListOpenEngagementsResponse(
        engagements=[name for name, _ in shown],
        open_engagements=[
            group.OpenEngagement(engagement=name, next_due_time=timestamp(due_time)) for name, due_time in shown
        ],
        next_page_token=encode_token(shown[-1][0]) if len(found) > size else "",
    )
