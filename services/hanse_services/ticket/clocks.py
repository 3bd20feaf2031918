"""A ticket's clocks: promises as rows with deadlines, computed by the policy engine from the ticket's segments.

All clocks of a ticket share its segments: who held it, on which calendar, running or standing. A clock adds a target
and, once it has stopped, an end. So what a clock has used up is always the exact sum of its segments, and nothing that
could drift is stored.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache

from hanse.names import home_of
from hanse.policy import clock
from hanse.policy.clock import Segment
from hanse.policy.errors import UnitUnknown
from hanse.policy.standards import Standards
from hanse.session import as_plain, plain
from hanse.times import duration, put_time
from hanse_protos.policy.v1.policy_pb2 import ServiceTarget, TicketFacts
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.model import Base, Clock, ClockSegment, Step, StepAction, Ticket

FULL_PERCENT = 100
REMEMBERED_STARTS = 256
"""Targets by instants: a policy's targets at the instants of the last groups of commands; an entry is about 5 kB."""


def facts_of(standards: Standards, ticket: Ticket, home: str) -> TicketFacts:
    """Return what conditions in the policy see of a ticket."""
    return standards.facts(
        priority=pb.Priority.Name(ticket.priority),
        category=ticket.category,
        language=ticket.language,
        tier=ticket.tier,
        home=home,
        product=ticket.product,
    )


@dataclass(frozen=True, slots=True)
class NewClocks:
    """The clocks of a ticket that has just been opened: as plain rows, and as an answer shows them."""

    rows: Sequence[Base]
    messages: Sequence[pb.Clock]

    def rows_of(self, ticket: str) -> Iterator[Base]:
        """Yield the rows for a ticket."""
        for row in self.rows:
            yield plain(type(row), {**vars(row), "ticket": ticket})


def new_clocks(standards: Standards, ticket: Ticket, home: str) -> NewClocks:
    """Start the clocks of the first target that holds for a new ticket; there are none where no target does."""
    target = standards.target_for(facts_of(standards, ticket, home))
    return _started(standards, target.id if target else "", home, ticket.open_time)


@lru_cache(maxsize=REMEMBERED_STARTS)
def _started(standards: Standards, target: str, home: str, open_time: datetime) -> NewClocks:
    """Start the clocks of an example. The commands of a group have one instant, so many tickets begin alike."""
    example = Ticket(name=f"{home}/tickets/example", state=pb.NEW, open_time=open_time)
    open_segment(standards, example, home, open_time, running=True)
    for found in standards.document.targets:
        if found.id == target:
            _start_clocks(standards, example, found)
    rows = [as_plain(row) for row in (*example.segments, *example.clocks)]
    return NewClocks(rows, list(clocks_to_proto(standards, example, open_time)))


def _start_clocks(standards: Standards, ticket: Ticket, target: ServiceTarget) -> None:
    # Rungs that differ in their conditions alone are one step: whether one of them holds is asked when it is due.
    rungs = dict.fromkeys((step.action, step.at_percent) for step in standards.document.ladder)
    ladder = [Step(_ACTIONS[action], percent) for action, percent in rungs]
    for kind, promised in ((pb.Clock.RESPONSE, target.response), (pb.Clock.RESOLUTION, target.resolution)):
        row = Clock(
            ticket=ticket.name,
            kind=kind,
            target=target.id,
            target_duration=promised.ToTimedelta(),
            policy_version=standards.version,
        )
        row.keep_steps(_steps(target, ladder if kind == pb.Clock.RESOLUTION else []))
        ticket.clocks.append(row)
    schedule(standards, ticket)


_ACTIONS = {1: StepAction.CLIMB, 2: StepAction.REQUEST_ENGAGEMENT}
"""The steps that the policy's ladder (`LadderStep.Action`) puts on the resolution clock."""


def _steps(target: ServiceTarget, ladder: Sequence[Step]) -> list[Step]:
    warnings = [Step(StepAction.WARN, percent) for percent in target.warn_percents]
    return sorted(
        [*warnings, *(replace(step) for step in ladder), Step(StepAction.BREACH, FULL_PERCENT)],
        key=lambda step: step.percent,
    )


def open_segment(standards: Standards, ticket: Ticket, unit: str, at: datetime, *, running: bool) -> None:
    """End the current segment and begin the next one.

    What another unit tells may have happened before the current segment began; a segment is never shorter than nothing.
    """
    at = close_segment(ticket, at)
    ticket.segments.append(
        ClockSegment(
            ticket=ticket.name,
            number=len(ticket.segments) + 1,
            unit=unit,
            calendar=_calendar_of(standards, unit, ticket),
            running=running,
            start_time=at,
        )
    )


def _calendar_of(standards: Standards, unit: str, ticket: Ticket) -> str:
    """Return the calendar that counts while a unit holds a ticket.

    A unit that joined the group after the ticket was opened is not in the ticket's policy: then the home unit's counts.
    """
    try:
        return standards.calendar_of(unit)
    except UnitUnknown:
        return standards.calendar_of(home_of(ticket.name))


def close_segment(ticket: Ticket, at: datetime) -> datetime:
    """End the current segment, if one is open, and return when it ended."""
    if not ticket.segments or ticket.segments[-1].end_time is not None:
        return at
    current = ticket.segments[-1]
    current.end_time = max(at, current.start_time)
    return current.end_time


def restart_clock(ticket: Ticket, kind: int) -> None:
    """Let a stopped clock go on."""
    for row in ticket.clocks:
        if row.kind == kind:
            row.stop_time = None


def schedule(standards: Standards, ticket: Ticket) -> None:
    """Compute the deadlines of the clocks that have not stopped, from the segments."""
    segments = [row.value() for row in ticket.segments]
    for row in ticket.clocks:
        if row.stop_time is None:
            promised, steps = row.target_duration, row.open_steps()
            for step in steps:
                if step.done_time is None:
                    at = _reach(standards, segments, promised * step.percent / FULL_PERCENT)
                    step.due_time = at.isoformat() if at else None
            row.due_time = _reach(standards, segments, promised)
            row.keep_steps(steps)


def _reach(standards: Standards, segments: Sequence[Segment], amount: timedelta) -> datetime | None:
    return clock.due(segments, standards.calendars, amount)


def next_due_time(ticket: Ticket) -> datetime | None:
    """Return when something is due next on a clock that has not stopped; None while they stand."""
    times = (
        datetime.fromisoformat(step.due_time)
        for row in ticket.clocks
        if row.stop_time is None
        for step in row.open_steps()
        if step.done_time is None and step.due_time
    )
    return min(times, default=None)


def clocks_to_proto(standards: Standards, ticket: Ticket, now: datetime) -> Iterator[pb.Clock]:
    """Yield the ticket's clocks, each with its segments and what they add up to."""
    for row in sorted(ticket.clocks, key=lambda clock: clock.kind):
        segments = list(_before(ticket.segments, row.stop_time))
        parts = [clock.segment_used(segment, standards.calendars, now) for segment in segments]
        message = pb.Clock(
            kind=row.kind,
            state=_state(ticket, row),
            target=row.target,
            target_duration=duration(row.target_duration),
            used_duration=duration(sum(parts, timedelta(0))),
            segments=[_segment_to_proto(*pair) for pair in zip(segments, parts, strict=True)],
        )
        put_time(message.due_time, row.due_time)
        put_time(message.stop_time, row.stop_time)
        yield message


def _before(rows: Sequence[ClockSegment], stop_time: datetime | None) -> Iterator[Segment]:
    """Yield the segments, and parts of segments, that lie before a clock stopped."""
    for row in rows:
        segment = row.value()
        if stop_time is None:
            yield segment
        elif segment.start < stop_time:
            yield replace(segment, end=min(segment.end or stop_time, stop_time))


def _state(ticket: Ticket, row: Clock) -> pb.Clock.State.ValueType:
    if row.breach_time:
        return pb.Clock.BREACHED
    if row.stop_time:
        return pb.Clock.MET
    return pb.Clock.PAUSED if ticket.state == pb.WAITING else pb.Clock.RUNNING


def _segment_to_proto(segment: Segment, used: timedelta) -> pb.ClockSegment:
    message = pb.ClockSegment(
        unit=segment.unit, calendar=segment.calendar, running=segment.running, used_duration=duration(used)
    )
    put_time(message.start_time, segment.start)
    put_time(message.end_time, segment.end)
    return message
