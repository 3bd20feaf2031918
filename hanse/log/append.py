"""Appending to a stream: the last thing that a transaction does."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import Select, Text, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate

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
    query, of_stream = _locked_head(log), {"of_stream": stream}
    row = session.execute(query, of_stream).one_or_none()
    if row is None:
        empty = {"stream": stream, "epoch": FIRST_EPOCH, "sequence": 0, "hash": EMPTY_HASH}
        session.execute(upsert(log.head).values(empty).on_conflict_do_nothing())
        row = session.execute(query, of_stream).one()
    return Head(*row)


def move_head(session: Session, log: LogTables, stream: str, head: Head) -> Head:
    """Store the new head of a stream, wake its followers at COMMIT, and return it."""
    place = {"epoch": head.epoch, "sequence": head.sequence, "hash": head.hash}
    session.execute(_moved_head(log), {"of_stream": stream, **place})
    return head


# Every transaction needs these two statements, and building one takes SQLAlchemy about as long as running it.


@lru_cache
def _locked_head(log: LogTables) -> Select[Any]:
    head = log.head.c
    return select(head.epoch, head.sequence, head.hash).where(head.stream == bindparam("of_stream")).with_for_update()


@lru_cache
def _moved_head(log: LogTables) -> ReturningUpdate[Any]:
    of_stream = bindparam("of_stream", type_=Text)
    statement = update(log.head).where(log.head.c.stream == of_stream).values(append_time=func.now())
    return statement.returning(func.pg_notify(NOTIFY_CHANNEL, of_stream))
