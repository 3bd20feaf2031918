"""An engagement that is restored, put together from both sides.

What this unit told of it is in its log; what the others told is in its inbox. The clocks of two units differ, so they
are put in order by offer and by kind: the second delivery follows the first rejection, whatever the clocks say. Clocks
decide only between what could have come in either order. In the home unit, when the ticket changed hands is what it has
told of that.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from google.protobuf.message import Message
from sqlalchemy import select

from hanse.log.events import Fact, payload_of
from hanse.log.sealing import texts_of
from hanse.names import home_of
from hanse.times import instant
from hanse.work import Work
from hanse_protos.log.v1.log_pb2 import Event
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.loading import find_engagement, find_ticket, mirror_of
from hanse_services.ticket.model import SCHEMA, Engagement

_STAGES: Sequence[tuple[type[Message], ...]] = (
    (told.EngagementRequested,),
    (told.EngagementOffered,),
    (told.EngagementAccepted, told.EngagementDeclined, told.EngagementOfferExpired),
    (told.EngagementWorkNoted,),
    (told.EngagementDelivered, told.EngagementRejected),
)
"""What comes after what under one offer; all else is about its end."""
_STAGE_OF = {kind: stage for stage, kinds in enumerate(_STAGES) for kind in kinds}
_TO_AND_FRO = {told.EngagementDelivered: 0, told.EngagementRejected: 1}
"""What alternates within its stage, and which comes first."""


def engagement(work: Work, fact: Fact) -> None:
    """Restore an engagement from all that is known of it, here and from the others."""
    payload: Any = fact.payload
    name = payload.engagement.name
    row = find_engagement(work, name)
    if row is None:
        row = mirror_of(payload.engagement, {})
        work.session.add(row)
    facts = _in_order(_facts_on(work, name))
    row.version, row.state, row.offer, row.peers_asked = len(facts), pb.REQUESTED, 0, []
    is_home = home_of(name) == work.unit
    hand_overs = _hand_overs(work, row) if is_home else iter(())
    for known in facts:
        if _counts(work, row, known):
            _step(row, known, hand_overs)
    if is_home:
        _count(work, row)


def _facts_on(work: Work, name: str) -> Iterator[Fact]:
    """Yield what this unit has told of an engagement, and what it was told."""
    for table in (SCHEMA.log.record, SCHEMA.inbox):
        for content, sealed in work.session.execute(
            select(table.c.event, table.c.sealed).where(table.c.resource == name)
        ):
            event = Event.FromString(content)
            payload = payload_of(event)
            if payload is not None and "engagement" in payload.DESCRIPTOR.fields_by_name:
                yield Fact(event, payload, texts_of(sealed))


def _in_order(facts: Iterable[Fact]) -> list[Fact]:
    """Return facts in the order in which they must have happened."""
    counted: Counter[tuple[int, type[Message]]] = Counter()
    placed = []
    for fact in sorted(facts, key=lambda each: each.occur_time):
        payload: Any = fact.payload
        kind, offer = type(fact.payload), payload.engagement.offer
        turn = 0
        if kind in _TO_AND_FRO:
            turn = len(_TO_AND_FRO) * counted[offer, kind] + _TO_AND_FRO[kind]
            counted[offer, kind] += 1
        placed.append(((offer, _STAGE_OF.get(kind, len(_STAGES)), turn), fact))
    return [fact for _, fact in sorted(placed, key=lambda each: each[0])]


def _hand_overs(work: Work, row: Engagement) -> Iterator[datetime]:
    """Yield when the ticket changed hands under an engagement, as this unit, its home, has told."""
    columns = SCHEMA.log.record.c
    handed_over = told.TicketHandedOver.DESCRIPTOR.full_name
    query = select(columns.event).where(columns.resource == row.ticket, columns.type == handed_over)
    for content in work.session.scalars(query.order_by(columns.epoch, columns.sequence)):
        event = Event.FromString(content)
        if told.TicketHandedOver.FromString(event.payload).engagement == row.name:
            yield instant(event.occur_time)


def _counts(work: Work, row: Engagement, fact: Fact) -> bool:
    """Whether a fact is on the last offer or a newer one. An offer that is taken back concerns its provider alone."""
    payload: Any = fact.payload
    summary: pb.EngagementSummary = payload.engagement
    for_another = isinstance(payload, told.EngagementOfferWithdrawn) and summary.provider != work.unit
    return summary.offer >= row.offer and not for_another


def _step(row: Engagement, fact: Fact, hand_overs: Iterator[datetime]) -> None:
    """Let a fact count: what its writer knew after it, and what its kind says."""
    payload: Any = fact.payload
    summary: pb.EngagementSummary = payload.engagement
    at = fact.occur_time
    if (row.state == pb.ACCEPTED) != (summary.state == pb.ACCEPTED):
        # The provider has the ticket while it works on it.
        at = next(hand_overs, at)
    row.state, row.provider, row.offer, row.desk = summary.state, summary.provider, summary.offer, summary.desk
    row.peer = summary.peer
    row.ticket_summary = summary.ticket.SerializeToString()
    match payload:
        case told.EngagementRequested():
            row.title, row.description = fact.texts.get("title", ""), fact.texts.get("description", "")
            row.reason = fact.texts.get("reason", "")
        case told.EngagementOffered():
            row.offer_final, row.accept_time, row.assignee = payload.final, None, ""
            if summary.peer:
                row.peers_asked = [*row.peers_asked, summary.provider]
            row.offer_expire_time = instant(payload.expire_time) if payload.HasField("expire_time") else None
        case told.EngagementAccepted():
            row.accept_time, row.assignee = at, payload.assignee
        case told.EngagementDelivered():
            row.deliver_time, row.solution = at, fact.texts.get("text", "")
        case told.EngagementReassignmentRequested() | told.EngagementReassigned():
            row.release()
        case told.EngagementConfirmed():
            row.confirm_time = at


def _count(work: Work, row: Engagement) -> None:
    """Let the ticket know of its engagement, and take the texts from it that were shared."""
    ticket = find_ticket(work, row.ticket)
    if ticket is not None:
        ticket.engagement_count = max(ticket.engagement_count, int(row.name.rsplit("/e", 1)[-1]))
        ticket.title, ticket.description = ticket.title or row.title, ticket.description or row.description
