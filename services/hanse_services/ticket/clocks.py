"""A ticket's clocks: promises as rows with deadlines, computed by the policy engine from the ticket's segments.

All clocks of a ticket share its segments (`segments`). A clock adds a target, a start and, once it has stopped, an end.
So what a clock has used up is always the exact sum of its segments, and nothing that could drift is stored.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from hanse.policy import clock
from hanse.policy.clock import Segment
from hanse.policy.facts import facts_of
from hanse.policy.promises import Promise
from hanse.policy.standards import Standards
from hanse.session import as_plain, plain
from hanse.times import duration, put_time, timestamp
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.model import Base, Clock, Step, StepAction, Ticket
from hanse_services.ticket.segments import follow_ticket, segments_of

FULL_PERCENT = 100
REMEMBERED_STARTS = 256
"""Targets by instants: a policy's targets at the instants of the last groups of commands; an entry is about 5 kB."""


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
    example = Ticket(name=f"{home}/tickets/example", state=pb.NEW, holder=home, open_time=open_time)
    for promise in standards.promises(target):
        start_clock(standards, example, promise, open_time)
    follow_ticket(standards, example, open_time)
    schedule(standards, example)
    rows = [as_plain(row) for row in (*example.segments, *example.clocks)]
    return NewClocks(rows, list(clocks_to_proto(standards, example, open_time)))


def start_clock(standards: Standards, ticket: Ticket, promise: Promise, at: datetime) -> Clock:
    """Start a clock at an instant; it has no deadline until it is scheduled."""
    row = Clock(
        ticket=ticket.name,
        kind=promise.kind,
        number=1 + sum(row.kind == promise.kind for row in ticket.clocks),
        towards=TOWARDS[promise.kind],
        target=promise.id,
        target_duration=promise.duration,
        elapsed=promise.elapsed,
        policy_version=standards.version,
        start_time=at,
    )
    row.keep_steps(_steps(promise, _ladder(standards) if promise.kind == pb.Clock.RESOLUTION else ()))
    ticket.clocks.append(row)
    return row


TOWARDS: dict[pb.Clock.Kind.ValueType, pb.Clock.Towards.ValueType] = {
    pb.Clock.RESPONSE: pb.Clock.CUSTOMER,
    pb.Clock.RESOLUTION: pb.Clock.CUSTOMER,
}
"""Whom each kind of clock is promised."""


_ACTIONS = {1: StepAction.CLIMB, 2: StepAction.REQUEST_ENGAGEMENT}
"""The steps that the policy's ladder (`LadderStep.Action`) puts on the resolution clock."""


def _ladder(standards: Standards) -> Iterator[Step]:
    """Yield the steps of the ladder. Rungs that differ in their conditions alone are one: they are asked when due."""
    rungs = dict.fromkeys((step.action, step.at_percent) for step in standards.document.ladder)
    return (Step(_ACTIONS[action], percent) for action, percent in rungs)


def _steps(promise: Promise, ladder: Iterable[Step]) -> list[Step]:
    warnings = [Step(StepAction.WARN, percent) for percent in promise.warn_percents]
    return sorted([*warnings, *ladder, Step(StepAction.BREACH, FULL_PERCENT)], key=lambda step: step.percent)


def restart_clock(ticket: Ticket, kind: int) -> None:
    """Let a stopped clock go on."""
    for row in ticket.clocks:
        if row.kind == kind:
            row.stop_time = None


def schedule(standards: Standards, ticket: Ticket) -> None:
    """Compute the deadlines of the clocks that have not stopped, from the segments."""
    for row in ticket.clocks:
        if row.stop_time is None:
            segments, promised, steps = list(segments_of(ticket, row)), row.target_duration, row.open_steps()
            for step in steps:
                if step.done_time is None:
                    at = _reach(standards, segments, promised * step.percent / FULL_PERCENT)
                    step.due_time = at.isoformat() if at else None
            row.due_time = _reach(standards, segments, promised)
            row.keep_steps(steps)


def _reach(standards: Standards, segments: Sequence[Segment], amount: timedelta) -> datetime | None:
    return clock.due(segments, standards.calendars, amount)


def next_due_time(clocks: Iterable[Clock]) -> datetime | None:
    """Return when something is due next on the clocks that have not stopped; None while they stand."""
    times = (
        datetime.fromisoformat(step.due_time)
        for row in clocks
        if row.stop_time is None
        for step in row.open_steps()
        if step.done_time is None and step.due_time
    )
    return min(times, default=None)


def clocks_to_proto(standards: Standards, ticket: Ticket, now: datetime) -> Iterator[pb.Clock]:
    """Yield the ticket's clocks, each with its segments and what they add up to."""
    for row in sorted(ticket.clocks, key=lambda clock: (clock.kind, clock.number)):
        segments = list(segments_of(ticket, row))
        parts = [clock.segment_used(segment, standards.calendars, now) for segment in segments]
        message = pb.Clock(
            kind=row.kind,
            number=row.number,
            towards=row.towards,
            state=_state(ticket, row),
            target=row.target,
            target_duration=duration(row.target_duration),
            elapsed=row.elapsed,
            used_duration=duration(sum(parts, timedelta(0))),
            start_time=timestamp(row.start_time),
            segments=[_segment_to_proto(*pair) for pair in zip(segments, parts, strict=True)],
        )
        put_time(message.due_time, row.due_time)
        put_time(message.stop_time, row.stop_time)
        put_time(message.breach_time, row.breach_time)
        yield message


def _state(ticket: Ticket, row: Clock) -> pb.Clock.State.ValueType:
    if row.breach_time:
        return pb.Clock.BREACHED
    if row.stop_time:
        return pb.Clock.MET
    return pb.Clock.PAUSED if pb.Clock.Kind.Name(row.kind) in ticket.segments[-1].standing else pb.Clock.RUNNING


def _segment_to_proto(segment: Segment, used: timedelta) -> pb.ClockSegment:
    message = pb.ClockSegment(
        unit=segment.unit, calendar=segment.calendar, running=segment.running, used_duration=duration(used)
    )
    put_time(message.start_time, segment.start)
    put_time(message.end_time, segment.end)
    return message
