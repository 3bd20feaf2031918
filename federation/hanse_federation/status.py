"""How links are doing, kept in the database so that any process of the unit can show it."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import structlog
from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from hanse.log.append import Head
from hanse.log.follow import Position, save_cursor
from hanse_federation.model import LINK_FOLLOWER, LOG, End, KnownHead, LinkState, Quarantine

MAX_CONTACT_AGE = timedelta(seconds=15)
"""A link that was not heard of for so long is down, whatever its row says: its process may have been killed."""

logger = structlog.get_logger(__name__)


def save_connected(session: Session, end: End, unit: str, now: datetime) -> None:
    """Note that a link is up."""
    row = {"end": end, "unit": unit, "connected": True, "change_time": now, "contact_time": now, "last_error": ""}
    statement = upsert(LinkState).values(**row, connections=1)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["end", "unit"],
            # Why the link ended last stays on view: it is the first thing that a person asks.
            set_={
                "connected": True,
                "change_time": now,
                "contact_time": now,
                "connections": LinkState.connections + 1,
            },
        )
    )


def save_lost(session: Session, end: End, unit: str, error: str, now: datetime) -> None:
    """Note that a link is down, or could not be opened, and why."""
    row = {"end": end, "unit": unit, "connected": False, "change_time": now, "last_error": error, "connections": 0}
    session.execute(upsert(LinkState).values(**row).on_conflict_do_nothing())
    at_this_end = (LinkState.end == end, LinkState.unit == unit)
    session.execute(update(LinkState).where(*at_this_end, LinkState.connected).values(connected=False, change_time=now))
    session.execute(update(LinkState).where(*at_this_end).values(last_error=error))


def save_contact(
    session: Session,
    end: End,
    unit: str,
    *,
    contact_time: datetime,
    acknowledged: Mapping[str, Head],
    known: Mapping[str, Head],
) -> None:
    """Note when the other end was heard last, what it has acknowledged, and how far it said that its streams go."""
    at_this_end = (LinkState.end == end, LinkState.unit == unit)
    session.execute(update(LinkState).where(*at_this_end).values(contact_time=contact_time))
    for stream, head in acknowledged.items():
        save_cursor(session, LOG, LINK_FOLLOWER, stream, Position(head.epoch, head.sequence))
    for stream, head in known.items():
        statement = upsert(KnownHead).values(stream=stream, unit=unit, sequence=head.sequence)
        session.execute(statement.on_conflict_do_update(index_elements=["stream"], set_={"sequence": head.sequence}))


def is_up(row: LinkState | None, now: datetime) -> bool:
    """Return whether a link is up."""
    if row is None or not row.connected or row.contact_time is None:
        return False
    return now - row.contact_time < MAX_CONTACT_AGE


def save_quarantine(session: Session, stream: str, problem: str) -> None:
    """Put a stream into quarantine. A person takes it out again, once both histories have been compared."""
    statement = upsert(Quarantine).values(stream=stream, problem=problem).on_conflict_do_nothing()
    if session.scalar(statement.returning(Quarantine.stream)):
        logger.error("a stream forked and is in quarantine", stream=stream, problem=problem)
