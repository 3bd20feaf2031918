"""Sending, the same at both ends: streams are read from where the receiver has them, as far ahead as it allows.

Several streams take turns, a few batches each: while a long one catches up, a short one (a policy's acknowledgement)
does not wait behind it.
"""

import asyncio
import time
from bisect import bisect_right
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

from sqlalchemy import MetaData, select
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import FrameForeign, LogGap
from hanse.log.append import EMPTY_HEAD, Head
from hanse.log.follow import Wakeup, read_head
from hanse.log.tables import LogTables
from hanse.names import stream_name
from hanse.session import Query
from hanse_federation.link.batches import batch_after, end_of, size_of
from hanse_federation.link.forks import fork
from hanse_federation.link.frames import MAX_BATCH_BYTES, MAX_BATCH_RECORDS, MAX_READ_RECORDS
from hanse_federation.link.pacing import Pace
from hanse_federation.model import UPSTREAM_SERVICES
from hanse_protos.federation.v1.link_pb2 import RecordBatch
from hanse_protos.log.v1.log_pb2 import SealedField, SealedFields

Row = Mapping[str, Any]
"""A stored record: epoch, sequence, hash, type, resource, event, sealed."""
Share = Callable[[Row], Sequence[SealedField]]
"""Says which sealed fields of a record the receiver may have."""


FIRST_RECORD_BYTES = 1024
"""How large records are taken to be before any was read."""


@dataclass(frozen=True, slots=True)
class Source:
    """A stream, and the log that holds it."""

    log: LogTables
    stream: str


def upstream_sources(unit: str) -> list[Source]:
    """Return the streams that a unit sends to headquarters."""
    return [Source(LogTables(MetaData(schema=service)), stream_name(unit, service)) for service in UPSTREAM_SERVICES]


class Sent(NamedTuple):
    """A batch that was sent."""

    head: Head
    """Where its stream ended with it."""
    time_seconds: float
    """When that was."""
    batches: int
    """How many batches were under way then, with this one."""


class CreditWindow:
    """How many records are under way, and whether more may be sent.

    It knows the head of every batch that is under way, so an acknowledgement is compared with what was really sent:
    there are as many of them at most as records under way, which the credit bounds.
    """

    def __init__(self, credit: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.pace = Pace()
        self._credit = credit
        self._clock = clock
        self._sent: dict[str, deque[Sent]] = {}
        self.acknowledged: dict[str, Head] = {}
        self._moved = asyncio.Event()
        self._record_bytes = FIRST_RECORD_BYTES

    def begin(self, stream: str, head: Head) -> None:
        """Take up a stream where the receiver has it."""
        self._sent[stream] = deque([Sent(head, self._clock(), 0)])
        self.acknowledged[stream] = head

    def sent(self, stream: str, head: Head) -> None:
        """Count a batch that was sent, up to its head."""
        # The first one of each stream is acknowledged.
        batches = sum(len(sent) - 1 for sent in self._sent.values()) + 1
        self._sent[stream].append(Sent(head, self._clock(), batches))

    def acknowledge(self, stream: str, head: Head) -> None:
        """Free the credit of everything up to a head; an acknowledgement that comes again changes nothing.

        Raises FrameForeign for a stream that is not sent here; LogFork where the receiver says that it has what was
        never sent: another hash, or a place beyond the last one.
        """
        sent = self._sent.get(stream)
        if sent is None:
            raise FrameForeign(f"{stream} was acknowledged, which is not sent here", stream=stream)
        place = (head.epoch, head.sequence)
        while len(sent) > 1 and _place(sent[0]) < place:
            sent.popleft()
        if _place(sent[0]) > place:
            return
        if sent[0].head != head:
            raise fork(stream, *place, "was acknowledged and is not what was sent")
        if head != self.acknowledged[stream]:
            self.acknowledged[stream] = head
            self.pace.acknowledged(self._clock() - sent[0].time_seconds, sent[0].batches)
            self._moved.set()

    @property
    def under_way(self) -> int:
        """How many records wait for their acknowledgement."""
        return sum(sent[-1].head.sequence - self.acknowledged[stream].sequence for stream, sent in self._sent.items())

    def measure(self, records: int, size_bytes: int) -> None:
        """Note how large records are, so that large ones are sent less far ahead."""
        self._record_bytes = max(1, size_bytes // max(1, records))

    @property
    def _limit(self) -> int:
        return max(1, min(self._credit, self.pace.ahead_bytes // self._record_bytes))

    @property
    def left(self) -> int:
        """How many more records may be sent before the next acknowledgement."""
        return max(0, self._limit - self.under_way)

    async def room(self) -> int:
        """Wait until something may be sent, and return how many records."""
        while (room := self._limit - self.under_way) <= 0:
            self._moved.clear()
            await self._moved.wait()
        return room


def _place(sent: Sent) -> tuple[int, int]:
    return sent.head.epoch, sent.head.sequence


@dataclass
class Sender:
    """Sends streams of one database to one receiver."""

    database: Database
    sources: Sequence[Source]
    window: CreditWindow
    choose: Callable[[Session], Share]
    """Returns, for the policy in force now, what may be shared."""
    _heads: dict[str, Head] = field(default_factory=dict)

    async def begin(self, received: Mapping[str, Head]) -> None:
        """Take up every stream where the receiver has it.

        Raises LogFork for the first stream of which the receiver has a record that is not in our log: it was lost or
        altered, here or there.
        """
        places = {source.stream: received.get(source.stream, EMPTY_HEAD) for source in self.sources}
        heads = await self.database.read(own_heads_at, self.sources, places)
        for stream, place in places.items():
            if heads.get(stream) != place:
                raise fork(stream, place.epoch, place.sequence, "is at the receiver and not in the sender's log")
        self._heads = heads
        for stream, head in heads.items():
            self.window.begin(stream, head)

    async def batches(self, wakeup: Wakeup) -> AsyncIterator[RecordBatch]:
        """Yield what there is to send, for ever. What grows while others catch up has its turn in the next round."""
        with wakeup.subscription([source.stream for source in self.sources]) as waiter:
            behind: set[str] = set()
            while True:
                behind |= waiter.take()
                for source in self.sources:
                    if source.stream in behind:
                        reading = await self._read(source)
                        for batch in reading.batches:
                            yield batch
                        if not reading.more:
                            behind.remove(source.stream)
                if not behind:
                    await waiter.sleep()

    async def _read(self, source: Source) -> "Reading":
        """Read what comes next of a stream, and count it as sent."""
        limit = min(await self.window.room(), MAX_READ_RECORDS)
        head, size = self._heads[source.stream], self.window.pace.batch_bytes
        reading = await self.database.read(read_batches, source, head, limit, self.choose, batch_bytes=size)
        if reading.batches:
            records = sum(len(batch.events) for batch in reading.batches)
            self.window.measure(records, sum(map(size_of, reading.batches)))
        for batch in reading.batches:
            self._heads[source.stream] = end_of(batch)
            self.window.sent(source.stream, self._heads[source.stream])
        return reading


def own_heads_at(session: Session, sources: Sequence[Source], places: Mapping[str, Head]) -> dict[str, Head]:
    """Return places with the hashes that our streams have there; a place that a stream does not reach is left out."""
    heads = {}
    for source in sources:
        head, columns = places[source.stream], source.log.record.c
        at = (columns.stream == source.stream, columns.epoch == head.epoch, columns.sequence == head.sequence)
        own_hash = session.scalar(select(columns.hash).where(*at)) if head.sequence else EMPTY_HEAD.hash
        if own_hash is not None:
            heads[source.stream] = Head(head.epoch, head.sequence, own_hash)
    return heads


class Reading(NamedTuple):
    """What was read of a stream."""

    batches: Sequence[RecordBatch]
    more: bool
    """Whether there may be more to read."""


def read_batches(
    session: Session,
    source: Source,
    head: Head,
    limit: int,
    choose: Callable[[Session], Share],
    *,
    batch_bytes: int = MAX_BATCH_BYTES,
) -> Reading:
    """Return the records after a head, `limit` at most, in batches of so many bytes before their last record.

    Raises LogGap where the stream has a hole. The rows come straight from the driver, and events stay as they are
    stored: this is the hot path of a catch-up.
    """
    place = {"stream": source.stream, "epoch": head.epoch, "sequence": head.sequence}
    rows = _following(source.log).rows(session, **place, limit=limit)
    if not rows:
        return Reading([], more=False)
    if rows[0]["sequence"] != head.sequence + 1:
        raise LogGap(
            f"{source.stream} has lost the records {head.sequence + 1} to {rows[0]['sequence'] - 1}",
            stream=source.stream,
            epoch=str(head.epoch),
            expected=str(head.sequence + 1),
            received=str(rows[0]["sequence"]),
        )
    # What is decided by the policy in force costs a query: it is asked where there is something to decide.
    share = choose(session) if any(row["sealed"] for row in rows) else None
    batches = _in_batches(source.stream, head, rows, share, batch_bytes)
    # A hole ends the reading before its last row: it is found when the next one begins there.
    return Reading(batches, more=len(rows) == limit or end_of(batches[-1]).sequence < rows[-1]["sequence"])


@lru_cache
def _following(log: LogTables) -> Query:
    # The name of the schema is ours, never a caller's.
    return Query(f"""
        SELECT epoch, sequence, hash, event, sealed, type, resource FROM "{log.schema}".log_record
        WHERE stream = :stream AND (epoch, sequence) > (:epoch, :sequence) ORDER BY epoch, sequence LIMIT :limit
    """)  # noqa: S608


def _in_batches(
    stream: str, head: Head, rows: Sequence[Any], share: Share | None, batch_bytes: int
) -> list[RecordBatch]:
    """Put rows that follow a head into batches, each of one epoch and within its bounds, as far as they are dense."""
    epochs, sequences, hashes, events, *_ = zip(*rows, strict=True)
    # What is sealed counts as if all of it were granted, and that it may be is asked only where there is a policy.
    sizes = list(accumulate(map(_size, rows) if share else map(len, events), initial=0))
    batches: list[RecordBatch] = []
    start, dense = 0, _count_dense(sequences)
    while start < dense:
        by_size = bisect_right(sizes, sizes[start] + batch_bytes)
        end = min(start + MAX_BATCH_RECORDS, bisect_right(epochs, epochs[start]), by_size, dense)
        sealed = {index: share(row) for index, row in enumerate(rows[start:end]) if row["sealed"]} if share else {}
        previous = Head(epochs[start], head.sequence, head.hash)
        batches.append(batch_after(stream, previous, events[start:end], hashes[start:end], sealed))
        start, head = end, end_of(batches[-1])
    return batches


def _size(row: Any) -> int:
    return len(row["event"]) + len(row["sealed"] or b"")


def _count_dense(sequences: Sequence[int]) -> int:
    """Return how many of the sequences follow one another without a hole."""
    if sequences[-1] - sequences[0] == len(sequences) - 1:
        return len(sequences)
    return next(index for index, sequence in enumerate(sequences) if sequence != sequences[0] + index)


def read_heads(session: Session, sources: Sequence[Source]) -> dict[str, Head]:
    """Return where streams end."""
    return {source.stream: read_head(session, source.log, source.stream) for source in sources}


def everything(_session: Session) -> Share:
    """Share whatever is stored: at headquarters it was chosen for its receiver when it was appended."""
    return lambda row: SealedFields.FromString(row["sealed"]).fields
