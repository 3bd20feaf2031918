"""The ways out of a quarantine: what a person decides about a stream whose two holders disagree.

    a unit came back from an old backup    it gets its records back (`reseeding`),
                                           or it starts a new epoch, and headquarters accepts that
    headquarters did                       it starts a new epoch of its stream to the unit, and the unit accepts that
    both have the same again               a release, which checks it

Whoever has lost records as the stream's writer starts the epoch; whoever keeps a copy accepts it. Both need to know the
last record that both have (`link.comparing`); the agent finds that out as soon as the link is up. The links then begin
anew by themselves, and the stream goes on.

What others were told of the lost part stays told: headquarters sets it apart and rebuilds its views without it, but it
takes back no decision that another unit works under, with one exception. An engagement that its home unit does not know
any more is called off, since nobody would ever confirm it.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import MetaData, select, tuple_
from sqlalchemy.orm import Session

from hanse.errors import LogsDisagree, NothingToDecide, ResourceNotFound
from hanse.log.append import Head
from hanse.log.epochs import count_after, holds, set_apart, start_epoch
from hanse.log.events import Origin, new_event
from hanse.log.follow import StoredRecord, read_head
from hanse.log.tables import LogTables
from hanse.names import HEADQUARTERS, home_of
from hanse.rpc.paging import decode_token, encode_token, page_size
from hanse.times import timestamp
from hanse.work import Work
from hanse_federation.headquarters.absorbing import INTERESTS
from hanse_federation.headquarters.engagements import summary_of
from hanse_federation.headquarters.foreign import told_by_the_right
from hanse_federation.headquarters.projections import forget, project
from hanse_federation.headquarters.setting_apart import forget_set_apart, that_took_effect
from hanse_federation.link.frames import stream_head
from hanse_federation.link.receiving import Arrival, open_stored
from hanse_federation.model import LOG, STANDING, UPSTREAM_SERVICES, GroupEngagement, Offer, Orphan, Quarantine
from hanse_federation.recovery.quarantine import common_head, release, save_common
from hanse_protos.federation.v1 import group_pb2 as group
from hanse_protos.federation.v1 import recovery_pb2 as pb
from hanse_protos.log.v1.log_pb2 import EpochStarted, Event
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as ticket

PAGE_RECORDS = 1_000
"""How many records are in memory at once."""


def own_log(unit: str, stream: str) -> LogTables | None:
    """Return the log in which a unit writes a stream itself; None where it keeps a copy."""
    if home_of(stream) != unit:
        return None
    service = stream.rsplit("/", 1)[-1]
    if service in UPSTREAM_SERVICES:
        return LogTables(MetaData(schema=service))
    return LOG


def _quarantined(session: Session, stream: str) -> tuple[Quarantine, Head]:
    """Return a stream's quarantine, locked, and the last common record. Raises ResourceNotFound, NothingToDecide."""
    row = session.get(Quarantine, stream, with_for_update=True, populate_existing=True)
    if row is None:
        raise ResourceNotFound(f"{stream} is not in quarantine here", resource=stream)
    common = common_head(row)
    if common is None:
        raise NothingToDecide(stream=stream)
    return row, common


def is_between_peers(stream: str) -> bool:
    """Return whether a stream is what one unit writes for another: headquarters has nothing to say about it."""
    service = stream.rsplit("/", 1)[-1]
    return home_of(stream) != HEADQUARTERS and service not in UPSTREAM_SERVICES


# The writer.


def start(work: Work, request: pb.StartEpochRequest) -> pb.StartEpochResponse:
    """Let a stream of this unit go on in a new epoch behind the last record that both ends have.

    Raises ResourceNotFound where it is not in quarantine; NothingToDecide where it is not known yet what both have, or
    where this unit only keeps a copy; LogsDisagree where the record is gone meanwhile.
    """
    session, stream = work.session, request.stream
    log = own_log(work.unit, stream)
    if log is None:
        raise NothingToDecide(
            f"{stream} is written by {home_of(stream)}", hint="Only a stream's writer starts an epoch.", stream=stream
        )
    row, after = _quarantined(session, stream)
    if not holds(session, log, stream, after):
        raise LogsDisagree(f"{stream} has no record {after.epoch}/{after.sequence} any more", stream=stream)
    carried = count_after(session, log, stream, after)
    origin = Origin(work.unit, work.cause.actor, work.cause.request_id, work.cause.trace_context)
    started = EpochStarted(after=stream_head(stream, after), carried=carried)
    head = start_epoch(session, log, stream, after, new_event(origin, stream, started, work.now))
    row.new_epoch = head.epoch
    return pb.StartEpochResponse(head=stream_head(stream, head), after=stream_head(stream, after), carried=carried)


# The holder of a copy.


def accept(work: Work, request: pb.AcceptEpochRequest) -> pb.AcceptEpochResponse:
    """Take the new epoch of a stream: what its writer has lost is set apart, and the views are rebuilt without it.

    Raises ResourceNotFound where it is not in quarantine; NothingToDecide before the writer has started an epoch;
    LogsDisagree where the record that the epoch follows is not here.
    """
    session, stream = work.session, request.stream
    row, after = _quarantined(session, stream)
    if own_log(work.unit, stream) is not None or not row.new_epoch:
        raise NothingToDecide(
            f"the writer of {stream} has not started a new epoch",
            hint=f"At {home_of(stream)}: `hanse stream start-epoch {stream}`.",
            stream=stream,
        )
    if not holds(session, LOG, stream, after):
        raise LogsDisagree(f"{stream} has no record {after.epoch}/{after.sequence} here", stream=stream)
    orphans = count_after(session, LOG, stream, after)
    set_apart(session, LOG, Orphan.__table__, stream, after)  # type: ignore[arg-type]  # A mapped class has a Table.
    withdrawn: list[str] = []
    if work.unit == HEADQUARTERS:
        withdrawn = _revise(work, stream, after)
    release(session, stream)
    return pb.AcceptEpochResponse(after=stream_head(stream, after), orphans=orphans, withdrawn_engagements=withdrawn)


def _revise(work: Work, stream: str, after: Head) -> list[str]:
    """Rebuild the views without what a unit has lost, and call off the engagements that it does not know any more."""
    lost: list[str] = []
    place = (after.epoch, after.sequence)
    while orphans := _read(work.session, Orphan.__table__, stream, place):
        arrived = _opened(orphans)
        facts = _facts(work.session, arrived)
        forget(work.session, facts)
        forget_set_apart(work.session, arrived)
        _project_again(work.session, stream, {record.resource for record in orphans})
        lost += [fact.event.resource for fact in facts if isinstance(fact.payload, told.EngagementRequested)]
        place = (orphans[-1].epoch, orphans[-1].sequence)
    return call_off(work, lost)


def _project_again(session: Session, stream: str, resources: Iterable[str]) -> None:
    place = (0, 0)
    while records := _read(session, LOG.record, stream, place, list(resources)):
        project(session, _facts(session, _opened(records)))
        place = (records[-1].epoch, records[-1].sequence)


def _opened(records: Sequence[StoredRecord]) -> list[Arrival]:
    arrivals = [open_stored(record, INTERESTS) for record in records]
    return [arrival for arrival in arrivals if arrival is not None]


def _facts(session: Session, arrived: Sequence[Arrival]) -> list[Arrival]:
    """Return what has come into a view: what its writer may tell, and was not set apart."""
    return told_by_the_right(that_took_effect(session, arrived)).facts


def _read(
    session: Session, table: object, stream: str, place: tuple[int, int], resources: list[str] | None = None
) -> list[StoredRecord]:
    """Return the next page of a stream's records, of some resources where they are named."""
    columns = table.c  # type: ignore[attr-defined]  # The log's records, or those that were set apart.
    query = select(*(columns[name] for name in StoredRecord._fields)).where(
        columns.stream == stream, tuple_(columns.epoch, columns.sequence) > place
    )
    if resources is not None:
        query = query.where(columns.resource.in_(resources))
    query = query.order_by(columns.epoch, columns.sequence).limit(PAGE_RECORDS)
    return [StoredRecord(*row) for row in session.execute(query)]


def call_off(work: Work, names: Iterable[str]) -> list[str]:
    """Call engagements off that nobody would ever confirm, and tell their providers; return those that were not over.

    Their home has lost them, or has left the group.
    """
    called_off = []
    for name in sorted(set(names)):
        row = work.session.get(GroupEngagement, name, with_for_update=True, populate_existing=True)
        if row is None or row.state in (ticket.CONFIRMED, ticket.WITHDRAWN):
            continue
        offer = work.session.get(Offer, (name, row.offer))
        if offer and offer.state in STANDING:
            asked = offer.asked() if offer.state == group.OPEN else {offer.provider}
            _tell_withdrawn(work, row, sorted(asked), worked_on=offer.state == group.ACCEPTED)
            offer.state = group.WITHDRAWN
        row.state, row.update_time = ticket.WITHDRAWN, work.now
        called_off.append(name)
    return called_off


def _tell_withdrawn(work: Work, row: GroupEngagement, providers: Iterable[str], *, worked_on: bool) -> None:
    for provider in providers:
        withdrawn = told.EngagementOfferWithdrawn(engagement=summary_of(row), worked_on=worked_on)
        withdrawn.engagement.provider, withdrawn.engagement.state = provider, ticket.WITHDRAWN
        work.tell(row.name, withdrawn)


# Where both have the same again.


def is_quarantined(session: Session, stream: str) -> bool:
    """Return whether a stream is in quarantine here."""
    return session.get(Quarantine, stream) is not None


def own_head(session: Session, stream: str) -> Head:
    """Return where this unit's copy of a stream ends."""
    return read_head(session, LOG, stream)


def note_agreement(session: Session, stream: str, common: Head) -> None:
    """Note that a unit and headquarters were found to agree up to a record, which is all that was received."""
    save_common(session, stream, common)


def release_stream(work: Work, request: pb.ReleaseStreamRequest) -> pb.ReleaseStreamResponse:
    """End a quarantine whose two logs agree: in a unit that was checked just now, with headquarters.

    Where nobody could be asked it is checked by what the other end has shown, and only where the stream is received: at
    headquarters, and between peers. Raises ResourceNotFound where it is not in quarantine; NothingToDecide where it was
    not compared; LogsDisagree.
    """
    stream = request.stream
    _, common = _quarantined(work.session, stream)
    if work.unit == HEADQUARTERS or is_between_peers(stream):
        if own_log(work.unit, stream) is not None:
            raise NothingToDecide(
                f"only the receiver knows what it has of {stream}",
                hint="Give this command at the unit that receives it.",
                stream=stream,
            )
        refuse_disagreement(stream, common, own_head(work.session, stream))
    release(work.session, stream)
    return pb.ReleaseStreamResponse(common=stream_head(stream, common))


def refuse_disagreement(stream: str, common: Head, receiver: Head) -> None:
    """Raise LogsDisagree where the receiver of a stream has a record that its writer has not."""
    if common != receiver:
        raise LogsDisagree(
            f"both have {stream} up to {common.epoch}/{common.sequence} alike, and it was received up to"
            f" {receiver.epoch}/{receiver.sequence}",
            stream=stream,
        )


# What was lost.


def list_orphans(session: Session, request: pb.ListOrphansRequest) -> pb.ListOrphansResponse:
    """Return a page of the records that a stream's writer has lost, in their order."""
    size = page_size(request.page_size)
    query = select(Orphan).where(Orphan.stream == request.stream)
    if key := decode_token(request.page_token, [int, int]):
        query = query.where(tuple_(Orphan.epoch, Orphan.sequence) > (key[0], key[1]))
    rows = list(session.scalars(query.order_by(Orphan.epoch, Orphan.sequence).limit(size + 1)))
    token = encode_token(rows[size - 1].epoch, rows[size - 1].sequence) if len(rows) > size else ""
    return pb.ListOrphansResponse(orphans=[_orphan(row) for row in rows[:size]], next_page_token=token)


def _orphan(row: Orphan) -> pb.OrphanedRecord:
    return pb.OrphanedRecord(
        epoch=row.epoch,
        sequence=row.sequence,
        type=row.type,
        resource=row.resource,
        occur_time=timestamp(row.occur_time),
        actor=Event.FromString(row.event).actor,
        orphan_time=timestamp(row.orphan_time),
    )
