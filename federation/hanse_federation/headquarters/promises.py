"""What headquarters knows of the units' promises: the group's queue, and how promises were kept.

Both come from one view, `group_clock`, which holds what the units tell of their clocks: no text, no person, no agent.
A unit that can't be reached may know better; it is named with the answer.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, cast, func, select, tuple_, type_coerce
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION
from sqlalchemy.orm import Session

from hanse.attainment import report
from hanse.enums import name_of
from hanse.errors import ValidationFailed
from hanse.names import ANY_UNIT
from hanse.rpc.paging import decode_token, encode_token, page_size
from hanse_federation.headquarters.views import unreachable
from hanse_federation.model import GroupClock, GroupTicket
from hanse_protos.federation.v1 import group_pb2 as pb
from hanse_protos.ticket.v1 import attainment_pb2, queue_pb2
from hanse_protos.ticket.v1.ticket_pb2 import Clock, ClockSummary, TicketSummary

# Kinds by their names, as they are stored: a page token that somebody made up may hold any.
_PLACE: tuple[ColumnElement[Any], ...] = (
    GroupClock.ticket.expression,
    type_coerce(GroupClock.kind, Text),
    GroupClock.number.expression,
)


def list_group_queue_entries(
    session: Session, request: pb.ListGroupQueueEntriesRequest
) -> pb.ListGroupQueueEntriesResponse:
    """Return a page of the group's queue, what runs out first in front, and the units that may know better.

    Raises ValidationFailed where it is asked who in a unit works on a ticket, which only the unit knows.
    """
    _check_known(request.filter)
    size = page_size(request.page_size)
    rows = session.execute(entries_query(request, size + 1)).all()
    response = pb.ListGroupQueueEntriesResponse(
        entries=[_entry(row.GroupClock, row.summary) for row in rows[:size]],
        unreachable=unreachable(session, request.parent),
    )
    if len(rows) > size:
        last = rows[size - 1].GroupClock
        place = (last.ticket, name_of(Clock.Kind, last.kind), last.number)
        response.next_page_token = encode_token(*place if last.due_time is None else (last.due_time, *place))
    if not request.page_token:
        response.count.CopyFrom(_count(session, request))
    return response


def entries_query(request: pb.ListGroupQueueEntriesRequest, limit: int) -> Select[Any]:
    """Return the query for the clocks from a page's key on, with their tickets."""
    key, kinds = (GroupClock.due_time.expression, *_PLACE), [datetime, str, str, int]
    if request.standing:
        key, kinds = _PLACE, [str, str, int]
    query: Any = select(GroupClock, GroupTicket.summary.label("summary"))
    query = query.join(GroupTicket, GroupTicket.name == GroupClock.ticket).where(*_open(request))
    query = query.where(GroupClock.due_time.is_(None) if request.standing else GroupClock.due_time.is_not(None))
    if after := decode_token(request.page_token, kinds):
        query = query.where(tuple_(*key) > tuple_(*after))
    page: Select[Any] = query.order_by(*key).limit(limit)
    return page


def _open(request: pb.ListGroupQueueEntriesRequest) -> Sequence[ColumnElement[bool]]:
    asked = request.filter
    asked_for: dict[Any, list[Any]] = {
        GroupClock.home: [request.parent] if request.parent != ANY_UNIT else [],
        GroupClock.kind: list(asked.kinds),
        GroupClock.tier: list(asked.tiers),
        GroupClock.priority: list(asked.priorities),
        GroupClock.holder: [asked.holder] if asked.holder else [],
        GroupClock.category: [asked.category] if asked.category else [],
    }
    conditions = [column.in_(values) for column, values in asked_for.items() if values]
    return [GroupClock.stop_time.is_(None), *conditions]


def _check_known(asked: queue_pb2.QueueFilter) -> None:
    unknown = [name for name in ("assignee", "unassigned", "team") if getattr(asked, name)]
    if unknown:
        raise ValidationFailed(
            f"headquarters does not know who in a unit works on a ticket: {', '.join(unknown)}",
            hint="Ask the unit's own queue, or leave it out.",
            fields=", ".join(f"filter.{name}" for name in unknown),
        )


def _entry(clock: GroupClock, summary: bytes) -> queue_pb2.QueueEntry:
    ticket = TicketSummary.FromString(summary)
    return queue_pb2.QueueEntry(
        ticket=ticket.name,
        clock=ClockSummary.FromString(clock.summary),
        state=ticket.state,
        priority=ticket.priority,
        tier=ticket.tier,
        category=ticket.category,
        holder=ticket.holder,
        language=ticket.language,
    )


def _count(session: Session, request: pb.ListGroupQueueEntriesRequest) -> queue_pb2.QueueCount:
    due = GroupClock.due_time
    query: Any = select(
        func.count().filter(due > func.now()),
        func.count().filter(due <= func.now()),
        func.count().filter(due.is_(None)),
    )
    running, overdue, standing = session.execute(query.select_from(GroupClock).where(*_open(request))).one()
    return queue_pb2.QueueCount(running=running, overdue=overdue, standing=standing)


def get_group_attainment(session: Session, request: pb.GetGroupAttainmentRequest) -> attainment_pb2.AttainmentReport:
    """Return how the units kept their promises, as far as they have told."""
    # A unit may have told of a target of no length: of that nothing was used, and no reader may fail over it.
    target = func.nullif(GroupClock.target_microseconds, 0)
    query: Any = select(
        GroupClock.home.label("unit"),
        GroupClock.kind.label("kind"),
        GroupClock.towards.label("towards"),
        GroupClock.tier.label("tier"),
        GroupClock.category.label("category"),
        GroupClock.service.label("service"),
        GroupClock.priority.label("priority"),
        GroupClock.target.label("target"),
        GroupClock.policy_version.label("policy_version"),
        func.coalesce(GroupClock.breach_time, GroupClock.stop_time).label("decided_time"),
        GroupClock.breach_time.is_not(None).label("is_breached"),
        (cast(GroupClock.used_microseconds, DOUBLE_PRECISION) / target).label("used_share"),
    )
    query = query.where(GroupClock.state.in_((Clock.MET, Clock.BREACHED)))
    if request.parent != ANY_UNIT:
        query = query.where(GroupClock.home == request.parent)
    return report(session, query, request.period, request.group_by)
