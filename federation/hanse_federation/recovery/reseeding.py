"""Re-seeding: a unit that came back from an old backup gets its own records back from headquarters' copy.

They are fetched over the unit's own identity, and checked as they come: each follows from the last record that both
have. Then, in one transaction, they are put back verbatim at their places, so that both logs agree again without a new
epoch; each service restores what they say to its tables; and what the unit has written since the restore follows them,
the same events at later places, since nobody has taken those yet. A long stream comes back in rounds, each of which
leaves a log that is whole: what breaks off between two is gone on with by the same command.

What a record says is restored by the service that wrote it (`Restores`). Texts that never left the unit are lost, and
so is what stands in no event: the answer says which texts, ticket by ticket. Readers of the log go on from the last
common record, so reactions and processes hear of what came back; they know what they have heard before.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from google.protobuf.message import Message
from sqlalchemy import delete, insert
from sqlalchemy.orm import Session

from hanse.errors import LogFork, LogsDisagree, NothingToDecide
from hanse.log.append import Entry, Head, append, lock_head, move_head
from hanse.log.epochs import behind, holds, turn_back
from hanse.log.events import Fact, payload_of, short_type
from hanse.log.follow import Position, read_after
from hanse.log.tables import LogTables
from hanse.names import ticket_in
from hanse.policy.store import PolicyStore
from hanse.schema import ServiceSchema
from hanse.times import instant
from hanse.work import Work
from hanse_federation.link.batches import Record, records_of
from hanse_federation.link.frames import stream_head
from hanse_federation.link.receiving import open_batch
from hanse_federation.model import UPSTREAM_SERVICES
from hanse_federation.recovery.decisions import own_log
from hanse_protos.federation.v1 import recovery_pb2 as pb
from hanse_protos.federation.v1.link_pb2 import FetchRecordsRequest, FetchRecordsResponse, RecordBatch
from hanse_protos.log.v1.log_pb2 import Event, SealedFields

ROUND_RECORDS = 50_000
"""How many records come back in one round, in memory and in one transaction: as many rounds follow as it takes."""
MAX_LISTED = 5_000
"""How many tickets and other resources the answer names, so that it stays below the size of a message."""
PAGE_RECORDS = 1_000

Restore = Callable[[Work, Fact], None]
"""Brings a service's tables up to a fact that the service had told before its unit was restored. It tells nothing."""
Restores = Mapping[str, Mapping[type[Message], Restore]]
"""What each service restores, by the fact."""

Ask = Callable[[FetchRecordsRequest], Awaitable[FetchRecordsResponse]]


@dataclass(frozen=True, slots=True)
class Place:
    """A record that came back, with its place."""

    epoch: int
    record: Record


async def fetch(unit: str, stream: str, after: Head, ask: Ask, limit: int) -> list[RecordBatch]:
    """Return what headquarters has of a stream behind a record, checked, until it is `limit` records or more.

    Raises LogFork; ValidationFailed where an answer is not what this version of Hanse can read.
    """
    batches: list[RecordBatch] = []
    head, count = after, 0
    while count < limit:
        answer = await ask(FetchRecordsRequest(stream=stream, after=stream_head(stream, head)))
        if not answer.HasField("batch"):
            break
        # One that holds nothing that this version can read is refused: it is not the end of the stream.
        batch = answer.batch
        opened = open_batch(batch, {}, writer=unit)
        if (batch.stream, batch.previous_hash, batch.first_sequence) != (stream, head.hash, head.sequence + 1):
            raise LogFork(f"headquarters' copy of {stream} does not follow {head.epoch}/{head.sequence}", stream=stream)
        batches.append(batch)
        head, count = opened.end, count + len(batch.events)
    return batches


def service_of(unit: str, stream: str) -> str:
    """Return the service that writes a stream of this unit. Raises NothingToDecide where no copy is at headquarters."""
    service = stream.rsplit("/", 1)[-1]
    if own_log(unit, stream) is None or service not in UPSTREAM_SERVICES:
        raise NothingToDecide(
            f"headquarters has no copy of {stream} to give back", hint="Start a new epoch instead.", stream=stream
        )
    return service


@dataclass
class _Report:
    """What came back, by ticket or other resource."""

    lines: dict[str, pb.ReseededResource] = field(default_factory=dict)

    def add(self, subject: str, event: Event, record: Record, *, skipped: bool) -> None:
        line = self.lines.setdefault(subject, pb.ReseededResource(resource=subject, skipped=skipped))
        line.records += 1
        granted = {sealed.field for sealed in record.sealed}
        for digest in event.sealed_digests:
            text = f"{short_type(event.type)}.{digest.field}"
            if digest.field not in granted and text not in line.lost_texts:
                line.lost_texts.append(text)


def reseed(
    work: Work, stream: str, after: Head, batches: Sequence[RecordBatch], restores: Restores
) -> pb.ReseedStreamResponse:
    """Put records back behind the last common one, and restore what they say. Raises LogsDisagree."""
    session, service = work.session, service_of(work.unit, stream)
    log = ServiceSchema(service).log
    lock_head(session, log, stream)
    if not holds(session, log, stream, after):
        raise LogsDisagree(f"{stream} has no record {after.epoch}/{after.sequence} any more", stream=stream)
    tail = _lift(session, log, stream, after)
    for batch in batches:
        _put_back(session, log, batch)
    places = [place for batch in batches for place in _places(batch)]
    end = Head(places[-1].epoch, places[-1].record.sequence, places[-1].record.hash) if places else after
    move_head(session, log, stream, end)
    turn_back(session, log, stream, after)
    report = _restore(work, service, places, {_subject(entry.resource) for entry in tail}, restores)
    head = append(session, log, stream, tail) if tail else lock_head(session, log, stream)
    return pb.ReseedStreamResponse(
        head=stream_head(stream, head),
        records=len(places),
        carried=len(tail),
        resources=list(report.lines.values())[:MAX_LISTED],
    )


def combine(rounds: Sequence[pb.ReseedStreamResponse]) -> pb.ReseedStreamResponse:
    """Return one answer for all rounds: each names what came back in it."""
    lines: dict[str, pb.ReseededResource] = {}
    for line in (line for answer in rounds for line in answer.resources):
        known = lines.setdefault(line.resource, pb.ReseededResource(resource=line.resource, skipped=line.skipped))
        known.records += line.records
        known.lost_texts.extend(text for text in line.lost_texts if text not in known.lost_texts)
    return pb.ReseedStreamResponse(
        head=rounds[-1].head,
        records=sum(answer.records for answer in rounds),
        carried=rounds[-1].carried,
        resources=list(lines.values())[:MAX_LISTED],
    )


def _lift(session: Session, log: LogTables, stream: str, after: Head) -> list[Entry]:
    """Take the records behind a place out of a log, and return them, to be appended again."""
    entries: list[Entry] = []
    position = Position(after.epoch, after.sequence)
    while records := read_after(session, log, stream, position, PAGE_RECORDS):
        for record in records:
            event = record.decoded()
            occur_time = instant(event.occur_time)
            entries.append(
                Entry(UUID(event.event_id), record.resource, record.type, occur_time, record.event, record.sealed)
            )
        position = Position(records[-1].epoch, records[-1].sequence)
    session.execute(delete(log.record).where(*behind(log, stream, after)))
    return entries


def _places(batch: RecordBatch) -> Iterable[Place]:
    for record in records_of(batch):
        yield Place(batch.epoch, record)


def _put_back(session: Session, log: LogTables, batch: RecordBatch) -> None:
    rows = []
    for place in _places(batch):
        event = Event.FromString(place.record.event)
        rows.append(
            {
                "stream": batch.stream,
                "epoch": place.epoch,
                "sequence": place.record.sequence,
                "hash": place.record.hash,
                "event_id": UUID(event.event_id),
                "resource": event.resource,
                "type": event.type,
                "occur_time": instant(event.occur_time),
                "event": place.record.event,
                "sealed": SealedFields(fields=sealed).SerializeToString() if (sealed := place.record.sealed) else None,
            }
        )
    session.execute(insert(log.record), rows)


def _subject(resource: str) -> str:
    return ticket_in(resource) or resource


def _restore(work: Work, service: str, places: Sequence[Place], touched: set[str], restores: Restores) -> _Report:
    """Let a service restore what records say, but for what the unit has worked on since; report it."""
    report, known = _Report(), restores.get(service, {})
    policies = PolicyStore(ServiceSchema(service))
    for place in places:
        event = Event.FromString(place.record.event)
        subject = _subject(event.resource)
        report.add(subject, event, place.record, skipped=subject in touched)
        payload = payload_of(event)
        restore = known.get(type(payload)) if payload is not None else None
        if restore is None or payload is None or subject in touched:
            continue
        texts = {sealed.field: sealed.value for sealed in place.record.sealed}
        restore(
            Work(work.session, work.unit, work.cause, instant(event.occur_time), policies), Fact(event, payload, texts)
        )
        work.session.flush()
    return report
