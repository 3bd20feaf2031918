"""What may be asked about the links that end here: a unit's link and its lines to peers, at headquarters all links."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from hanse.clock import utc_now
from hanse.errors import FactForeign, FactSetApart, HanseError, UnitUnreachable
from hanse.log.follow import Position, read_cursor, read_head
from hanse.names import downstream_name, stream_to
from hanse.times import duration, put_time, timestamp
from hanse_federation.headquarters.setting_apart import SetApart, set_apart
from hanse_federation.link.frames import stream_head
from hanse_federation.link.sending import Source, upstream_sources
from hanse_federation.link.status import MAX_CONTACT_AGE, is_up
from hanse_federation.membership.register import units_that_left
from hanse_federation.model import LINK_FOLLOWER, LOG, End, ForeignFacts, KnownHead, LinkState, Quarantine
from hanse_federation.recovery.quarantine import HINTS, common_head
from hanse_protos.federation.v1 import group_pb2 as pb
from hanse_protos.log.v1.log_pb2 import StreamHead

MAX_LAG = timedelta(seconds=5)
"""A live link passes an event in milliseconds and says so within two heartbeats: what takes longer is behind."""


FOREIGN_ALARM_AGE = timedelta(days=7)
"""How long after a unit told what is another's to tell that is an alarm: nobody can take the record back."""


def get_link(session: Session, unit: str) -> pb.Link:
    """Return whether the link is up, and how far each stream has come."""
    row = session.get(LinkState, (End.AGENT, unit))
    downstream = downstream_name(unit)
    link = pb.Link(
        unit=unit,
        connected=is_up(row, utc_now()),
        received=stream_head(downstream, read_head(session, LOG, downstream)),
        streams=[
            pb.LinkStream(
                stream=source.stream,
                sequence=read_head(session, source.log, source.stream).sequence,
                acknowledged=read_cursor(session, LOG, LINK_FOLLOWER, source.stream).sequence,
            )
            for source in upstream_sources(unit)
        ],
    )
    if row:
        link.change_time.FromDatetime(row.change_time)
        link.last_error, link.reconnects = row.last_error, max(0, row.connections - 1)
    return link


# Links with their streams.


def list_links(session: Session, unit: str) -> pb.ListLinksResponse:
    """Return every link that ends at this unit, and how each of its streams is doing."""
    now = utc_now()
    return pb.ListLinksResponse(links=[_report(session, unit, link, now) for link in _links(session)])


def _links(session: Session) -> list[LinkState]:
    """Return the links that end here, but for those of units that have left the group."""
    links = session.scalars(select(LinkState).order_by(LinkState.end, LinkState.unit)).all()
    gone = units_that_left(session)
    return [link for link in links if link.unit not in gone]


def _streams_of(unit: str, link: LinkState) -> tuple[list[Source], list[str]]:
    """Return the streams that this unit sends over a link, and those that it receives."""
    if link.end == End.PEER:
        return [Source(LOG, stream_to(unit, link.unit))], [stream_to(link.unit, unit)]
    upstream, downstream = upstream_sources(link.unit), Source(LOG, downstream_name(link.unit))
    if link.end == End.HUB:
        return [downstream], [source.stream for source in upstream]
    return upstream, [downstream.stream]


def _report(session: Session, unit: str, link: LinkState, now: datetime) -> pb.LinkReport:
    sent, received = _streams_of(unit, link)
    problems = _problems(session, [*(source.stream for source in sent), *received])
    streams = [_sent(session, source, now) for source in sent] + [_received(session, name, now) for name in received]
    up = is_up(link, now)
    apart = set_apart(session)
    for stream in streams:
        stream.problem = problems.get(stream.stream, "")
        stream.health = _stream_health(stream, up=up)
        if not stream.sent and not stream.problem and stream.stream in apart:
            # The stream goes on, so its health is another matter.
            stream.problem = f"{FactSetApart.reason}: {apart[stream.stream].in_words}"
    report = pb.LinkReport(
        unit=link.unit,
        hub=link.end == End.HUB,
        peer=link.end == End.PEER,
        connected=up,
        health=max([pb.OK if up else pb.UNREACHABLE, *(stream.health for stream in streams)]),
        change_time=timestamp(link.change_time),
        credit=link.credit if up else 0,
        last_error=link.last_error,
        reconnects=max(0, link.connections - 1),
        streams=streams,
    )
    put_time(report.contact_time, link.contact_time)
    return report


def _problems(session: Session, streams: Iterable[str]) -> dict[str, str]:
    rows = session.scalars(select(Quarantine).where(Quarantine.stream.in_(list(streams))))
    return {row.stream: f"{row.reason}: {row.problem}" for row in rows}


def _stream_health(stream: pb.StreamReport, *, up: bool) -> pb.LinkHealth.ValueType:
    if stream.problem:
        return pb.QUARANTINED
    if not up:
        return pb.UNREACHABLE
    return pb.BEHIND if stream.lag_events and stream.lag_duration.ToTimedelta() > MAX_LAG else pb.OK


def _sent(session: Session, source: Source, now: datetime) -> pb.StreamReport:
    """Return how a stream is doing that this end sends: what lacks was appended here, so its age is known."""
    head = read_head(session, source.log, source.stream)
    acknowledged = read_cursor(session, LOG, LINK_FOLLOWER, source.stream)
    first = _append_time_after(session, source, acknowledged)
    return pb.StreamReport(
        stream=source.stream,
        sent=True,
        position=stream_head(source.stream, head),
        other_sequence=acknowledged.sequence,
        lag_events=max(0, head.sequence - acknowledged.sequence),
        lag_duration=duration(max(now - first, timedelta(0)) if first else timedelta(0)),
    )


def _append_time_after(session: Session, source: Source, position: Position) -> datetime | None:
    columns = source.log.record.c
    after = tuple_(columns.epoch, columns.sequence) > tuple_(position.epoch, position.sequence)
    query = select(columns.append_time).where(columns.stream == source.stream, after)
    return session.scalar(query.order_by(columns.epoch, columns.sequence).limit(1))


def _received(session: Session, stream: str, now: datetime) -> pb.StreamReport:
    """Return how a stream is doing that this end receives: the other end's heartbeats say how far it goes."""
    head, known = read_head(session, LOG, stream), session.get(KnownHead, stream)
    lag = timedelta(0)
    if known and known.mark_time and known.mark_sequence > head.sequence:
        lag = max(now - known.mark_time, lag)
    return pb.StreamReport(
        stream=stream,
        position=stream_head(stream, head),
        other_sequence=known.sequence if known else 0,
        lag_events=max(0, known.sequence - head.sequence) if known else 0,
        lag_duration=duration(lag),
    )


# Alarms.


def list_alarms(session: Session, _request: pb.ListAlarmsRequest) -> pb.ListAlarmsResponse:
    """Return what is wrong here and needs a person, the oldest first."""
    alarms = [_quarantine_alarm(row) for row in session.scalars(select(Quarantine))]
    alarms += [_set_apart_alarm(stream, letters) for stream, letters in set_apart(session).items()]
    now = utc_now()
    recent = select(ForeignFacts).where(ForeignFacts.last_time > now - FOREIGN_ALARM_AGE)
    alarms += [_foreign_alarm(row) for row in session.scalars(recent)]
    for link in _links(session):
        if not is_up(link, now) and now - link.change_time > MAX_CONTACT_AGE:
            alarms.append(_unreachable_alarm(link))
    return pb.ListAlarmsResponse(alarms=sorted(alarms, key=lambda alarm: alarm.since_time.ToNanoseconds()))


def _quarantine_alarm(row: Quarantine) -> pb.Alarm:
    alarm = pb.Alarm(
        reason=row.reason,
        subject=row.stream,
        problem=row.problem,
        hint=HINTS.get(row.reason, HanseError.hint),
        since_time=timestamp(row.create_time),
    )
    if row.epoch is not None and row.sequence is not None:
        alarm.place.CopyFrom(StreamHead(stream=row.stream, epoch=row.epoch, sequence=row.sequence))
    if common := common_head(row):
        alarm.common.CopyFrom(stream_head(row.stream, common))
    return alarm


def _foreign_alarm(row: ForeignFacts) -> pb.Alarm:
    last = f"{row.type} about {row.resource!r} (event {row.event_id})"
    return pb.Alarm(
        reason=FactForeign.reason,
        subject=row.unit,
        problem=f"it told {row.count} times or more what is another's to tell, which is no fact; the last was {last}",
        hint=FactForeign.hint,
        since_time=timestamp(row.first_time),
    )


def _set_apart_alarm(stream: str, letters: SetApart) -> pb.Alarm:
    return pb.Alarm(
        reason=FactSetApart.reason,
        subject=stream,
        problem=letters.in_words,
        hint=FactSetApart.hint,
        since_time=timestamp(letters.since),
        place=StreamHead(stream=stream, epoch=letters.epoch, sequence=letters.sequence),
    )


def _unreachable_alarm(link: LinkState) -> pb.Alarm:
    subject = "headquarters" if link.end == End.AGENT else link.unit
    return pb.Alarm(
        reason=UnitUnreachable.reason,
        subject=subject,
        problem=link.last_error or "the link is down",
        hint=UnitUnreachable.hint,
        since_time=timestamp(link.change_time),
    )
