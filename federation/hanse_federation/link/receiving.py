"""Receiving, the same at both ends: a batch is opened, checked against what is there, stored, and then acknowledged.

*Opening* needs no database: every hash is computed anew, so that what is stored is what the writer wrote, and events
are decoded. It is done while the batches before it are still being committed. *Storing* takes a batch where its first
record follows from the head that is stored here. What is here already is recognised by its hash and acknowledged
again: an acknowledgement that got lost costs a repetition, never a double.

This is the hot path of a catch-up, at headquarters for all units at once, so nothing is done twice and little for each
record. A record is visited once: its hash is checked, its event decoded, and its row written in the bytes that
PostgreSQL takes (`copying`). Only facts that somebody asked for become objects and have their payload opened, and
where only the last fact on a resource counts, the ones before it don't. All else is done for several batches at once:
one transaction, one lock of the head, one COPY, one statement for each view.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import NamedTuple

from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.errors import FrameForeign, LogFork, LogGap, LogQuarantined, ValidationFailed
from hanse.log.append import Head, lock_head, move_head
from hanse.log.chain import chain_hash
from hanse.log.follow import StoredRecord
from hanse.log.sealing import check_sealed
from hanse_federation.link.copying import RowWriter, copy_rows
from hanse_federation.link.frames import MAX_BATCH_RECORDS
from hanse_federation.model import LOG, Quarantine
from hanse_protos.federation.v1.link_pb2 import BatchedRecord, RecordBatch
from hanse_protos.log.v1.log_pb2 import Event, SealedField, SealedFields

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Interest(NamedTuple):
    """A payload that a receiver opens."""

    payload: type[Message]
    every: bool
    """Whether every one counts, or of each resource only the last one of a batch."""


Interests = Mapping[str, Interest]
"""What a receiver opens, by full names. All else is stored as it is, known or not."""


class Arrival(NamedTuple):
    """A fact that arrived, opened."""

    epoch: int
    sequence: int
    event: Event
    payload: Message
    content: bytes
    """The event's bytes as they were hashed: they are forwarded verbatim."""
    sealed: Sequence[SealedField]

    @property
    def occur_time(self) -> datetime:
        """When it happened, aware, in UTC."""
        return instant_of(self.event.occur_time)


@dataclass(frozen=True, slots=True)
class OpenedBatch:
    """A batch that is sound in itself: its records follow from one another, and from `previous_hash`."""

    stream: str
    epoch: int
    first_sequence: int
    previous_hash: bytes
    hashes: Sequence[bytes]
    rows: Sequence[bytes]
    """The records as they are stored."""
    facts: Sequence[Arrival]
    """What the receiver asked for, in order."""
    texts_about: frozenset[str] = frozenset()
    """The resources that some record of the batch brings texts about."""

    @property
    def end(self) -> Head:
        """Where the stream ends with this batch."""
        return Head(self.epoch, self.first_sequence + len(self.hashes) - 1, self.hashes[-1])

    @property
    def is_full(self) -> bool:
        """Whether its sender had more than fits into one batch."""
        return len(self.hashes) >= MAX_BATCH_RECORDS


def open_batch(batch: RecordBatch, interests: Interests, writer: str | None = None) -> OpenedBatch:
    """Compute the hashes of a batch anew, and open its events, with the payloads that the receiver asks for.

    Raises LogFork where a hash or a sealed field is not what it says; ValidationFailed where a record holds no event;
    FrameForeign where somebody else than `writer` wrote one, if only that unit may.
    """
    stream, epoch, sequence, previous = batch.stream, batch.epoch, batch.first_sequence, batch.previous_hash
    row, hashes, rows = RowWriter(stream, epoch).row, [], []
    texts_about = set()
    wanted: dict[int | str, tuple[Interest, int, Event, BatchedRecord]] = {}
    try:
        for sequence, record in enumerate(batch.records, batch.first_sequence):
            content = record.event
            previous = chain_hash(previous, stream, epoch, sequence, content)
            if previous != record.hash:
                raise _fork(stream, epoch, sequence)
            event, sealed = Event.FromString(content), record.sealed
            if writer and event.unit != writer:
                raise FrameForeign(f"{writer} sent a fact that {event.unit} wrote", unit=writer, event=event.event_id)
            if sealed:
                check_sealed(event, sealed)
                texts_about.add(event.resource)
            hashes.append(previous)
            rows.append(row(sequence, previous, event, content, sealed))
            if interest := interests.get(event.type):
                # Where only the last one counts, a later one takes the place of an earlier one.
                wanted[sequence if interest.every else event.resource] = (interest, sequence, event, record)
        facts = [_arrival(epoch, *found) for found in sorted(wanted.values(), key=itemgetter(1))]
    except (DecodeError, ValueError, OverflowError, struct.error) as error:
        raise ValidationFailed(f"{stream} at {epoch}/{sequence} holds no event: {error}", stream=stream) from error
    if not hashes:
        raise ValidationFailed(f"a batch of {stream} is empty", stream=stream)
    return OpenedBatch(
        stream, epoch, batch.first_sequence, batch.previous_hash, hashes, rows, facts, frozenset(texts_about)
    )


def _arrival(epoch: int, interest: Interest, sequence: int, event: Event, record: BatchedRecord) -> Arrival:
    payload = interest.payload.FromString(event.payload)
    return Arrival(epoch, sequence, event, payload, record.event, record.sealed)


def open_stored(record: StoredRecord, interests: Interests) -> Arrival | None:
    """Open a record that is stored here, which was checked when it came; None where nobody asks for it."""
    interest = interests.get(record.type)
    if interest is None:
        return None
    sealed = SealedFields.FromString(record.sealed).fields if record.sealed else ()
    batched = BatchedRecord(hash=record.hash, event=record.event, sealed=sealed)
    return _arrival(record.epoch, interest, record.sequence, Event.FromString(record.event), batched)


def instant_of(timestamp: Timestamp) -> datetime:
    """Return a timestamp as an instant: a third of what the general way costs."""
    return _EPOCH + timedelta(0, timestamp.seconds, timestamp.nanos // 1_000)


def store_all(session: Session, batches: Iterable[OpenedBatch]) -> list[Arrival]:
    """Store batches in the session's transaction; return the facts that are new. Raises what `store` raises."""
    streams: dict[str, list[OpenedBatch]] = {}
    for batch in batches:
        streams.setdefault(batch.stream, []).append(batch)
    return [fact for stream, followed in streams.items() for fact in store(session, stream, followed)]


def store(session: Session, stream: str, batches: Sequence[OpenedBatch]) -> list[Arrival]:
    """Store what is new of a stream's batches in the session's transaction, which locks the stream's head.

    Returns the facts that are new. Raises LogGap where records are missing before a batch; LogFork where it contradicts
    what is here; LogQuarantined where something did so before. Then nothing is stored.
    """
    refuse_quarantined(session, stream)
    stored = head = lock_head(session, LOG, stream)
    rows: list[bytes] = []
    facts: list[Arrival] = []
    for batch in batches:
        if batch.epoch == head.epoch and batch.end.sequence <= head.sequence:
            # What it repeats may be among what is still to be copied.
            _copy_out(session, rows)
            _check_known(session, batch)
            continue
        known = _count_known(batch, head)
        rows += batch.rows[known:]
        facts += [fact for fact in batch.facts if fact.sequence >= batch.first_sequence + known]
        head = batch.end
    _copy_out(session, rows)
    if head != stored:
        move_head(session, LOG, stream, head)
    return facts


def _copy_out(session: Session, rows: list[bytes]) -> None:
    if rows:
        copy_rows(session, LOG, rows)
        rows.clear()


def refuse_quarantined(session: Session, stream: str) -> None:
    """Raise LogQuarantined where a stream waits for a person."""
    if problem := session.scalar(select(Quarantine.problem).where(Quarantine.stream == stream)):
        raise LogQuarantined(f"{stream} is in quarantine: {problem}", stream=stream)


def _check_known(session: Session, batch: OpenedBatch) -> None:
    """Check that the last record of a batch that is here already is the one that is here."""
    columns, end = LOG.record.c, batch.end
    place = (columns.stream == batch.stream, columns.epoch == end.epoch, columns.sequence == end.sequence)
    if session.scalar(select(columns.hash).where(*place)) != end.hash:
        raise _fork(batch.stream, end.epoch, end.sequence)


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
        raise _fork(batch.stream, batch.epoch, batch.first_sequence)
    before = batch.hashes[known - 1] if known else batch.previous_hash
    if before != head.hash:
        raise _fork(batch.stream, head.epoch, head.sequence)
    return known


def check_not_behind(stream: str, sender: Head, received: Head) -> None:
    """Check that a sender still has what was received of it before the link began.

    Raises LogFork where its stream ends earlier, or there in another way: its database came from an old backup.
    """
    place = (received.epoch, received.sequence)
    if (sender.epoch, sender.sequence) < place or (
        (sender.epoch, sender.sequence) == place and sender.hash != received.hash
    ):
        raise _fork(stream, received.epoch, received.sequence)


def _fork(stream: str, epoch: int, sequence: int) -> LogFork:
    return LogFork(
        f"{stream} at {epoch}/{sequence} is not what was received or hashed before",
        stream=stream,
        epoch=str(epoch),
        sequence=str(sequence),
    )
