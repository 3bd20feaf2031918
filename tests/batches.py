"""Batches of records, sound and altered, for tests of what a receiver makes of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hanse.log.append import Head
from hanse.log.chain import EMPTY_HASH, chain_hashes
from hanse_federation.link.batches import Record, batch_after, end_of, records_of
from hanse_protos.federation.v1.link_pb2 import RecordBatch
from hanse_protos.log.v1.log_pb2 import SealedField


def chained(
    stream: str,
    contents: Sequence[bytes],
    *,
    first: int = 1,
    previous: bytes = EMPTY_HASH,
    sealed: Mapping[int, Sequence[SealedField]] | None = None,
) -> RecordBatch:
    """Return a batch of events of the first epoch, whose hashes are right."""
    hashes = chain_hashes(previous, stream, 1, first, contents)
    return batch_after(stream, Head(1, first - 1, previous), contents, hashes, sealed or {})


def altered(batch: RecordBatch, index: int, **changes: Any) -> RecordBatch:
    """Return a batch in which one record has another `event`, `hash` or `sealed`, and all else is as it was."""
    records = records_of(batch)
    records[index] = records[index]._replace(**changes)
    return _with_records(batch, Head(batch.epoch, batch.first_sequence - 1, batch.previous_hash), records)


def part_of(batch: RecordBatch, begin: int, end: int) -> RecordBatch:
    """Return the records of a batch from one index to before another, as a batch that is as sound as it was."""
    records = records_of(batch)
    before = records[begin - 1].hash if begin else batch.previous_hash
    return _with_records(batch, Head(batch.epoch, batch.first_sequence + begin - 1, before), records[begin:end])


def last_hash(batch: RecordBatch) -> bytes:
    """Return the hash of the last record of a batch: the one that the next batch follows."""
    return end_of(batch).hash


def _with_records(batch: RecordBatch, previous: Head, records: Iterable[Record]) -> RecordBatch:
    _, hashes, events, sealed = zip(*records, strict=True)
    return batch_after(batch.stream, previous, events, hashes, dict(enumerate(sealed)))
