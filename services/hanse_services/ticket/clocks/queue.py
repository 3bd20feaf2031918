"""The live queue: the clocks that have not stopped, the one that runs out first in front.

Deadlines are rows, so the queue is a walk along an index, from the page's key on; only the tickets of the page are
loaded. A clock that stands has no deadline and is listed apart. What has run out comes first, the longest ago in front:
its promise is broken, and still owed.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, func, select, tuple_, type_coerce
from sqlalchemy.orm import Session, selectinload

from hanse.errors import ResourceNotFound
from hanse.policy.store import PolicyStore
from hanse.rpc.paging import decode_token, encode_token, page_size
from hanse_protos.ticket.v1 import queue_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.clocks.rows import state_of, summary_of_clock, used_until
from hanse_services.ticket.model import Clock, Ticket

# By its name, as it is stored: a page token that somebody made up may hold any.
_PLACE: tuple[ColumnElement[Any], ...] = (
    Clock.ticket.expression,
    type_coerce(Clock.kind, Text),
    Clock.number.expression,
)


class Queue:
    """The queue of one unit's desk, at an instant that the clock of its commands tells."""

    def __init__(self, unit: str, policies: PolicyStore, now: Callable[[], datetime]) -> None:
        self._unit = unit
        self._policies = policies
        self._now = now

    def list_entries(self, session: Session, request: rpc.ListQueueEntriesRequest) -> rpc.ListQueueEntriesResponse:
        """Return a page of the queue. Raises ResourceNotFound for another unit's."""
        if request.parent != self._unit:
            raise ResourceNotFound(resource=request.parent)
        now = self._now()
        rows, token = _page(session, request)
        response = rpc.ListQueueEntriesResponse(entries=self._entries(session, rows, now), next_page_token=token)
        if not request.page_token:
            response.count.CopyFrom(_count(session, request.filter, now))
        return response

    def _entries(self, session: Session, clocks: Sequence[Clock], now: datetime) -> list[rpc.QueueEntry]:
        loaded = select(Ticket).where(Ticket.name.in_({clock.ticket for clock in clocks}))
        tickets = {
            ticket.name: ticket
            for ticket in session.scalars(loaded.options(selectinload(Ticket.clocks), selectinload(Ticket.segments)))
        }
        return [self._entry(session, tickets[clock.ticket], clock, now) for clock in clocks]

    def _entry(self, session: Session, ticket: Ticket, clock: Clock, now: datetime) -> rpc.QueueEntry:
        standards = self._policies.version(session, ticket.policy_version, ticket.policy_override)
        used = used_until(standards, ticket, clock, now)
        return rpc.QueueEntry(
            ticket=ticket.name,
            clock=summary_of_clock(clock, state_of(ticket, clock), used),
            title=ticket.title,
            state=ticket.state,
            priority=ticket.priority,
            tier=ticket.tier,
            category=ticket.category,
            assignee=ticket.assignee,
            holder=ticket.holder,
            waiting_for=ticket.waiting_for,
            language=ticket.language,
            team=ticket.team,
        )


def _page(session: Session, request: rpc.ListQueueEntriesRequest) -> tuple[Sequence[Clock], str]:
    """Return the clocks of a page, and the token of the next one."""
    size = page_size(request.page_size)
    clocks = session.scalars(entries_query(request, size + 1)).all()
    if len(clocks) <= size:
        return clocks, ""
    last = clocks[size - 1]
    place = (last.ticket, pb.Clock.Kind.Name(last.kind), last.number)
    return clocks[:size], encode_token(*place if last.due_time is None else (last.due_time, *place))


def entries_query(request: rpc.ListQueueEntriesRequest, limit: int) -> Select[Any]:
    """Return the query for the clocks from a page's key on."""
    key, kinds = (Clock.due_time.expression, *_PLACE), [datetime, str, str, int]
    if request.standing:
        key, kinds = _PLACE, [str, str, int]
    query = _narrowed(select(Clock), request.filter).where(Clock.stop_time.is_(None))
    query = query.where(Clock.due_time.is_(None) if request.standing else Clock.due_time.is_not(None))
    if after := decode_token(request.page_token, kinds):
        query = query.where(tuple_(*key) > tuple_(*after))
    return query.order_by(*key).limit(limit)


def _narrowed(query: Select[Any], asked: rpc.QueueFilter) -> Select[Any]:
    if asked.kinds:
        query = query.where(Clock.kind.in_(asked.kinds))
    conditions = list(_conditions(asked))
    return query.join(Ticket, Ticket.name == Clock.ticket).where(*conditions) if conditions else query


def _conditions(asked: rpc.QueueFilter) -> list[ColumnElement[bool]]:
    """Return what is asked of the tickets."""
    asked_for: dict[Any, list[Any]] = {
        Ticket.tier: list(asked.tiers),
        Ticket.priority: list(asked.priorities),
        Ticket.assignee: [""] if asked.unassigned else [asked.assignee] if asked.assignee else [],
        Ticket.team: [asked.team] if asked.team else [],
        Ticket.holder: [asked.holder] if asked.holder else [],
        Ticket.category: [asked.category] if asked.category else [],
    }
    return [column.in_(values) for column, values in asked_for.items() if values]


def _count(session: Session, asked: rpc.QueueFilter, now: datetime) -> rpc.QueueCount:
    is_over = Clock.due_time <= now
    query: Any = select(
        func.count().filter(Clock.due_time > now),
        func.count().filter(is_over),
        func.count().filter(Clock.due_time.is_(None)),
    )
    counted = query.select_from(Clock).where(Clock.stop_time.is_(None))
    running, overdue, standing = session.execute(_narrowed(counted, asked)).one()
    return rpc.QueueCount(running=running, overdue=overdue, standing=standing)
