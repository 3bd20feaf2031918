"""When a shift begins: tickets that wait for an agent are given out.

A ticket *waits* where it has no agent: when it came nobody was on shift, or nobody had room, or no team suited it, as
one may since. Its row says so, and nothing else does. It is given out by the rules by which it would be if it came now,
those that run out first in front; who has been given it has it, so asking again gives out what is left. Asking late,
since nobody was there to ask when the shift began, gives out the same tickets late.

A team of nobody is a queue that people take tickets from: what it has waits for them. What was imported is part of
another desk's past and waits for nobody, also once it is put under a policy, unless a team has been given it here.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, func, or_, select, tuple_
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session, selectinload

from hanse.errors import ResourceNotFound
from hanse.policy.store import PolicyStore
from hanse.times import put_time
from hanse.work import Work
from hanse_protos.ticket.v1 import team_pb2 as rpc
from hanse_services.ticket.holding import give
from hanse_services.ticket.loading import own_time
from hanse_services.ticket.model import OPEN, Clock, Ticket
from hanse_services.ticket.teams import Choice, Roster, take_turns, teams_of

MAX_ASSIGNED = 100
"""How many tickets one transaction gives out at most, so that other commands wait for it for less than a second."""

_KIND = (Ticket.category, Ticket.tier, Ticket.language)
"""What decides, among tickets that wait, who may have one: the skill follows from the category."""


class Shifts:
    """What may be asked of the shifts of one unit, by the clock that its commands go by."""

    def __init__(self, unit: str, policies: PolicyStore, now: Callable[[], datetime]) -> None:
        self._unit = unit
        self._policies = policies
        self._now = now

    def next_assignment(self, session: Session, request: rpc.GetNextAssignmentRequest) -> rpc.NextAssignment:
        """Say whether a ticket can be given out now, and when a shift begins. Raises ResourceNotFound for others'."""
        _check_unit(request.parent, self._unit)
        answer = rpc.NextAssignment()
        # Before the first policy there may be teams, and can't be tickets.
        if (teams := teams_of(session)) and self._policies.current_version(session):
            standards = self._policies.current(session)
            roster = Roster(session, self._unit, teams, self._policies, standards, now=self._now())
            answer.due = bool(_due_kinds(session, self._unit, roster))
            put_time(answer.next_shift_time, roster.next_shift())
        return answer


def assign_waiting_tickets(work: Work, request: rpc.AssignWaitingTicketsRequest) -> rpc.AssignWaitingTicketsResponse:
    """Give out tickets that wait, the first to run out in front, to who is there and has room.

    Raises ResourceNotFound for another unit's.
    """
    _check_unit(request.parent, work.unit)
    response = rpc.AssignWaitingTicketsResponse()
    if teams := teams_of(work.session):
        take_turns(work, teams)
        roster = Roster(work.session, work.unit, teams, work.policies, work.standards, now=work.now)
        for ticket in _in_order(work.session, work.unit, _due_kinds(work.session, work.unit, roster)):
            # Those in front may have taken the last room.
            if (choice := roster.choose(ticket)).assignee:
                _give(work, ticket, choice)
                roster.take(choice.assignee)
                response.tickets.append(ticket.name)
    return response


def _give(work: Work, ticket: Ticket, choice: Choice) -> None:
    with own_time(work):
        work.now = max(work.now, ticket.update_time)
        give(work, ticket, choice)
        ticket.version += 1
        ticket.update_time = work.now


def _check_unit(asked: str, unit: str) -> None:
    if asked != unit:
        raise ResourceNotFound(resource=asked)


def _waits(unit: str) -> Sequence[ColumnElement[bool]]:
    """Return the conditions that a ticket waits for an agent of this unit."""
    return (
        Ticket.assignee == "",
        or_(Ticket.team != "", ~Ticket.imported),
        Ticket.close_time.is_(None),
        Ticket.state.in_(OPEN),
        Ticket.holder == unit,
    )


def _due_kinds(session: Session, unit: str, roster: Roster) -> list[tuple[str, int, str]]:
    """Return the kinds of tickets that wait and for which somebody is there who has room."""
    examples = session.scalars(select(Ticket).where(*_waits(unit)).ext(distinct_on(*_KIND)).order_by(*_KIND))
    return [(each.category, each.tier, each.language) for each in examples if roster.choose(each).assignee]


def _in_order(session: Session, unit: str, kinds: Sequence[tuple[str, int, str]]) -> Sequence[Ticket]:
    """Load and lock tickets of these kinds that wait, the one that runs out first in front, as in the queue.

    One that a command is about to change is left for the next time: that command may wait for its turn to choose.
    """
    if not kinds:
        return []
    breach_time = select(func.min(Clock.due_time)).where(Clock.ticket == Ticket.name, Clock.stop_time.is_(None))
    query = (
        select(Ticket)
        .where(*_waits(unit), tuple_(*_KIND).in_(kinds))
        .order_by(breach_time.scalar_subquery().nulls_last(), Ticket.open_time, Ticket.name)
        .limit(MAX_ASSIGNED)
        .options(selectinload(Ticket.clocks), selectinload(Ticket.segments))
        .with_for_update(of=Ticket, skip_locked=True)
    )
    return session.scalars(query.execution_options(populate_existing=True)).all()
