"""A unit leaves the group in good order.

In one transaction headquarters takes it out of the register, so that its link is refused from then on and routing asks
it no more; makes its certificates void; takes back what it worked on, tells the homes so and asks the next candidates;
calls off what it had asked others for; and lists its own open tickets, which nobody works on any more: the group has to
see to them. What it is asked for in the same moment is taken back too: a retirement waits for the offers that are being
made (`register.hold_members`). What a home gave it directly, as to a peer, that home takes back as soon as it hears of
this.

A delivered solution stays delivered: its home may still confirm it. If it rejects it, another provider is asked, since
this one can't mend it. What the unit has told stays at headquarters, where it can be read and verified.
"""

from sqlalchemy import any_, or_, select

from hanse.engagement_states import BUSY, OVER
from hanse.work import Work
from hanse_federation.headquarters.routing import offer_engagement, take_from_departed
from hanse_federation.membership import register as membership
from hanse_federation.model import GroupEngagement, GroupTicket, Offer
from hanse_federation.recovery.decisions import call_off
from hanse_protos.federation.v1 import group_pb2 as group
from hanse_protos.federation.v1 import membership_pb2 as pb
from hanse_protos.ticket.v1 import ticket_pb2 as ticket

MAX_LISTED_TICKETS = 1_000
"""As many as a page holds; the answer says how many there are."""


def retire_unit(work: Work, request: pb.RetireUnitRequest) -> pb.RetireUnitResponse:
    """Let a unit leave. Raises IllegalTransition, ValidationFailed for headquarters."""
    unit = request.unit
    member = membership.changing(work, unit)
    membership.move(work, member, "RetireUnit", request.reason)
    member.invitation_digest = member.invitation_expire_time = None
    membership.revoke_certificates(work, unit)
    work.tell(unit, pb.UnitRetired(unit=unit), reason=request.reason)
    own = select(GroupEngagement.name).where(GroupEngagement.home == unit, GroupEngagement.state.not_in(OVER))
    withdrawn = call_off(work, work.session.scalars(own).all())
    reassigned = [name for name in _given_to(work, unit) if _reassign(work, name, unit)]
    open_tickets = _open_tickets(work, unit)
    return pb.RetireUnitResponse(
        member=membership.member_to_proto(work.session, member),
        reassigned_engagements=reassigned,
        withdrawn_engagements=withdrawn,
        open_tickets=open_tickets[:MAX_LISTED_TICKETS],
        open_ticket_count=len(open_tickets),
    )


def _given_to(work: Work, unit: str) -> list[str]:
    """Return the engagements that a unit works on, or is asked for: alone or with the others of a shared desk."""
    asked = or_(Offer.provider == unit, any_(Offer.units) == unit)
    query = (
        select(GroupEngagement.name)
        .join(Offer, (Offer.engagement == GroupEngagement.name) & (Offer.number == GroupEngagement.offer))
        .where(GroupEngagement.state.in_(BUSY), asked)
    )
    return sorted(work.session.scalars(query))


def _reassign(work: Work, name: str, unit: str) -> bool:
    """Take an engagement from a unit and offer it to the next candidate; a shared desk that has others keeps it."""
    row = work.session.get_one(GroupEngagement, name, with_for_update=True, populate_existing=True)
    offer = work.session.get_one(Offer, (name, row.offer))
    if offer.state == group.OPEN and offer.asked() - {unit}:
        offer.declined = sorted({*offer.declined, unit})
        return False
    if offer.state == group.ACCEPTED and offer.provider != unit:
        return False
    take_from_departed(work, row, offer, unit)
    offer_engagement(work, group.OfferEngagementRequest(name=name))
    return True


def _open_tickets(work: Work, unit: str) -> list[str]:
    """Return the tickets of a unit that are not closed, by name."""
    query = select(GroupTicket.name, GroupTicket.summary).where(GroupTicket.home == unit).order_by(GroupTicket.name)
    rows = work.session.execute(query.execution_options(yield_per=MAX_LISTED_TICKETS))
    return [name for name, summary in rows if ticket.TicketSummary.FromString(summary).state != ticket.CLOSED]
