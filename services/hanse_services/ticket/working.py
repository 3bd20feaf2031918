"""When this unit worked on an engagement as its provider, by what was told of it here.

The row of an engagement says how it stands now. What it was at an instant that is past is in the facts on it: this
unit's own are in its log, those of its home and of headquarters in its inbox. They are put together by offer and by
kind, not by their times: the clocks of two units differ, and the second rejection follows the second delivery whatever
the clocks say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain, zip_longest
from typing import Any

from google.protobuf.message import Message
from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.times import instant
from hanse_protos.log.v1.log_pb2 import Event
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_services.ticket.model import SCHEMA

_ENDINGS = (told.EngagementWithdrawn, told.EngagementReassignmentRequested, told.EngagementOfferWithdrawn)
"""What takes an engagement from its provider for good."""
_FACTS: dict[str, type[Message]] = {
    kind.DESCRIPTOR.full_name: kind
    for kind in (told.EngagementAccepted, told.EngagementDelivered, told.EngagementRejected, *_ENDINGS)
}

Told = tuple[datetime, Message]
"""A fact, and when it happened."""


def worked_on(session: Session, engagement: str, unit: str, at: datetime) -> bool:
    """Return whether this unit worked on an engagement at an instant: it had taken it, and it was not delivered."""
    offers: dict[int, list[Told]] = {}
    for time, fact in _told_of(session, engagement):
        if fact.engagement.provider == unit:
            offers.setdefault(fact.engagement.offer, []).append((time, fact))
    return any(start <= at < end for facts in offers.values() for start, end in _stretches(facts))


def _stretches(facts: Sequence[Told]) -> Iterator[tuple[datetime, datetime]]:
    """Yield from when until when work under one offer lasted: from the acceptance, and from each rejection on."""
    if any(isinstance(fact, told.EngagementOfferWithdrawn) and not fact.worked_on for _, fact in facts):
        return  # Its acceptance did not count: the ticket was never this unit's.
    starts = chain(_times(facts, told.EngagementAccepted)[:1], _times(facts, told.EngagementRejected))
    end = min(_times(facts, *_ENDINGS), default=_NEVER)
    for start, delivery in zip_longest(starts, _times(facts, told.EngagementDelivered), fillvalue=_NEVER):
        yield start, min(delivery, end)


def _times(facts: Sequence[Told], *kinds: type[Message]) -> list[datetime]:
    return sorted(time for time, fact in facts if isinstance(fact, kinds))


def _told_of(session: Session, engagement: str) -> Iterator[tuple[datetime, Any]]:
    """Yield what this unit has told of an engagement, and what it was told, of the kinds that matter here."""
    for table in (SCHEMA.log.record, SCHEMA.inbox):
        columns = table.c
        query = select(columns.event).where(columns.resource == engagement, columns.type.in_(_FACTS))
        for content in session.scalars(query):
            event = Event.FromString(content)
            yield instant(event.occur_time), _FACTS[event.type].FromString(event.payload)


_NEVER = datetime.max.replace(tzinfo=UTC)
