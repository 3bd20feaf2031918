"""Receiving, the same at both ends: a batch is opened, checked against what is there, stored, and then acknowledged.

*Opening* needs no database: every hash is computed anew, so that what is stored is what the writer wrote, and events
are decoded. It is done while the batch before it is still being committed. *Storing* takes a batch where its first
record follows from the head that is stored here. What is here already is recognised by its hash and acknowledged
again: an acknowledgement that got lost costs a repetition, never a double.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import Table, select
from sqlalchemy.orm import Session
from sqlalchemy.util import await_only

from hanse.errors import LogFork, LogGap, LogQuarantined, ValidationFailed
from hanse.log.append import Head, lock_head, move_head
from hanse.log.chain import chain_hash
from hanse.log.sealing import check_sealed
from hanse_federation.model import LOG, Quarantine
from hanse_protos.federation.v1.link_pb2 import BatchedRecord, RecordBatch
from hanse_protos.log.v1.log_pb2 import Event, SealedField, SealedFields

Payloads = Mapping[str, type[Message]]
"""The payloads that a receiver opens, by their full names. All others are stored as they are, known or not."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS = ("stream", "epoch", "sequence", "hash", "event_id", "resource", "type", "occur_time", "event", "sealed")


class Arrival(NamedTuple):
    """A record that arrived, opened."""

    epoch: int
    sequence: int
    hash: bytes
    occur_time: datetime
    event: Event
    payload: Message | None
    """What the event says, where the receiver asked for it."""
    content: bytes
    """The event's bytes as they were hashed: they are stored and forwarded verbatim."""
    sealed: Sequence[SealedField]


@dataclass(frozen=True, slots=True)
class OpenedBatch:
    """A batch that is sound in itself: its records follow from one another, and from `previous_hash`."""

    stream: str
    epoch: int
    first_sequence: int
    previous_hash: bytes
    arrivals: Sequence[Arrival]

    @property
    def end(self) -> Head:
        """Where the stream ends with this batch."""
        return Head(self.epoch, self.arrivals[-1].sequence, self.arrivals[-1].hash)


def open_batch(batch: RecordBatch, payloads: Payloads) -> OpenedBatch:
    """Compute the hashes of a batch anew, and open its events, with the payloads that the receiver asks for.

    Raises LogFork where a hash or a sealed field is not what it says; ValidationFailed where a record holds no event.
    """
    arrivals = []
    stream, epoch, sequence, previous = batch.stream, batch.epoch, batch.first_sequence - 1, batch.previous_hash
    for record in batch.records:
        sequence += 1
        content = record.event
        previous = chain_hash(previous, stream, epoch, sequence, content)
        if previous != record.hash:
            raise _fork(stream, epoch, sequence)
        try:
            arrivals.append(_open(epoch, sequence, record, content, payloads))
        except (DecodeError, ValueError, OverflowError) as error:
            place = f"{stream} at {epoch}/{sequence}"
            raise ValidationFailed(f"{place} holds no event: {error}", stream=stream) from error
    if not arrivals:
        raise ValidationFailed(f"a batch of {stream} is empty", stream=stream)
    return OpenedBatch(stream, epoch, batch.first_sequence, batch.previous_hash, arrivals)


def _open(epoch: int, sequence: int, record: BatchedRecord, content: bytes, payloads: Payloads) -> Arrival:
    event = Event.FromString(content)
    payload = payloads.get(event.type)
    sealed = record.sealed
    if sealed:
        check_sealed(event, sealed)
    return Arrival(
        epoch=epoch,
        sequence=sequence,
        hash=record.hash,
        occur_time=instant_of(event.occur_time),
        event=event,
        payload=payload.FromString(event.payload) if payload else None,
        content=content,
        sealed=sealed,
    )


def instant_of(timestamp: Timestamp) -> datetime:
    """Return a timestamp as an instant: a third of what the general way costs, which counts once per event."""
    return _EPOCH + timedelta(0, timestamp.seconds, timestamp.nanos // 1_000)


def store(session: Session, batch: OpenedBatch) -> Sequence[Arrival]:
    """Store what is new of a batch in the session's transaction, which locks the stream's head; return what that is.

    Raises LogGap where records are missing before it; LogFork where it contradicts what is here; LogQuarantined where
    something did so before. Then nothing is stored.
    """
    refuse_quarantined(session, batch.stream)
    head = lock_head(session, LOG, batch.stream)
    if batch.epoch == head.epoch and batch.end.sequence <= head.sequence:
        _check_known(session, batch.stream, batch.end)
        return []
    arrivals = _new_arrivals(batch, head)
    _copy(session, LOG.record, _COLUMNS, [_row(batch.stream, arrival) for arrival in arrivals])
    move_head(session, LOG, batch.stream, batch.end)
    return arrivals


def store_all(session: Session, batches: Sequence[OpenedBatch]) -> list[Arrival]:
    """Store several batches in the session's transaction; return what is new of them. Raises what `store` raises."""
    return [arrival for batch in batches for arrival in store(session, batch)]


def refuse_quarantined(session: Session, stream: str) -> None:
    """Raise LogQuarantined where a stream waits for a person."""
    if problem := session.scalar(select(Quarantine.problem).where(Quarantine.stream == stream)):
        raise LogQuarantined(f"{stream} is in quarantine: {problem}", stream=stream)


def _check_known(session: Session, stream: str, end: Head) -> None:
    """Check that the last record of a batch that is here already is the one that is here."""
    columns = LOG.record.c
    place = (columns.stream == stream, columns.epoch == end.epoch, columns.sequence == end.sequence)
    if session.scalar(select(columns.hash).where(*place)) != end.hash:
        raise _fork(stream, end.epoch, end.sequence)


def _new_arrivals(batch: OpenedBatch, head: Head) -> Sequence[Arrival]:
    """Return the arrivals of a batch that come after the head, of which the first must follow from it."""
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
    before = batch.arrivals[known - 1].hash if known else batch.previous_hash
    if before != head.hash:
        raise _fork(batch.stream, head.epoch, head.sequence)
    return batch.arrivals[known:]


def check_not_behind(stream: str, sender: Head, received: Head) -> None:
    """Check that a sender still has what was received of it before the link began.

    Raises LogFork where its stream ends earlier, or there in another way: its database came from an old backup.
    """
    place = (received.epoch, received.sequence)
    if (sender.epoch, sender.sequence) < place or (
        (sender.epoch, sender.sequence) == place and sender.hash != received.hash
    ):
        raise _fork(stream, received.epoch, received.sequence)


def _row(stream: str, arrival: Arrival) -> tuple[object, ...]:
    event = arrival.event
    return (
        stream, arrival.epoch, arrival.sequence, arrival.hash, event.event_id, event.resource, event.type,
        arrival.occur_time, arrival.content, pack_sealed(arrival.sealed),
    )  # fmt: skip


def pack_sealed(fields: Sequence[SealedField]) -> bytes | None:
    """Return sealed fields as they are stored beside their event."""
    return SealedFields(fields=fields).SerializeToString() if fields else None


def _fork(stream: str, epoch: int, sequence: int) -> LogFork:
    return LogFork(
        f"{stream} at {epoch}/{sequence} is not what was received or hashed before",
        stream=stream,
        epoch=str(epoch),
        sequence=str(sequence),
    )


def _copy(session: Session, table: Table, columns: Sequence[str], rows: Iterable[tuple[object, ...]]) -> None:
    """Write rows with COPY, in the session's transaction: several times as fast as INSERT."""
    driver: Any = session.connection().connection.driver_connection
    await_only(driver.copy_records_to_table(table.name, schema_name=table.schema, columns=columns, records=rows))
