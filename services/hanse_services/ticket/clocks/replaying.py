"""A ticket's clocks computed anew: its history played through the same engine that ran them when it happened.

The result is an example of the ticket that nobody has stored, with the segments and clocks that its history gives it
under a policy. Repairs compare it with the ticket's own; explanations read it line by line. It depends on nothing but
the history, the policy and the present instant, so it comes out the same however often and wherever it is done.
"""

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from hanse.names import home_of
from hanse.policy.facts import facts_of
from hanse.policy.histories import Happening, Moment, TicketHistory
from hanse.policy.standards import Standards
from hanse_protos.policy.v1.policy_pb2 import ServiceTarget
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.clocks.rows import restart_clock, schedule_those_without, stop_clock
from hanse_services.ticket.clocks.rules import ENDED_BY_AN_ANSWER, Ruling, retarget
from hanse_services.ticket.holding import end_wait
from hanse_services.ticket.model import Clock, Step, StepAction, Ticket
from hanse_services.ticket.suspending import put_off, review_passed

ClockKey: TypeAlias = tuple[pb.Clock.Kind.ValueType, int]
"""Which of a ticket's clocks: its kind and its number."""

ALWAYS_NOTED = (Happening.HANDED_OVER, Happening.RECLASSIFIED)
"""What has a line also where it changes nothing about which clocks run."""
SEEN_BY_CONDITIONS = (Happening.TAKEN, Happening.GIVEN, Happening.CLIMBED, Happening.ENGAGED, Happening.DISENGAGED)
"""What changes the clocks by conditions and agreements only. Most of what happens to a ticket is of this kind."""


def key_of(clock: Clock) -> ClockKey:
    """Return which of its ticket's clocks this is."""
    return clock.kind, clock.number


@dataclass(frozen=True, slots=True)
class Line:
    """What one moment did to the clocks."""

    at: datetime
    moment: Moment | None
    """None for what a clock did by itself: it ran out."""
    is_promised_later: bool = False
    """Whether nothing was promised for what the ticket is from here on, until it turned out to be something else."""
    started: tuple[ClockKey, ...] = ()
    stopped: tuple[ClockKey, ...] = ()
    ran_out: tuple[ClockKey, ...] = ()
    running: frozenset[ClockKey] = frozenset()
    """What runs from here on."""
    standing: frozenset[ClockKey] = frozenset()
    """What stands from here on."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """A ticket as its history has it under a policy."""

    ticket: Ticket
    lines: list[Line]
    waiting_duration: timedelta
    waiting_since: datetime | None


def replay(standards: Standards, history: TicketHistory, now: datetime) -> Replayed:
    """Play a history through under a policy; what is open yet is as it stands at `now`.

    Raises what the policy raises on a ticket that it does not know: CategoryUnknown, UnitUnknown, HorizonExceeded.
    """
    first, *later = history.moments()
    run = Run(standards, example_of(standards, history, first))
    run.begin(first, later)
    for moment in later:
        run.run_until(moment.at)
        run.follow(moment)
    run.run_until(now)
    ticket, lines = run.ticket, sorted(run.lines, key=lambda line: line.at)
    return Replayed(ticket, lines, ticket.waiting_duration, ticket.waiting_since)


def example_of(standards: Standards, history: TicketHistory, first: Moment) -> Ticket:
    """Return the ticket that a history begins with, which nobody has stored."""
    opened = history.opened
    return Ticket(
        name=opened.name,
        state=first.state,
        language=opened.language,
        category=opened.category,
        product=opened.product,
        priority=opened.priority,
        service=opened.service,
        customer_class=opened.customer_class,
        tier=first.tier,
        holder=first.holder,
        assignee=first.assignee,
        waiting_for=first.waiting_for,
        waiting_since=None,
        supplier=first.supplier,
        respond_time=None,
        suspend_time=None,
        waiting_duration=timedelta(0),
        suspended_duration=timedelta(0),
        open_time=history.open_time,
        policy_version=standards.version,
        target="",
        engagement_count=0,
        left_units=[],
        returns=0,
        clocks=[],
        segments=[],
    )


class Run:
    """A history being played through."""

    def __init__(self, standards: Standards, ticket: Ticket) -> None:
        self.ticket = ticket
        self.lines: list[Line] = []
        self._standards = standards
        self._reclassified: deque[Moment] = deque()
        """The reclassifications that are still to come."""
        self._said_before = 0
        """How many of the next ones count already, as if they had been said before."""

    def begin(self, opening: Moment, later: Iterable[Moment]) -> None:
        """Start the clocks of the target that held when the ticket was opened."""
        self._reclassified.extend(each for each in later if each.change.what == Happening.RECLASSIFIED)
        target = self._classify(opening)
        self.ticket.target = target.id if target else ""
        self._settle(opening.at)
        self._note(opening, started=tuple(key_of(clock) for clock in self.ticket.clocks))

    def _classify(self, moment: Moment) -> ServiceTarget | None:
        """Let the ticket be what it turns out to be, and return the target that holds then.

        Where none does, it counts as what it turns out to be the next time that one holds: what was not promised for a
        while counts all the same once it is promised, from the opening on.
        """
        for ahead, each in enumerate((moment, *self._reclassified)):
            if target := self._target_of(each):
                self._said_before = ahead
                return target
        return self._target_of(moment)

    def _target_of(self, moment: Moment) -> ServiceTarget | None:
        ticket, classified = self.ticket, moment.classification
        ticket.priority, ticket.category, ticket.service = classified.priority, classified.category, classified.service
        return self._standards.target_for(facts_of(self._standards, ticket, home_of(ticket.name)))

    def _reclassify(self, moment: Moment) -> None:
        """Promise anew what a moment says, unless a later one counts already.

        That one is asked again when its time has come: a target may depend on the tier too.
        """
        self._reclassified.popleft()
        self._said_before = max(self._said_before - 1, 0)
        if not self._said_before:
            self._classify(moment)
            retarget(self._standards, self.ticket, moment.at)

    def _settle(self, at: datetime) -> None:
        if self.ticket.target:
            Ruling(self._standards, self.ticket, at).settle()

    def run_until(self, at: datetime) -> None:
        """Let the clocks run, and those run out whose time comes before or at an instant; a review is only due."""
        schedule_those_without(self._standards, self.ticket)
        for clock in self.ticket.clocks:
            if clock.stop_time is not None or clock.breach_time is not None or clock.kind == pb.Clock.REVIEW:
                continue
            if clock.due_time and clock.due_time <= at:
                clock.breach_time = clock.due_time
                self.lines.append(self._line(clock.due_time, None, ran_out=(key_of(clock),)))

    def follow(self, moment: Moment) -> None:
        """Let the clocks follow a moment."""
        ticket = self.ticket
        was_open = {key_of(clock) for clock in ticket.clocks if clock.stop_time is None}
        if moment.holder != ticket.holder:
            ticket.hand_to(moment.holder)
            _, _, number = moment.change.engagement.rpartition("/e")
            ticket.engagement_count = int(number or ticket.engagement_count)
        ticket.state, ticket.tier, ticket.assignee = moment.state, moment.tier, moment.assignee
        self._apply(moment)
        is_open = {key_of(clock) for clock in ticket.clocks if clock.stop_time is None}
        self._note(moment, started=tuple(sorted(is_open - was_open)), stopped=tuple(sorted(was_open - is_open)))

    def _apply(self, moment: Moment) -> None:
        ticket, at = self.ticket, moment.at
        match moment.change.what:
            case Happening.ANSWERED:
                self._stop(at, ENDED_BY_AN_ANSWER)
                ticket.respond_time = ticket.respond_time or at
                self._begin(at, pb.Clock.PERIODIC_UPDATE)
            case Happening.ASKED if ticket.respond_time is not None:
                self._begin(at, pb.Clock.NEXT_REPLY)
            case Happening.PAUSED:
                ticket.waiting_for, ticket.supplier, ticket.waiting_since = moment.waiting_for, moment.supplier, at
            case Happening.SUSPENDED | Happening.REVIEW_DUE:
                self._suspend(moment)
            case Happening.RESUMED:
                self._stop(at, (pb.Clock.REVIEW,))
                end_wait(ticket, at)
            case Happening.RECLASSIFIED:
                self._reclassify(moment)
            case Happening.RESOLVED | Happening.CLOSED:
                end_wait(ticket, at)
                self._stop(at, None)
                ticket.respond_time = ticket.respond_time or at
            case Happening.REOPENED:
                restart_clock(ticket, pb.Clock.RESOLUTION, at)
                self._begin(at, pb.Clock.PERIODIC_UPDATE)
            case what if what in SEEN_BY_CONDITIONS and not self._standards.is_conditional(ticket.target):
                return
        self._settle(at)

    def _suspend(self, moment: Moment) -> None:
        ticket, change = self.ticket, moment.change
        if change.what == Happening.REVIEW_DUE:
            review_passed(self._standards, ticket, moment.at)
            return
        if ticket.suspend_time is None:
            end_wait(ticket, moment.at)
            ticket.waiting_since = ticket.suspend_time = moment.at
        if change.review_time and change.cap_time:
            put_off(self._standards, ticket, moment.at, change.review_time, change.cap_time)

    def _begin(self, at: datetime, kind: pb.Clock.Kind.ValueType) -> None:
        if self.ticket.target:
            Ruling(self._standards, self.ticket, at).begin(kind)

    def _stop(self, at: datetime, kinds: Collection[pb.Clock.Kind.ValueType] | None) -> None:
        """Stop the clocks of some kinds that are open, or all."""
        for clock in self.ticket.clocks:
            if clock.stop_time is None and (kinds is None or clock.kind in kinds):
                stop_clock(self._standards, self.ticket, clock, at)

    def _note(self, moment: Moment, started: tuple[ClockKey, ...] = (), stopped: tuple[ClockKey, ...] = ()) -> None:
        line = self._line(moment.at, moment, started=started, stopped=stopped)
        before = self.lines[-1] if self.lines else None
        is_news = before is None or (line.running, line.standing) != (before.running, before.standing)
        if started or stopped or is_news or moment.change.noted or moment.change.what in ALWAYS_NOTED:
            self.lines.append(line)

    def _line(self, at: datetime, moment: Moment | None, **what: tuple[ClockKey, ...]) -> Line:
        """Return a line with what runs and what stands now."""
        current = self.ticket.segments[-1] if self.ticket.segments else None
        stands = set(current.standing) if current and current.end_time is None else set()
        is_open = frozenset(key_of(clock) for clock in self.ticket.clocks if clock.stop_time is None)
        standing = frozenset(key for key in is_open if pb.Clock.Kind.Name(key[0]) in stands)
        is_said = moment is not None and moment.change.what in (Happening.OPENED, Happening.RECLASSIFIED)
        return Line(
            at, moment, is_said and self._said_before > 0, running=is_open - standing, standing=standing, **what
        )


def carry_over_steps(before: Ticket, replayed: Ticket) -> None:
    """Let the steps of replayed clocks count as done that were done, as far as they would have been due.

    What a ladder did stays done, whatever its time is now: a ticket that has climbed does not climb down.
    """
    known = {key_of(clock): clock for clock in before.clocks}
    for clock in replayed.clocks:
        clock.keep_steps(carried_over(known.get(key_of(clock)), clock.open_steps(), clock.breach_time))


def carried_over(own: Clock | None, steps: list[Step], breach_time: datetime | None) -> list[Step]:
    """Return the steps of a clock that was computed anew and ran out then, with what was done on it before.

    A step that is due at an instant of its own, since somebody has not answered by then, is kept as it is. What a
    person has skipped stays skipped.
    """
    before = [Step(**step) for step in own.steps if step["done_time"] or step.get("fixed")] if own else []
    done = {(step.action, step.percent): step for step in before if not step.fixed}
    for step in steps:
        own_step = done.get((step.action, step.percent))
        if step.action == StepAction.BREACH:
            step.done_time = breach_time.isoformat() if breach_time else None
        elif own_step and (step.action != StepAction.WARN or _is_done_anew(step, own_step)):
            step.done_time = own_step.done_time
    return [*steps, *(step for step in before if step.fixed)]


def _is_done_anew(warning: Step, own: Step) -> bool:
    """Whether a warning that was done counts as done where its time is another now: it was due by then, or skipped."""
    done = own.done_time
    return done is not None and (own.was_done_early() or warning.is_due(datetime.fromisoformat(done)))
