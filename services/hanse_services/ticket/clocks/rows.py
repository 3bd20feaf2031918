"""A ticket's clocks: promises as rows with deadlines, computed by the policy engine from the ticket's segments.

All clocks of a ticket share its segments (`segments`). A clock adds a target, a start and, once it has stopped, an end.
So what a clock has used up is always the exact sum of its segments, and nothing that could drift is stored.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from sqlalchemy import ColumnElement, Select, cast, func, literal, select
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH

from hanse.further_clocks import further_clocks
from hanse.log.tables import Time
from hanse.policy import clock
from hanse.policy.clock import Segment
from hanse.policy.promises import Promise
from hanse.policy.standards import Standards, kind_of
from hanse.times import duration, put_time, timestamp
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.clocks.segments import segments_of
from hanse_services.ticket.model import FULL_PERCENT, TELLING, Clock, Step, StepAction, Ticket

REMEMBERED_PROMISES = 256
"""Promises of whose steps the order is remembered: those of a few versions of the policy."""


def start_clock(
    standards: Standards, ticket: Ticket, promise: Promise, at: datetime, *, party: str = "", engagement: str = ""
) -> Clock:
    """Start a clock at an instant, on the segments that the ticket has; `party` promises it, in that engagement."""
    row = Clock(
        ticket=ticket.name,
        kind=promise.kind,
        number=1 + sum(row.kind == promise.kind for row in ticket.clocks),
        towards=TOWARDS[promise.kind],
        party=party,
        engagement=engagement,
        target=promise.id,
        target_duration=promise.duration,
        elapsed=promise.elapsed,
        policy_version=standards.version,
        start_time=at,
        cancelled=False,
        reset_holds=False,
        breach_time=None,
        stop_time=None,
    )
    row.keep_steps(steps_of(standards, promise))
    ticket.clocks.append(row)
    schedule_clock(standards, ticket, row)
    return row


def put_under(standards: Standards, ticket: Ticket, row: Clock, promise: Promise) -> None:
    """Put an open clock under another promise. It counts from where it started; what was done on it stays done."""
    before = row.open_steps()
    done = {(step.action, step.percent): step.done_time for step in before if not step.fixed}
    row.target, row.target_duration, row.elapsed = promise.id, promise.duration, promise.elapsed
    steps = steps_of(standards, promise)
    for step in steps:
        step.done_time = done.get((step.action, step.percent))
    row.keep_steps([*steps, *(step for step in before if step.fixed)])
    schedule_clock(standards, ticket, row)


def overrun(row: Clock, at: datetime) -> datetime | None:
    """Note that a clock has run out by an instant, where nobody has noticed; return when it did."""
    if row.breach_time is not None:
        return None
    steps = row.open_steps()
    for step in steps:
        if step.action == StepAction.BREACH and step.is_due(at):
            step.done_time = at.isoformat()
            row.keep_steps(steps)
            row.breach_time = datetime.fromisoformat(step.due_time or step.done_time)
            return row.breach_time
    return None


def stop_clock(standards: Standards, ticket: Ticket, row: Clock, at: datetime, *, cancelled: bool = False) -> None:
    """Stop a clock at an instant, met or cancelled, and note what it has used up by then, and at which tier."""
    row.stop_time, row.due_time, row.cancelled = at, None, cancelled
    row.stop_tier, row.used_duration = ticket.tier, used_until(standards, ticket, row, at)


def reset_clock(standards: Standards, ticket: Ticket, row: Clock, at: datetime) -> None:
    """Let a clock begin anew at an instant, with all that is due on it. What it has breached stays breached.

    Who was told of it and has not answered is not told again, so the next level is told of that silence all the same.
    """
    row.start_time = at
    steps = row.open_steps()
    for step in steps:
        is_breach = step.action == StepAction.BREACH and row.breach_time is not None
        if not step.fixed and not is_breach:
            step.done_time = None
    row.keep_steps(steps)
    schedule_clock(standards, ticket, row)


TOWARDS: dict[pb.Clock.Kind.ValueType, pb.Clock.Towards.ValueType] = {
    pb.Clock.RESPONSE: pb.Clock.CUSTOMER,
    pb.Clock.RESOLUTION: pb.Clock.CUSTOMER,
    pb.Clock.NEXT_REPLY: pb.Clock.CUSTOMER,
    pb.Clock.PERIODIC_UPDATE: pb.Clock.CUSTOMER,
    pb.Clock.TIER_WORK: pb.Clock.UNIT,
    pb.Clock.ENGAGEMENT_WORK: pb.Clock.UNIT,
    pb.Clock.SUPPLIER_WORK: pb.Clock.SUPPLIER,
    pb.Clock.REVIEW: pb.Clock.UNIT,
}
"""Whom each kind of clock is promised."""


_ACTIONS = {1: StepAction.CLIMB, 2: StepAction.REQUEST_ENGAGEMENT}
"""The steps that the policy's ladder (`LadderStep.Action`) puts on the resolution clock."""


def _ladder(standards: Standards) -> Iterator[tuple[StepAction, int]]:
    """Yield the steps of the ladder. Rungs that differ in their conditions alone are one: they are asked when due."""
    rungs = dict.fromkeys((step.action, step.at_percent) for step in standards.document.ladder)
    return ((_ACTIONS[action], percent) for action, percent in rungs)


def _hierarchy(standards: Standards, kind: pb.Clock.Kind.ValueType) -> Iterator[tuple[StepAction, int]]:
    """Yield the steps that tell somebody above the desk; those that differ in their conditions alone are one."""
    steps = (step for step in standards.document.hierarchy if kind_of(step) == pb.Clock.Kind.Name(kind))
    told = dict.fromkeys((step.level, step.at_percent) for step in steps)
    return ((TELLING[level], percent) for level, percent in told)


def steps_of(standards: Standards, promise: Promise) -> list[Step]:
    """Return all that is due on a clock of a promise, in order. When, and whether it was done, is not said yet."""
    return [Step(action, percent) for action, percent in _step_percents(standards, promise)]


@lru_cache(maxsize=REMEMBERED_PROMISES)
def _step_percents(standards: Standards, promise: Promise) -> Sequence[tuple[StepAction, int]]:
    ladder = _ladder(standards) if promise.kind == pb.Clock.RESOLUTION else ()
    above = _hierarchy(standards, promise.kind)
    warnings = ((StepAction.WARN, percent) for percent in promise.warn_percents)
    at_the_end = StepAction.REVIEW if promise.kind == pb.Clock.REVIEW else StepAction.BREACH
    return sorted([*warnings, *ladder, *above, (at_the_end, FULL_PERCENT)], key=lambda step: step[1])


def restart_clock(ticket: Ticket, kind: int, at: datetime) -> None:
    """Let a clock that was met go on from an instant; one that a condition cancelled stays so."""
    for row in ticket.clocks:
        if row.kind == kind and not row.cancelled:
            go_on(row, at)


def go_on(row: Clock, at: datetime) -> None:
    """Let a clock go on from an instant as if it had not stopped. It has no deadline until it is scheduled.

    What is due on it at an instant of its own is put off for as long as it had stopped: nobody had to answer meanwhile.
    """
    if row.stop_time is not None:
        _put_off(row, max(at - row.stop_time, timedelta(0)))
    row.stop_time = row.used_duration = row.stop_tier = None


def _put_off(row: Clock, length: timedelta) -> None:
    steps = row.open_steps()
    for step in steps:
        if step.fixed and step.done_time is None and step.due_time:
            step.due_time = (datetime.fromisoformat(step.due_time) + length).isoformat()
    row.keep_steps(steps)


def schedule(standards: Standards, ticket: Ticket) -> None:
    """Compute the deadlines of the clocks that have not stopped, from the segments."""
    for row in ticket.clocks:
        if row.stop_time is None:
            schedule_clock(standards, ticket, row)


def schedule_those_without(standards: Standards, ticket: Ticket) -> None:
    """Compute the deadlines that are missing: of clocks that went on, and of those that stand.

    All others were computed when what they follow from last changed.
    """
    for row in ticket.clocks:
        if row.stop_time is None and row.due_time is None:
            schedule_clock(standards, ticket, row)


def schedule_clock(standards: Standards, ticket: Ticket, row: Clock) -> None:
    """Compute the deadlines of one clock."""
    steps = row.open_steps()
    pending = [step for step in steps if step.done_time is None]
    row.due_time = schedule_steps(standards, list(segments_of(ticket, row)), row.target_duration, pending)
    row.keep_steps(steps)


def schedule_steps(
    standards: Standards, segments: Sequence[Segment], promised: timedelta, steps: Iterable[Step]
) -> datetime | None:
    """Say when steps of a clock are due, those aside that have an instant of their own, and return when it runs out."""
    moving = [step for step in steps if not step.fixed]
    percents = sorted({FULL_PERCENT, *(step.percent for step in moving)})
    amounts = [promised * percent / FULL_PERCENT for percent in percents]
    at = dict(zip(percents, clock.dues(segments, standards.calendars, amounts), strict=True))
    for step in moving:
        due_time = at[step.percent]
        step.due_time = due_time.isoformat() if due_time else None
    return at[FULL_PERCENT]


def next_due_time(clocks: Iterable[Clock]) -> datetime | None:
    """Return when something is due next on the clocks that have not stopped; None while they stand."""
    return min((due_time for due_time, *_ in _pending(clocks)), default=None)


def next_step(clocks: Iterable[Clock]) -> tuple[Clock, list[Step], Step] | None:
    """Return the step that is due next, whichever clock it is on, with its clock and all steps of that.

    None while the clocks that have not stopped stand.
    """
    due = min(_pending(clocks), key=lambda one: (one[0], one[1].kind, one[1].number), default=None)
    return due[1:] if due else None


def _pending(clocks: Iterable[Clock]) -> Iterator[tuple[datetime, Clock, list[Step], Step]]:
    for row in clocks:
        steps = row.open_steps() if row.stop_time is None else []
        for step in steps:
            if step.done_time is None and step.due_time:
                yield datetime.fromisoformat(step.due_time), row, steps, step


def is_something_due(by: datetime) -> ColumnElement[bool]:
    """Return the condition that something is due on a clock by an instant. Times are kept in UTC: they sort as text."""
    pending = cast(literal("$[*] ? (@.done_time == null && @.due_time <= $by)"), JSONPATH)
    return func.jsonb_path_exists(Clock.steps, pending, func.jsonb_build_object("by", by.astimezone(UTC).isoformat()))


def next_due_times(tickets: Select[str]) -> Select[str, datetime]:
    """Return the query for when something is due next on some tickets' clocks that have not stopped, by ticket.

    Whoever waits asks this of all tickets again and again, so nothing of a row leaves the database but the answer.
    """
    step = func.jsonb_array_elements(Clock.steps).column_valued("step", joins_implicitly=True)
    due_time = cast(cast(step, JSONB)["due_time"].astext, Time)
    is_pending = cast(step, JSONB)["done_time"].astext.is_(None)
    query = select(Clock.ticket, func.min(due_time).filter(is_pending))
    return (
        query.where(Clock.ticket.in_(tickets), Clock.stop_time.is_(None)).group_by(Clock.ticket).order_by(Clock.ticket)
    )


def clocks_to_proto(standards: Standards, ticket: Ticket, now: datetime) -> Iterator[pb.Clock]:
    """Yield the ticket's clocks, each with its segments and what they add up to."""
    for row in sorted(ticket.clocks, key=lambda clock: (clock.kind, clock.number)):
        segments = list(segments_of(ticket, row))
        parts = [clock.segment_used(segment, standards.calendars, now) for segment in segments]
        message = pb.Clock(
            kind=row.kind,
            number=row.number,
            towards=row.towards,
            party=row.party,
            engagement=row.engagement,
            state=state_of(ticket, row),
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


TOLD_OF_A_KIND = 2
"""How many clocks of each kind an event tells of: the last one, and the one before it, which may have ended in the same
step. All others have ended before, and the events of then told so."""


def summaries_of(ticket: Ticket) -> Iterator[pb.ClockSummary]:
    """Yield where the ticket's clocks stand: what they have used up, when they have stopped."""
    for row in sorted(ticket.clocks, key=lambda clock: (clock.kind, clock.number)):
        yield summary_of_clock(row, state_of(ticket, row), row.used_duration)


def told_of(ticket: Ticket) -> tuple[list[pb.ClockSummary], pb.FurtherClocks | None]:
    """Return what an event tells of the ticket's clocks: the last ones of each kind, and which others there are."""
    summaries = list(summaries_of(ticket))
    if all(clock.number <= TOLD_OF_A_KIND for clock in summaries):
        return summaries, None
    last = Counter(clock.kind for clock in summaries)
    told = [clock for clock in summaries if clock.number > last[clock.kind] - TOLD_OF_A_KIND]
    further = [clock for clock in summaries if clock.number <= last[clock.kind] - TOLD_OF_A_KIND]
    return told, further_clocks(further)


def summary_of_clock(row: Clock, state: pb.Clock.State.ValueType, used: timedelta | None) -> pb.ClockSummary:
    """Return where a clock stands, with what it has used up, where that is known."""
    message = pb.ClockSummary(
        kind=row.kind,
        state=state,
        target=row.target,
        policy_version=row.policy_version,
        target_duration=duration(row.target_duration),
        used_duration=None if used is None else duration(used),
        tier=row.stop_tier or 0,
        number=row.number,
        towards=row.towards,
    )
    put_time(message.due_time, row.due_time)
    put_time(message.breach_time, row.breach_time)
    put_time(message.stop_time, row.stop_time)
    return message


def used_until(standards: Standards, ticket: Ticket, row: Clock, now: datetime) -> timedelta:
    """Return what a clock has used up: by now, or when it stopped."""
    return clock.used(list(segments_of(ticket, row)), standards.calendars, now)


def state_of(ticket: Ticket, row: Clock) -> pb.Clock.State.ValueType:
    """Return where a clock stands."""
    if row.breach_time:
        return pb.Clock.BREACHED
    if row.stop_time:
        return pb.Clock.CANCELLED if row.cancelled else pb.Clock.MET
    if pb.Clock.Kind.Name(row.kind) in ticket.segments[-1].standing:
        return pb.Clock.SUSPENDED if ticket.suspend_time else pb.Clock.PAUSED
    return pb.Clock.RUNNING


def _segment_to_proto(segment: Segment, used: timedelta) -> pb.ClockSegment:
    message = pb.ClockSegment(
        unit=segment.unit, calendar=segment.calendar, running=segment.running, used_duration=duration(used)
    )
    put_time(message.start_time, segment.start)
    put_time(message.end_time, segment.end)
    return message
