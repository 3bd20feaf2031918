"""Appending to a stream: the last thing that a transaction does."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from hanse.log.chain import EMPTY_HASH, chain_hash
from hanse.log.tables import NOTIFY_CHANNEL, LogTables
from hanse.session import insert_rows

FIRST_EPOCH = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """An event that is ready to be appended: its bytes, and what stands beside them to be searched."""

    event_id: UUID
    resource: str
    type: str
    occur_time: datetime
    event: bytes
    sealed: bytes | None


@dataclass(frozen=True, slots=True)
class Head:
    """Where a stream ends. An empty stream ends at sequence 0 with an empty hash."""

    epoch: int
    sequence: int
    hash: bytes


EMPTY_HEAD = Head(FIRST_EPOCH, 0, EMPTY_HASH)


def append(session: Session, log: LogTables, stream: str, entries: Sequence[Entry]) -> Head:
    """Append the entries to the stream and return its new head.

    The head's row lock is held from here to COMMIT: call it last, so that the numbers are taken in commit order and
    nobody waits for the rest of the transaction. Followers are woken when the transaction commits.
    """
    head = lock_head(session, log, stream)
    rows = []
    sequence, previous = head.sequence, head.hash
    for entry in entries:
        sequence += 1
        previous = chain_hash(previous, stream, head.epoch, sequence, entry.event)
        rows.append(
            {
                "stream": stream,
                "epoch": head.epoch,
                "sequence": sequence,
                "hash": previous,
                "event_id": entry.event_id,
                "resource": entry.resource,
                "type": entry.type,
                "occur_time": entry.occur_time,
                "event": entry.event,
                "sealed": entry.sealed,
            }
        )
    insert_rows(session, log.record, rows)
    return move_head(session, log, stream, Head(head.epoch, sequence, previous))


def lock_head(session: Session, log: LogTables, stream: str) -> Head:
    """Lock the head of a stream until the transaction ends, and return it. A new stream gets an empty head."""
    table = log.head
    query = select(table.c.epoch, table.c.sequence, table.c.hash).where(table.c.stream == stream).with_for_update()
    row = session.execute(query).one_or_none()
    if row is None:
        empty = {"stream": stream, "epoch": FIRST_EPOCH, "sequence": 0, "hash": EMPTY_HASH}
        session.execute(upsert(table).values(empty).on_conflict_do_nothing())
        row = session.execute(query).one()
    return Head(*row)


def move_head(session: Session, log: LogTables, stream: str, head: Head) -> Head:
    """Store the new head of a stream, wake its followers at COMMIT, and return it."""
    table = log.head
    session.execute(
        update(table)
        .where(table.c.stream == stream)
        .values(epoch=head.epoch, sequence=head.sequence, hash=head.hash, append_time=func.now())
        .returning(func.pg_notify(NOTIFY_CHANNEL, stream))
    )
    return head
