"""What headquarters may be asked about the group."""

from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from google.protobuf.duration_pb2 import Duration
from sqlalchemy import Select, func, literal, select, text, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from hanse.clock import utc_now
from hanse.log.follow import read_cursor, read_head
from hanse.names import ANY_UNIT, downstream_name
from hanse.rpc.paging import decode_token, encode_token, page_size
from hanse.times import duration
from hanse_federation.headquarters.engagements import offers_of
from hanse_federation.headquarters.messages import charge_to_proto, engagement_to_proto, ticket_to_proto
from hanse_federation.headquarters.overrides import newest_override, with_dropped
from hanse_federation.link.frames import stream_head
from hanse_federation.link.status import is_up
from hanse_federation.membership.register import newest_certificate
from hanse_federation.model import (
    LINK_FOLLOWER,
    LOG,
    SCHEMA,
    End,
    GroupCharge,
    GroupEngagement,
    GroupTicket,
    HandOver,
    KnownHead,
    LinkState,
    PolicyAcknowledgement,
)
from hanse_protos.federation.v1 import group_pb2 as pb

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


# The units and their links.


def list_units(session: Session, request: pb.ListUnitsRequest) -> pb.ListUnitsResponse:
    """Return the units that have ever had a link, with how far behind each side is."""
    links = session.scalars(select(LinkState).where(LinkState.end == End.HUB).order_by(LinkState.unit))
    now = utc_now()
    return pb.ListUnitsResponse(units=[_unit_status(session, link, now) for link in links])


def _unit_status(session: Session, link: LinkState, now: datetime) -> pb.UnitStatus:
    streams = [
        pb.StreamStatus(received=stream_head(known.stream, received), known_sequence=known.sequence)
        for known in session.scalars(select(KnownHead).where(KnownHead.unit == link.unit).order_by(KnownHead.stream))
        for received in [read_head(session, LOG, known.stream)]
    ]
    downstream = downstream_name(link.unit)
    acknowledged = read_cursor(session, LOG, LINK_FOLLOWER, downstream).sequence
    status = pb.UnitStatus(
        unit=link.unit,
        reachable=is_up(link, now),
        lag=sum(max(0, stream.known_sequence - stream.received.sequence) for stream in streams),
        downstream_lag=max(0, read_head(session, LOG, downstream).sequence - acknowledged),
        policy_version=_acknowledged_version(session, link.unit),
        streams=streams,
        last_error=link.last_error,
        reconnects=max(0, link.connections - 1),
    )
    if link.contact_time:
        status.contact_time.FromDatetime(link.contact_time)
    if override := newest_override(session, link.unit):
        status.override.CopyFrom(with_dropped(session, override, status.policy_version))
    if certificate := newest_certificate(session, link.unit):
        status.certificate_expire_time.FromDatetime(certificate.expire_time)
    return status


def _acknowledged_version(session: Session, unit: str) -> int:
    """Return the newest version that a unit says it has, 0 for none: one that headquarters has too, or the unit's own.

    What no version is that was ever published, is kept and not shown; a unit may also be quicker than headquarters' own
    copy, and is shown then as soon as that is there.
    """
    version = PolicyAcknowledgement.version
    is_one = version.in_(select(SCHEMA.policy.c.version)) | (version < 0)
    return session.scalar(select(func.max(version)).where(PolicyAcknowledgement.unit == unit, is_one)) or 0


def unreachable(session: Session, parent: str) -> list[str]:
    """Return which of the units asked about have no link: what is known of them may be out of date."""
    links = session.scalars(select(LinkState).where(LinkState.end == End.HUB).order_by(LinkState.unit))
    now = utc_now()
    return [link.unit for link in links if parent in (ANY_UNIT, link.unit) and not is_up(link, now)]


# Pages, the newest first.


class PagedRequest(Protocol):
    """A request for a page."""

    page_size: int
    page_token: str


def page_of(
    session: Session,
    query: Select[Any],
    request: PagedRequest,
    time: InstrumentedAttribute[datetime],
    *names: InstrumentedAttribute[str],
) -> tuple[list[Any], str]:
    """Return a page of rows, the newest first, and the token of the next one. At one instant their names order them."""
    size = page_size(request.page_size)
    if key := decode_token(request.page_token, [int, *(str for _ in names)]):
        microseconds, *last_names = key
        last_time = _EPOCH + timedelta(microseconds=int(microseconds))
        query = query.where(tuple_(time, *names) < tuple_(literal(last_time), *map(literal, last_names)))
    rows = list(session.scalars(query.order_by(time.desc(), *(name.desc() for name in names)).limit(size + 1)))
    if len(rows) <= size:
        return rows, ""
    last = rows[size - 1]
    microseconds = (getattr(last, time.key) - _EPOCH) // timedelta(microseconds=1)
    return rows[:size], encode_token(microseconds, *(getattr(last, name.key) for name in names))


def list_group_tickets(session: Session, request: pb.ListGroupTicketsRequest) -> pb.ListGroupTicketsResponse:
    """Return a page of tickets, and the units whose tickets may have changed since."""
    query = select(GroupTicket)
    if request.parent != ANY_UNIT:
        query = query.where(GroupTicket.home == request.parent)
    rows, token = page_of(session, query, request, GroupTicket.open_time, GroupTicket.name)
    return pb.ListGroupTicketsResponse(
        tickets=[ticket_to_proto(row) for row in rows],
        next_page_token=token,
        unreachable=unreachable(session, request.parent),
    )


def list_group_engagements(
    session: Session, request: pb.ListGroupEngagementsRequest
) -> pb.ListGroupEngagementsResponse:
    """Return a page of engagements with their offers."""
    query = select(GroupEngagement)
    if request.parent != ANY_UNIT:
        query = query.where(GroupEngagement.home == request.parent)
    rows, token = page_of(session, query, request, GroupEngagement.request_time, GroupEngagement.name)
    offers = offers_of(session, [row.name for row in rows])
    engagements = [engagement_to_proto(row, offers[row.name]) for row in rows]
    return pb.ListGroupEngagementsResponse(engagements=engagements, next_page_token=token)


def list_matched_charges(session: Session, request: pb.ListMatchedChargesRequest) -> pb.ListMatchedChargesResponse:
    """Return a page of charges with both legs."""
    key = (GroupCharge.confirm_time, GroupCharge.name, GroupCharge.provider)
    rows, token = page_of(session, select(GroupCharge), request, *key)
    return pb.ListMatchedChargesResponse(charges=[charge_to_proto(row) for row in rows], next_page_token=token)


# Who gave what to whom.

# A return is a hand-over to a unit that the ticket was at before and left, its home among them.
RETURNS = text("""
    SELECT count(*) AS returns, count(DISTINCT later.ticket) AS tickets FROM federation.hand_over AS later
    WHERE EXISTS (
        SELECT FROM federation.hand_over AS earlier
        WHERE earlier.ticket = later.ticket AND earlier.from_unit = later.to_unit
          AND (earlier.epoch, earlier.sequence) < (later.epoch, later.sequence)
    )
""")


MAX_RETURNING_TICKETS = 20
"""How many of the tickets that go to and fro are named: enough to begin with."""

RETURNING = text("""
    SELECT later.ticket, count(*) AS returns,
      (SELECT array_agg(DISTINCT from_unit) FROM federation.hand_over WHERE ticket = later.ticket) AS units
    FROM federation.hand_over AS later
    WHERE EXISTS (
        SELECT FROM federation.hand_over AS earlier
        WHERE earlier.ticket = later.ticket AND earlier.from_unit = later.to_unit
          AND (earlier.epoch, earlier.sequence) < (later.epoch, later.sequence)
    )
    GROUP BY later.ticket ORDER BY returns DESC, later.ticket LIMIT :limit
""")


MAX_DURATION = timedelta(seconds=315_576_000_000)
"""What a Duration holds, about 10,000 years."""


def get_traffic_report(session: Session, request: pb.GetTrafficReportRequest) -> pb.TrafficReport:
    """Return how many tickets each unit has, how long they waited, and how they went between units."""
    returns = session.execute(RETURNS).one()
    return pb.TrafficReport(
        units=_traffic_by_home(session),
        hand_overs=_hand_over_matrix(session),
        ping_pong_tickets=returns.tickets,
        ping_pong_returns=returns.returns,
        returning_tickets=[
            pb.ReturningTicket(ticket=row.ticket, returns=row.returns, units=row.units)
            for row in session.execute(RETURNING, {"limit": MAX_RETURNING_TICKETS})
        ],
    )


def _traffic_by_home(session: Session) -> list[pb.UnitTraffic]:
    handed_over = dict(
        session.execute(select(HandOver.home, func.count(HandOver.ticket.distinct())).group_by(HandOver.home)).all()
    )
    waited = func.sum(GroupTicket.waiting_microseconds)
    query = select(GroupTicket.home, func.count(), waited).group_by(GroupTicket.home).order_by(GroupTicket.home)
    return [
        pb.UnitTraffic(
            unit=home,
            tickets=tickets,
            handed_over=handed_over.get(home, 0),
            waiting_duration=_length(int(microseconds)),
        )
        for home, tickets, microseconds in session.execute(query)
    ]


def _length(microseconds: int) -> Duration:
    """Return a sum of lengths of time, as far as a Duration goes: a unit may have told of any."""
    told = timedelta(microseconds=microseconds)
    return duration(max(-MAX_DURATION, min(told, MAX_DURATION)))


def _hand_over_matrix(session: Session) -> list[pb.HandOverCount]:
    ends = (HandOver.from_unit, HandOver.to_unit)
    query = select(*ends, func.count()).group_by(*ends).order_by(*ends)
    return [
        pb.HandOverCount(from_unit=from_unit, to_unit=to_unit, count=count)
        for from_unit, to_unit, count in session.execute(query)
    ]
