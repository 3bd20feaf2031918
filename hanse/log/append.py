"""Appending to a stream: the last thing that a transaction does."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from hanse.log.chain import EMPTY_HASH, chain_hash
from hanse.log.tables import NOTIFY_CHANNEL, LogTables
from hanse.session import Statement, insert_rows

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
    return lock_heads(session, log, [stream])[stream]


def lock_heads(session: Session, log: LogTables, streams: Collection[str]) -> dict[str, Head]:
    """Lock the heads of some streams until the transaction ends, in the order of their names, and return them."""
    heads = _lock_there(session, log, streams)
    if new := sorted(set(streams) - heads.keys()):
        empty = [{"stream": stream, "epoch": FIRST_EPOCH, "sequence": 0, "hash": EMPTY_HASH} for stream in new]
        session.execute(upsert(log.head).values(empty).on_conflict_do_nothing())
        heads |= _lock_there(session, log, new)
    return heads


def _lock_there(session: Session, log: LogTables, streams: Collection[str]) -> dict[str, Head]:
    rows = _locked_heads(log).rows(session, streams=list(streams))
    return {stream: Head(epoch, sequence, digest) for stream, epoch, sequence, digest in rows}


def move_head(session: Session, log: LogTables, stream: str, head: Head) -> Head:
    """Store the new head of a stream, wake its followers at COMMIT, and return it."""
    move_heads(session, log, {stream: head})
    return head


def move_heads(session: Session, log: LogTables, heads: Mapping[str, Head]) -> None:
    """Store the new heads of some streams, which are locked, and wake their followers at COMMIT."""
    _moved_heads(log).rows(
        session,
        streams=list(heads),
        epochs=[head.epoch for head in heads.values()],
        sequences=[head.sequence for head in heads.values()],
        hashes=[head.hash for head in heads.values()],
    )


# Every transaction needs these two. They name streams in arrays: so one statement does for any number of them. The name
# of the schema is ours, never a caller's.


@lru_cache
def _locked_heads(log: LogTables) -> Statement:
    return Statement(f"""
        SELECT stream, epoch, sequence, hash FROM "{log.schema}".log_head
        WHERE stream = ANY(CAST(:streams AS text[])) ORDER BY stream FOR UPDATE
    """)  # noqa: S608


@lru_cache
def _moved_heads(log: LogTables) -> Statement:
    return Statement(f"""
        UPDATE "{log.schema}".log_head AS head
        SET epoch = moved.epoch, sequence = moved.sequence, hash = moved.hash, append_time = now()
        FROM unnest(CAST(:streams AS text[]), CAST(:epochs AS integer[]), CAST(:sequences AS bigint[]),
                    CAST(:hashes AS bytea[])) AS moved (stream, epoch, sequence, hash)
        WHERE head.stream = moved.stream
        RETURNING pg_notify('{NOTIFY_CHANNEL}', head.stream)
    """)  # noqa: S608
