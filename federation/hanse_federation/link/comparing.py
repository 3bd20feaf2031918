"""Comparing a stream's two holders: which is the last record that both have?

Agreement on one hash is agreement on everything before it, so the answer is found by halving, or rather by cutting into
many parts at once: some sixty records are asked for at a time, so a million takes four questions. The unit asks, since
headquarters never dials; headquarters keeps the answer too.
"""

from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy import ARRAY, BigInteger, any_, bindparam, select
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import FrameForeign, LogsDisagree
from hanse.log.append import EMPTY_HEAD, Head
from hanse.log.epochs import holds
from hanse.log.follow import read_head
from hanse.names import downstream_name, stream_name
from hanse_federation.link.frames import MAX_BATCH_RECORDS, heads_by_stream, stream_head
from hanse_federation.link.sending import Source, everything, read_batches
from hanse_federation.model import LOG, UPSTREAM_SERVICES
from hanse_federation.recovery.quarantine import release, save_common
from hanse_protos.federation.v1 import link_pb2 as pb
from hanse_protos.log.v1.log_pb2 import StreamHead

PROBES = 64
"""How many records are asked for at a time; the contract allows 100."""

COMPARE_TIMEOUT_SECONDS = 10.0
"""For one question: some sixty look-ups by primary key."""

Ask = Callable[[pb.CompareStreamRequest], Awaitable[pb.CompareStreamResponse]]


def streams_of(unit: str) -> set[str]:
    """Return the streams that a unit's link carries, both ways."""
    return {downstream_name(unit), *(stream_name(unit, service) for service in UPSTREAM_SERVICES)}


def compare_stream(session: Session, unit: str, request: pb.CompareStreamRequest) -> pb.CompareStreamResponse:
    """Answer, at headquarters, which of a unit's records are here too. Raises FrameForeign for another's stream."""
    stream = request.stream
    if stream not in streams_of(unit):
        raise FrameForeign(f"{stream} is not on the link of {unit}", unit=unit, stream=stream)
    probes = [Head(probe.epoch, probe.sequence, probe.hash) for probe in request.probes]
    agreed = [probe for probe in probes if holds(session, LOG, stream, probe)]
    common = max(agreed, key=lambda head: head.sequence, default=EMPTY_HEAD)
    head = read_head(session, LOG, stream)
    if request.final:
        save_common(session, stream, common)
    # The receiver's head is what both must have: headquarters' own for a unit's stream, the unit's for the other way.
    receiver = probes[-1] if stream == downstream_name(unit) and probes else head
    if request.settle and common == receiver:
        release(session, stream)
    return pb.CompareStreamResponse(common=stream_head(stream, common), head=stream_head(stream, head))


def fetch_records(session: Session, unit: str, request: pb.FetchRecordsRequest) -> pb.FetchRecordsResponse:
    """Return, at headquarters, the next records of one of a unit's own streams, as the unit wrote them.

    Raises FrameForeign for another's stream; LogsDisagree where the record that they would follow is not here.
    """
    stream, after = request.stream, heads_by_stream([request.after]).get(request.stream, EMPTY_HEAD)
    if stream not in streams_of(unit) - {downstream_name(unit)}:
        raise FrameForeign(f"{stream} is not a stream of {unit}", unit=unit, stream=stream)
    if not holds(session, LOG, stream, after):
        raise LogsDisagree(f"{stream} has no record {after.epoch}/{after.sequence} here", stream=stream)
    reading = read_batches(session, Source(LOG, stream), after, MAX_BATCH_RECORDS, everything)
    return pb.FetchRecordsResponse(batch=next(iter(reading.batches), None))


async def last_common(database: Database, source: Source, ask: Ask) -> tuple[Head, Head]:
    """Return the last record of a stream that headquarters has too, and where the stream ends there."""
    stream = source.stream
    own = await database.read(read_head, source.log, stream)
    reply = await ask(pb.CompareStreamRequest(stream=stream, probes=_heads(stream, [own])))
    there = heads_by_stream([reply.head])[stream]
    low, high = heads_by_stream([reply.common])[stream], min(own.sequence, there.sequence)
    while low.sequence < high:
        probes = await database.read(_probes, source, low.sequence, high)
        if not probes:
            break
        reply = await ask(pb.CompareStreamRequest(stream=stream, probes=_heads(stream, probes)))
        agreed = reply.common.sequence
        low = next((probe for probe in probes if probe.sequence == agreed), low)
        high = min((probe.sequence - 1 for probe in probes if probe.sequence > low.sequence), default=low.sequence)
    await ask(pb.CompareStreamRequest(stream=stream, probes=_heads(stream, [low]), final=True))
    return low, there


def _heads(stream: str, heads: Sequence[Head]) -> list[StreamHead]:
    return [stream_head(stream, head) for head in heads if head.sequence]


def _probes(session: Session, source: Source, low: int, high: int) -> list[Head]:
    """Return records between two sequences, evenly spread, the last one among them."""
    width = high - low
    count = min(PROBES, width)
    wanted = sorted({low + width * number // count for number in range(1, count + 1)})
    columns = source.log.record.c
    query = select(columns.epoch, columns.sequence, columns.hash).where(
        columns.stream == source.stream,
        columns.sequence == any_(bindparam("wanted", wanted, ARRAY(BigInteger))),
    )
    return [Head(*row) for row in session.execute(query.order_by(columns.epoch, columns.sequence))]
