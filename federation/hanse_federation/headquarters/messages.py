"""From rows to messages."""

from collections.abc import Sequence

from google.type.money_pb2 import Money

from hanse.times import timestamp
from hanse_federation.headquarters.engagements import summary_of
from hanse_federation.model import GroupCharge, GroupEngagement, GroupTicket, Offer
from hanse_protos.federation.v1 import group_pb2 as group
from hanse_protos.ticket.v1.ticket_pb2 import TicketSummary


def offer_to_proto(offer: Offer) -> group.Offer:
    """Return one offer."""
    return group.Offer(
        number=offer.number,
        provider=offer.provider,
        offer_time=timestamp(offer.offer_time),
        expire_time=timestamp(offer.expire_time),
        state=offer.state,  # type: ignore[arg-type]
        final=offer.final,
        desk=offer.desk,
        units=offer.units,
        peer=offer.peer,
        reassigned=offer.reassigned,
    )


def ticket_to_proto(row: GroupTicket) -> group.GroupTicket:
    """Return a ticket as headquarters has it."""
    return group.GroupTicket(ticket=TicketSummary.FromString(row.summary), update_time=timestamp(row.update_time))


def engagement_to_proto(row: GroupEngagement, offers: Sequence[Offer]) -> group.GroupEngagement:
    """Return an engagement as headquarters has it."""
    return group.GroupEngagement(
        engagement=summary_of(row),
        update_time=timestamp(row.update_time),
        offers=[offer_to_proto(offer) for offer in offers],
    )


def charge_to_proto(row: GroupCharge) -> group.MatchedCharge:
    """Return a charge with its legs, and whether they match."""
    charge = group.MatchedCharge(charge=row.name, home=row.home, provider=row.provider, state=_match(row))
    if row.payable is not None:
        charge.payable.CopyFrom(Money.FromString(row.payable))
    if row.receivable is not None:
        charge.receivable.CopyFrom(Money.FromString(row.receivable))
    return charge


def _match(row: GroupCharge) -> group.MatchState.ValueType:
    if row.payable is None or row.receivable is None:
        return group.PENDING
    return group.MATCHED if row.payable == row.receivable else group.DISPUTED
