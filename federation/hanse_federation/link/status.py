"""How links are doing, kept in the database so that any process of the unit can show it."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from sqlalchemy import delete, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from hanse.log.append import Head
from hanse.log.follow import Position, save_cursor
from hanse.session import Statement
from hanse_federation.headquarters.passing import forget_arrived
from hanse_federation.model import LINK_FOLLOWER, LOG, End, LinkState

MAX_CONTACT_AGE = timedelta(seconds=15)
"""A link that was not heard of for so long is down, whatever its row says: its process may have been killed."""


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
    credit: int,
    acknowledged: Mapping[str, Head],
    known: Mapping[str, Head],
) -> None:
    """Note when the other end was heard last, what it has acknowledged, and how far it said that its streams go."""
    SAVE_CONTACT.rows(session, end=end.value, unit=unit, contact_time=contact_time, credit=credit)
    for stream, head in acknowledged.items():
        if end == End.HUB:
            forget_arrived(session, stream, head)
        save_cursor(session, LOG, LINK_FOLLOWER, stream, Position(head.epoch, head.sequence))
    if known:
        save_known(session, unit, {stream: head.sequence for stream, head in known.items()}, contact_time)


SAVE_CONTACT = Statement("""
    UPDATE federation.link SET contact_time = :contact_time, credit = :credit WHERE "end" = :end AND unit = :unit
""")
"""Every heartbeat notes it, and what the other end knows: they go past SQLAlchemy, or they would hold up the records
that come meanwhile."""


def save_known(session: Session, unit: str, sequences: Mapping[str, int], now: datetime) -> None:
    """Note how far the other end said that the streams go which this end receives."""
    SAVE_KNOWN.rows(session, streams=list(sequences), sequences=list(sequences.values()), unit=unit, now=now)


SAVE_KNOWN = Statement("""
    INSERT INTO federation.known_head AS known (stream, unit, sequence, mark_sequence, mark_time)
    SELECT stream, CAST(:unit AS text), sequence, sequence, CAST(:now AS timestamptz)
    FROM unnest(CAST(:streams AS text[]), CAST(:sequences AS bigint[])) AS told (stream, sequence)
    ON CONFLICT (stream) DO UPDATE SET sequence = excluded.sequence, (mark_sequence, mark_time) = (
        SELECT CASE WHEN known.mark_sequence > here.sequence THEN known.mark_sequence ELSE excluded.mark_sequence END,
               CASE WHEN known.mark_sequence > here.sequence THEN known.mark_time ELSE excluded.mark_time END
        FROM (
            SELECT coalesce(max(sequence), 0) AS sequence FROM federation.log_head WHERE stream = excluded.stream
        ) AS here
    )
""")
"""Notes how far the other end said that a stream goes; the mark moves on once it is here."""


def forget_other_peers(session: Session, peers: Collection[str]) -> None:
    """Forget the lines to units that are no peers any more, by this unit's settings."""
    session.execute(delete(LinkState).where(LinkState.end == End.PEER, LinkState.unit.not_in(list(peers))))


def is_up(row: LinkState | None, now: datetime) -> bool:
    """Return whether a link is up."""
    if row is None or not row.connected or row.contact_time is None:
        return False
    return now - row.contact_time < MAX_CONTACT_AGE
