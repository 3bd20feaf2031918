"""Receiving, the same at both ends: a batch is opened, checked against what is there, stored, and then acknowledged.

*Opening* is here. It needs no database: every hash is computed anew, so that what is stored is what the writer wrote,
and events are decoded. It is done while the batches before it are still being committed, in small steps between which
their transaction goes on. *Storing* (`storing`) takes a batch where its first record follows from what is there.

This is the hot path of a catch-up, at headquarters for all units at once, so nothing is done twice and little for each
record. A batch is worked on column by column: its hashes are checked, its events are decoded all at once, and its rows
are written in the bytes that PostgreSQL takes (`copying`). Only facts that somebody asked for become objects and have
their payload opened, and where only the last fact on a resource counts, the ones before it don't. All else is done for
several batches at once: one transaction, one lock of the head, one COPY, one statement for each view.
"""

import asyncio
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import NamedTuple

from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp

from hanse.errors import FactUnreadable, FrameForeign, ValidationFailed
from hanse.log.append import Head
from hanse.log.chain import chain_hashes
from hanse.log.follow import StoredRecord
from hanse.log.sealing import check_sealed
from hanse_federation.link.batches import HASH_BYTES, decoded, hashes_of, sealed_of
from hanse_federation.link.copying import pack_sealed, write_rows
from hanse_federation.link.forks import contradiction
from hanse_federation.link.frames import MAX_BATCH_RECORDS
from hanse_protos.federation.v1.link_pb2 import RecordBatch
from hanse_protos.log.v1.log_pb2 import Event, LogRecord, SealedField, SealedFields

RECORDS_IN_A_STEP = 200
"""How many records are worked on before others have their turn, about a third of a millisecond's work. What waits
meanwhile is above all the transaction of the batches before, a dozen round trips with PostgreSQL and a COPY that has to
be fed: a whole batch at once would hold up each of them, and the two would take turns and not work side by side."""

MAX_PROBLEM_CHARACTERS = 200
"""How much of an error is told of a record that can't be stored: it says what is wrong, and may quote what is."""

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
    stream: str
    problem: str = ""
    """Why the payload can't be opened; it is an empty one then."""

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
    """The records as they are stored, each in PARTS_OF_A_ROW parts."""
    facts: Sequence[Arrival]
    """What the receiver asked for, in order."""
    texts_about: frozenset[str] = frozenset()
    """The resources that some record of the batch brings texts about."""
    size_bytes: int = 0
    """Of the events and the sealed texts."""

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

    Raises LogFork where a hash or a sealed field is not what it says; FactUnreadable where a record holds no event that
    could be stored; FrameForeign where somebody else than `writer` wrote one, if only that unit may.
    """
    return at_once(opening(batch, interests, writer))


Steps = Iterator["OpenedBatch | None"]
"""A batch that is being opened in steps: None between two of them, where others may have their turn; then the batch."""


def at_once(steps: Steps) -> OpenedBatch:
    """Open a batch without letting anybody else have a turn."""
    return next(opened for opened in steps if opened is not None)


async def in_turns(steps: Steps) -> OpenedBatch:
    """Open a batch step by step; whatever else waits in this process has its turn in between."""
    while (opened := next(steps)) is None:  # noqa: ASYNC110 - the next step is not awaited, it is taken.
        await asyncio.sleep(0)
    return opened


def opening(batch: RecordBatch, interests: Interests, writer: str | None = None) -> Steps:
    """Open a batch as `open_batch` does, in steps."""
    stream, epoch, first = batch.stream, batch.epoch, batch.first_sequence
    contents = list(batch.events)
    if not contents:
        raise ValidationFailed(f"a batch of {stream} is empty", stream=stream)
    steps = [slice(start, start + RECORDS_IN_A_STEP) for start in range(0, len(contents), RECORDS_IN_A_STEP)]
    hashes: list[bytes] = []
    for step in steps:
        hashes += _next_hashes(batch, hashes, contents[step])
        yield None
    _check_hashes(batch, hashes)
    sealed = sealed_of(batch)
    texts = [pack_sealed(sealed[index]) if index in sealed else None for index in range(len(contents))]
    rows: list[bytes] = []
    try:
        events = decoded(batch)
        for step in steps:
            place = stream, epoch, first + step.start
            rows += write_rows(place, hashes[step], contents[step], events[step], texts[step])
            yield None
    except UNREADABLE as error:
        raise _unreadable(batch) from error
    facts = _facts(interests, (stream, epoch, first), contents, events, sealed)
    if writer:
        _refuse_foreign(events, writer)
    for index, fields in sealed.items():
        check_sealed(events[index], fields)
    texts_about = frozenset(events[index].resource for index in sealed)
    size_bytes = sum(map(len, contents)) + sum(map(len, filter(None, texts)))
    yield OpenedBatch(stream, epoch, first, batch.previous_hash, hashes, rows, facts, texts_about, size_bytes)


UNREADABLE = (DecodeError, ValueError, OverflowError, struct.error)
"""What reading an event, and writing it as a row, raises where it is none, or none that the columns hold."""


def _unreadable(batch: RecordBatch) -> FactUnreadable:
    """Return which record of a batch can't be stored, and why: each is tried alone, since that is rare."""
    for sequence, content in enumerate(batch.events, batch.first_sequence):
        event = Event()
        try:
            event.ParseFromString(content)
            write_rows((batch.stream, batch.epoch, sequence), [bytes(HASH_BYTES)], [content], [event], [None])
        except UNREADABLE as error:
            return unreadable(batch.stream, batch.epoch, sequence, str(error), event)
    return unreadable(batch.stream, batch.epoch, batch.first_sequence, "what follows is no event")


def unreadable(stream: str, epoch: int, sequence: int, problem: str, event: Event | None = None) -> FactUnreadable:
    """Return that a record can't be stored here, and so holds up its stream."""
    # An error may quote what it can't read, and PostgreSQL's text can't hold a NUL.
    problem = problem.replace("\0", "\\0")[:MAX_PROBLEM_CHARACTERS]
    known = {"event": event.event_id, "type": event.type} if event else {}
    return FactUnreadable(
        f"{stream} at {epoch}/{sequence} can't be read: {problem}",
        stream=stream, epoch=str(epoch), sequence=str(sequence), **known,
    )  # fmt: skip


def _next_hashes(batch: RecordBatch, hashes: Sequence[bytes], contents: Iterable[bytes]) -> list[bytes]:
    """Return the hashes of the records that follow those whose hashes are known, computed anew.

    Raises ValidationFailed where a place is beyond the last number.
    """
    previous, first = hashes[-1] if hashes else batch.previous_hash, batch.first_sequence + len(hashes)
    try:
        return chain_hashes(previous, batch.stream, batch.epoch, first, contents)
    except struct.error as error:
        raise ValidationFailed(f"a batch of {batch.stream} holds places that are none: {error}") from error


def _check_hashes(batch: RecordBatch, hashes: Sequence[bytes]) -> None:
    """Raise LogFork where a hash is not what the batch says, ValidationFailed where it says not one for each record."""
    said = hashes_of(batch)
    if hashes != said:
        first_wrong = next(index for index, pair in enumerate(zip(hashes, said, strict=True)) if pair[0] != pair[1])
        raise contradiction(batch.stream, batch.epoch, batch.first_sequence + first_wrong)


def _refuse_foreign(events: Iterable[Event], writer: str) -> None:
    """Raise FrameForeign where somebody else than the writer of a stream wrote one of its events."""
    if {event.unit for event in events} != {writer}:
        foreign = next(event for event in events if event.unit != writer)
        raise FrameForeign(f"{writer} sent a fact that {foreign.unit} wrote", unit=writer, event=foreign.event_id)


def _facts(
    interests: Interests,
    place: tuple[str, int, int],
    contents: Sequence[bytes],
    events: Sequence[Event],
    sealed: Mapping[int, Sequence[SealedField]],
) -> list[Arrival]:
    """Return the facts that somebody asked for, in order, opened. One whose payload is none has a problem."""
    stream, epoch, first = place
    wanted: dict[int | str, tuple[int, Interest]] = {}
    for index, event in enumerate(events):
        if interest := interests.get(event.type):
            # Where only the last one counts, a later one takes the place of an earlier one.
            wanted[index if interest.every else event.resource] = index, interest
    chosen = sorted(wanted.values(), key=itemgetter(0))
    try:
        payloads = [interest.payload.FromString(events[index].payload) for index, interest in chosen]
    except DecodeError:
        return [
            _opened(kind, (stream, epoch, first + index), events[index], contents[index], sealed.get(index, ()))
            for index, (kind, _) in chosen
        ]
    return [
        Arrival(epoch, first + index, events[index], payload, contents[index], sealed.get(index, ()), stream)
        for (index, _), payload in zip(chosen, payloads, strict=True)
    ]


def _opened(
    kind: type[Message], place: tuple[str, int, int], event: Event, content: bytes, sealed: Sequence[SealedField]
) -> Arrival:
    """Return a fact opened, with a problem where its payload is none."""
    stream, epoch, sequence = place
    payload, problem = kind(), ""
    try:
        payload = kind.FromString(event.payload)
    except DecodeError as error:
        problem = f"its payload is no {kind.DESCRIPTOR.name}: {error}"
    return Arrival(epoch, sequence, event, payload, content, sealed, stream, problem)


def open_stored(record: StoredRecord, interests: Interests) -> Arrival | None:
    """Open a record that is stored here, which was checked when it came; None where nobody asks for it."""
    interest = interests.get(record.type)
    if interest is None:
        return None
    event = Event.FromString(record.event)
    sealed = SealedFields.FromString(record.sealed).fields if record.sealed else ()
    return _opened(interest.payload, (record.stream, record.epoch, record.sequence), event, record.event, sealed)


def open_told(record: LogRecord, interests: Interests) -> Arrival | None:
    """Open a record that was kept with its texts; None where nobody asks for it."""
    event = Event.FromString(record.event)
    if (interest := interests.get(event.type)) is None:
        return None
    place = record.stream, record.epoch, record.sequence
    return _opened(interest.payload, place, event, record.event, record.sealed)


def instant_of(timestamp: Timestamp) -> datetime:
    """Return a timestamp as an instant: a third of what the general way costs."""
    return _EPOCH + timedelta(0, timestamp.seconds, timestamp.nanos // 1_000)
