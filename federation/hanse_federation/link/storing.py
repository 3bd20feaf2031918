"""Storing what was received, the same at both ends: in one transaction, and only where it follows from what is here.

A batch is taken where its first record follows from the head that is stored. What is here already is recognised by its
hash and acknowledged again: an acknowledgement that got lost costs a repetition, never a double. What contradicts what
is here is a fork, and what leaves records out a gap; then nothing is stored.
"""

from collections.abc import Collection, Iterable, Sequence
from itertools import chain
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.errors import LogGap, LogQuarantined
from hanse.log.append import Head, lock_heads, move_heads
from hanse.session import Statement
from hanse_federation.link.copying import PARTS_OF_A_ROW, copy_rows
from hanse_federation.link.forks import contradiction
from hanse_federation.link.receiving import Arrival, OpenedBatch
from hanse_federation.membership.register import refuse_outsider
from hanse_federation.model import LOG, SCHEMA
from hanse_protos.federation.v1.membership_pb2 import MemberState

_LOCKED_HEADS = Statement(f"""
    SELECT stream, head.epoch, head.sequence, head.hash, quarantine.problem, member.unit, member.state
    FROM {SCHEMA.name}.log_head AS head
        LEFT JOIN {SCHEMA.name}.quarantine USING (stream)
        LEFT JOIN {SCHEMA.name}.member ON member.unit = split_part(stream, '/streams/', 1)
    WHERE stream = ANY(CAST(:streams AS text[])) ORDER BY stream FOR UPDATE OF head
""")  # noqa: S608 - the name is ours.
"""What `lock_heads` does, for streams that may be in quarantine and whose writers headquarters may have shut out: every
transaction of a link begins with it. A unit has nobody in its register, and headquarters is not in its own."""


class News(NamedTuple):
    """What batches of one stream bring that is not here yet."""

    head: Head
    """Where the stream ends with it."""
    rows: Sequence[Sequence[bytes]]
    """The records as they are stored, batch by batch."""
    facts: Sequence[Arrival]
    repeated: Sequence[OpenedBatch]
    """The batches that brought nothing new: what they say has to be what is here."""


def store_all(session: Session, batches: Iterable[OpenedBatch]) -> list[Arrival]:
    """Store what is new of batches in the session's transaction, which locks the heads of their streams.

    Returns the facts that are new. Raises LogGap where records are missing before a batch; LogFork where it contradicts
    what is here; LogQuarantined where something did so before; what `refuse_outsider` raises where the writer was shut
    out since its link began. Then nothing is stored.
    """
    streams: dict[str, list[OpenedBatch]] = {}
    for batch in batches:
        streams.setdefault(batch.stream, []).append(batch)
    stored = _lock_open(session, streams)
    news = {stream: _news(stored[stream], followed) for stream, followed in streams.items()}
    if rows := [batch for new in news.values() for batch in new.rows]:
        copy_rows(session, LOG, chain.from_iterable(rows))
    for new in news.values():
        # What they repeat may be among what was copied just now.
        for batch in new.repeated:
            _check_known(session, batch)
    if moved := {stream: new.head for stream, new in news.items() if new.head != stored[stream]}:
        move_heads(session, LOG, moved)
    return [fact for new in news.values() for fact in new.facts]


def _news(head: Head, batches: Iterable[OpenedBatch]) -> News:
    """Return what is new of a stream's batches behind its head. Raises LogGap and LogFork."""
    rows: list[Sequence[bytes]] = []
    facts: list[Arrival] = []
    repeated = []
    for batch in batches:
        if batch.epoch == head.epoch and batch.end.sequence <= head.sequence:
            repeated.append(batch)
            continue
        known = _count_known(batch, head)
        rows.append(batch.rows[known * PARTS_OF_A_ROW :] if known else batch.rows)
        facts += [fact for fact in batch.facts if not known or fact.sequence >= batch.first_sequence + known]
        head = batch.end
    return News(head, rows, facts, repeated)


def _lock_open(session: Session, streams: Collection[str]) -> dict[str, Head]:
    """Lock the heads of streams, and return them.

    Raises LogQuarantined where one of them waits for a person; what `refuse_outsider` raises for a unit that was a
    member.
    """
    rows = _LOCKED_HEADS.rows(session, streams=list(streams))
    if len(rows) < len(streams):
        lock_heads(session, LOG, streams)
        rows = _LOCKED_HEADS.rows(session, streams=list(streams))
    for stream, *_, problem, unit, state in rows:
        if unit is not None:
            refuse_outsider(unit, MemberState.Value(state))
        if problem is not None:
            raise LogQuarantined(f"{stream} is in quarantine: {problem}", stream=stream)
    return {stream: Head(*head) for stream, *head, _, _, _ in rows}


def _check_known(session: Session, batch: OpenedBatch) -> None:
    """Check that the last record of a batch that is here already is the one that is here."""
    columns, end = LOG.record.c, batch.end
    place = (columns.stream == batch.stream, columns.epoch == end.epoch, columns.sequence == end.sequence)
    if session.scalar(select(columns.hash).where(*place)) != end.hash:
        raise contradiction(batch.stream, end.epoch, end.sequence)


def _count_known(batch: OpenedBatch, head: Head) -> int:
    """Return how many records of a batch are here already; the next one must follow from the head."""
    known = head.sequence - batch.first_sequence + 1
    if known < 0 and batch.epoch == head.epoch:
        raise LogGap(
            f"{batch.stream} goes on at {batch.first_sequence}, expected {head.sequence + 1}",
            stream=batch.stream,
            epoch=str(head.epoch),
            expected=str(head.sequence + 1),
            received=str(batch.first_sequence),
        )
    # A new epoch is taken where it goes on from the head: then nothing that was acknowledged is lost.
    if known < 0 or batch.epoch < head.epoch or (batch.epoch > head.epoch and known > 0):
        raise contradiction(batch.stream, batch.epoch, batch.first_sequence)
    before = batch.hashes[known - 1] if known else batch.previous_hash
    if before != head.hash:
        raise contradiction(batch.stream, head.epoch, head.sequence)
    return known
