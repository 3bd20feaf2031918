"""Sending, the same at both ends: streams are read from where the receiver has them, as far ahead as it allows.

Several streams take turns, one batch each: while a long one catches up, a short one (a policy's acknowledgement) does
not wait behind it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import MetaData, select
from sqlalchemy.orm import Session
from sqlalchemy.util import await_only

from hanse.database import Database
from hanse.log.append import EMPTY_HEAD, Head
from hanse.log.follow import Wakeup, read_head
from hanse.log.tables import LogTables
from hanse.names import stream_name
from hanse_federation.frames import MAX_BATCH_BYTES, MAX_BATCH_RECORDS
from hanse_federation.model import UPSTREAM_SERVICES
from hanse_protos.federation.v1.link_pb2 import BatchedRecord, RecordBatch
from hanse_protos.log.v1.log_pb2 import SealedField, SealedFields

Row = Mapping[str, Any]
"""A stored record: epoch, sequence, hash, type, resource, event, sealed."""
Share = Callable[[Row], Sequence[SealedField]]
"""Says which sealed fields of a record the receiver may have."""


@dataclass(frozen=True, slots=True)
class Source:
    """A stream, and the log that holds it."""

    log: LogTables
    stream: str


def upstream_sources(unit: str) -> list[Source]:
    """Return the streams that a unit sends to headquarters."""
    return [Source(LogTables(MetaData(schema=service)), stream_name(unit, service)) for service in UPSTREAM_SERVICES]


class CreditWindow:
    """How many records are under way, and whether more may be sent."""

    def __init__(self, credit: int) -> None:
        self._credit = credit
        self._sent: dict[str, int] = {}
        self.acknowledged: dict[str, Head] = {}
        self._moved = asyncio.Event()

    def begin(self, stream: str, head: Head) -> None:
        """Take up a stream where the receiver has it."""
        self._sent[stream] = head.sequence
        self.acknowledged[stream] = head

    def sent(self, stream: str, sequence: int) -> None:
        """Count what was sent, up to a sequence."""
        self._sent[stream] = sequence

    def acknowledge(self, stream: str, head: Head) -> None:
        """Free the credit of everything up to a head. What was never sent is not believed."""
        if self.acknowledged[stream].sequence < head.sequence <= self._sent[stream]:
            self.acknowledged[stream] = head
            self._moved.set()

    @property
    def under_way(self) -> int:
        """How many records wait for their acknowledgement."""
        return sum(sent - self.acknowledged[stream].sequence for stream, sent in self._sent.items())

    async def room(self) -> int:
        """Wait until something may be sent, and return how many records."""
        while (room := self._credit - self.under_way) <= 0:
            self._moved.clear()
            await self._moved.wait()
        return room


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
        """Take up every stream where the receiver has it, with our own hash of that place: the receiver judges it.

        A receiver that is ahead has what we have lost. Such a stream is not sent; the heartbeats tell the receiver.
        """
        places = {source.stream: received.get(source.stream, EMPTY_HEAD) for source in self.sources}
        heads = await self.database.read(own_heads_at, self.sources, places)
        self.sources = [source for source in self.sources if source.stream in heads]
        self._heads = heads
        for stream, head in heads.items():
            self.window.begin(stream, head)

    async def batches(self, wakeup: Wakeup) -> AsyncIterator[RecordBatch]:
        """Yield what there is to send, for ever."""
        async for _ in wakeup.ticks():
            behind = list(self.sources)
            while behind:
                for source in list(behind):
                    batch = await self._next(source)
                    if batch is None:
                        behind.remove(source)
                    else:
                        yield batch

    async def _next(self, source: Source) -> RecordBatch | None:
        limit = min(await self.window.room(), MAX_BATCH_RECORDS)
        head = self._heads[source.stream]
        read = await self.database.read(read_batch, source, head, limit, self.choose)
        if read is None:
            return None
        batch, self._heads[source.stream] = read
        self.window.sent(source.stream, self._heads[source.stream].sequence)
        return batch


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


def read_batch(
    session: Session, source: Source, head: Head, limit: int, choose: Callable[[Session], Share]
) -> tuple[RecordBatch, Head] | None:
    """Return the records after a head as a batch, with the new head; None where there are none.

    The rows come straight from the driver, and events stay as they are stored: this is the hot path of a catch-up.
    """
    # The names of schema and table are ours, never a caller's.
    query = (
        f'SELECT epoch, sequence, hash, type, resource, event, sealed FROM "{source.log.schema}".log_record'  # noqa: S608
        " WHERE stream = $1 AND (epoch, sequence) > ($2, $3) ORDER BY epoch, sequence LIMIT $4"
    )
    driver: Any = session.connection().connection.driver_connection
    rows: list[Row] = await_only(driver.fetch(query, source.stream, head.epoch, head.sequence, limit))
    if not rows:
        return None
    share = choose(session)
    epoch, size, records = rows[0]["epoch"], 0, []
    for row in rows:
        if row["epoch"] != epoch or size > MAX_BATCH_BYTES:
            break
        sealed = share(row) if row["sealed"] else ()
        records.append(BatchedRecord(hash=row["hash"], event=row["event"], sealed=sealed))
        size += len(row["event"]) + len(row["sealed"] or b"")
    last = rows[len(records) - 1]
    batch = RecordBatch(
        stream=source.stream,
        epoch=epoch,
        first_sequence=rows[0]["sequence"],
        previous_hash=head.hash,
        records=records,
    )
    return batch, Head(last["epoch"], last["sequence"], last["hash"])


def read_heads(session: Session, sources: Sequence[Source]) -> dict[str, Head]:
    """Return where streams end."""
    return {source.stream: read_head(session, source.log, source.stream) for source in sources}


def everything(_session: Session) -> Share:
    """Share whatever is stored: at headquarters it was chosen for its receiver when it was appended."""
    return lambda row: SealedFields.FromString(row["sealed"]).fields
