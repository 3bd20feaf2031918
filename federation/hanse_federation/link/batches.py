"""Batches as they travel: the records of a stream in columns, written and read here and nowhere else."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import NamedTuple

from hanse.errors import ValidationFailed
from hanse.log.append import Head
from hanse_protos.federation.v1.link_pb2 import DecodedBatch, RecordBatch, SealedOfRecord
from hanse_protos.log.v1.log_pb2 import Event, SealedField

HASH_BYTES = 32
"""Of SHA-256."""


class Record(NamedTuple):
    """One record of a batch."""

    sequence: int
    hash: bytes
    event: bytes
    sealed: Sequence[SealedField]


def batch_after(
    stream: str,
    previous: Head,
    events: Sequence[bytes],
    hashes: Iterable[bytes],
    sealed: Mapping[int, Sequence[SealedField]],
) -> RecordBatch:
    """Return the batch of the records that follow a head, in its epoch; `sealed` fields by the record's index."""
    return RecordBatch(
        stream=stream,
        epoch=previous.epoch,
        first_sequence=previous.sequence + 1,
        previous_hash=previous.hash,
        events=events,
        hashes=b"".join(hashes),
        sealed=[SealedOfRecord(index=index, fields=fields) for index, fields in sealed.items() if fields],
    )


def hashes_of(batch: RecordBatch) -> list[bytes]:
    """Return the hashes that a batch says its records have. Raises ValidationFailed where it has not one for each."""
    hashes = batch.hashes
    if len(hashes) != HASH_BYTES * len(batch.events):
        raise ValidationFailed(f"a batch of {batch.stream} has not one hash for each record", stream=batch.stream)
    return [hashes[start : start + HASH_BYTES] for start in range(0, len(hashes), HASH_BYTES)]


def sealed_of(batch: RecordBatch) -> dict[int, Sequence[SealedField]]:
    """Return the sealed fields of a batch by index.

    Raises ValidationFailed where there is no such record, or two lists of fields of the same one.
    """
    sealed: dict[int, Sequence[SealedField]] = {record.index: record.fields for record in batch.sealed}
    if sealed.keys() - range(len(batch.events)):
        raise ValidationFailed(f"a batch of {batch.stream} has sealed fields of no record", stream=batch.stream)
    if len(sealed) < len(batch.sealed):
        raise ValidationFailed(f"a batch of {batch.stream} has sealed fields of a record twice", stream=batch.stream)
    return sealed


def decoded(batch: RecordBatch) -> list[Event]:
    """Return the events of a batch, decoded all at once. Raises DecodeError where one is no event."""
    return list(DecodedBatch.FromString(batch.SerializeToString()).events)


def records_of(batch: RecordBatch) -> list[Record]:
    """Return the records of a batch one by one, for those who have time. Raises ValidationFailed."""
    sealed = sealed_of(batch)
    columns = zip(count(batch.first_sequence), hashes_of(batch), batch.events, strict=False)
    return [Record(*record, sealed.get(index, ())) for index, record in enumerate(columns)]


def size_of(batch: RecordBatch) -> int:
    """Return how many bytes the events and the granted texts of a batch have."""
    return sum(map(len, batch.events)) + sum(record.ByteSize() for record in batch.sealed)


def end_of(batch: RecordBatch) -> Head:
    """Return where a stream ends with a batch."""
    return Head(batch.epoch, batch.first_sequence + len(batch.events) - 1, batch.hashes[-HASH_BYTES:])
