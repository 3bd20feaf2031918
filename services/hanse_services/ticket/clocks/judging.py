"""What a policy would have made of a ticket: its history, played through the clocks with all that is due on them.

What people did stays as it was: answers, waits, hand-overs, climbs. What the policy does by itself is done as its
clocks would have had it done, in order of time: breaches, the rungs of its ladder, telling those above the desk, asking
for an engagement of whoever routing would ask first. What the ladder really did, under the policy that governed the
ticket, is left out for that.

Not known, and so not played: who above the desk would have acknowledged (a level is told at its percent, not because
the one below kept silent), what people would have done when they were warned, and how much each unit had to do then:
everybody counts as free.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from hanse.names import home_of
from hanse.policy.facts import facts_of
from hanse.policy.histories import Happening, Moment, TicketHistory
from hanse.policy.levels import Level
from hanse.policy.routing import Candidate, Known, next_candidate
from hanse.policy.standards import TOP_TIER
from hanse.policy.what_if import Regime, Verdict
from hanse_protos.policy.v1.policy_pb2 import HierarchyStep, LadderStep, TicketFacts
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.clocks.replaying import Run, example_of
from hanse_services.ticket.clocks.rows import schedule_those_without
from hanse_services.ticket.clocks.rules import AGREED
from hanse_services.ticket.model import TOLD, Clock, Step, StepAction, Ticket

PEOPLE = "/agents/"
"""What the names of people at a desk have in them; the policy's own steps are done by the unit's workers."""
BY_THE_LADDER = frozenset({Happening.CLIMBED, Happening.ENGAGED})
"""What the ladder does, and people may do too."""
NOBODY = Candidate((), 0)


def judge(regime: Regime, history: TicketHistory, now: datetime) -> Verdict:
    """Lay a policy over a history; see `hanse.policy.what_if.Judge`."""
    first, *later = _by_people(history).moments()
    run = _Judged(regime, example_of(regime.clocks, history, first))
    run.begin(first, later)
    for moment in later:
        run.run_until(moment.at)
        run.follow(moment)
    run.run_until(now)
    return run.verdict()


def _by_people(history: TicketHistory) -> TicketHistory:
    """Return a history without what the ladder of the time had it do."""
    noted = [change for change in history.noted if change.what not in BY_THE_LADDER or PEOPLE in change.actor]
    return replace(history, noted=noted)


class _Judged(Run):
    """A history being played through, with the steps of the policy."""

    def __init__(self, regime: Regime, ticket: Ticket) -> None:
        super().__init__(regime.clocks, ticket)
        self._regime = regime
        self._home = home_of(ticket.name)
        self._climbs = 0
        self._asked = NOBODY
        self._is_engaged = False
        """Whether people have asked for an engagement that is not over: then the ladder asks for none."""
        self._levels: dict[str, None] = {}

    def run_until(self, at: datetime) -> None:
        """Let the clocks run, and do what is due on them by an instant, in order of time."""
        schedule_those_without(self._standards, self.ticket)
        while due := min(self._due(at), key=lambda due: due[0], default=None):
            self._do(*due)

    def follow(self, moment: Moment) -> None:
        """Let the clocks follow a moment. What the ladder has lifted, or begun, nobody takes back."""
        match moment.change.what:
            case Happening.ENGAGED:
                self._is_engaged = True
            case Happening.DISENGAGED:
                self._is_engaged = False
        state = self.ticket.state if moment.state == pb.NEW else moment.state
        super().follow(replace(moment, state=state, tier=max(moment.tier, self.ticket.tier)))

    def verdict(self) -> Verdict:
        """Return what has come of it."""
        ticket = self.ticket
        return Verdict(
            target=ticket.target,
            response_due=self._due_time(pb.Clock.RESPONSE),
            resolution_due=self._due_time(pb.Clock.RESOLUTION),
            response_breached=bool(self._late(pb.Clock.RESPONSE)),
            resolution_breached=bool(self._late(pb.Clock.RESOLUTION)),
            late_replies=self._late(pb.Clock.NEXT_REPLY),
            late_updates=self._late(pb.Clock.PERIODIC_UPDATE),
            late_agreements=self._late(*AGREED),
            tier=ticket.tier,
            climbs=self._climbs,
            levels=tuple(self._levels),
            asked=self._asked.units,
            desk=self._asked.desk,
            final=self._asked.final,
        )

    def _due_time(self, kind: pb.Clock.Kind.ValueType) -> datetime | None:
        return next((clock.breach_time or clock.due_time for clock in self.ticket.clocks if clock.kind == kind), None)

    def _late(self, *kinds: pb.Clock.Kind.ValueType) -> int:
        return sum(clock.kind in kinds and clock.breach_time is not None for clock in self.ticket.clocks)

    def _due(self, at: datetime) -> Iterator[tuple[datetime, Clock, int]]:
        """Yield the steps that are due by an instant: when, on which clock, and which of its steps."""
        for clock in self.ticket.clocks:
            for number, step in enumerate(clock.steps if clock.stop_time is None else ()):
                if step["done_time"] is None and step["due_time"]:
                    due_time = datetime.fromisoformat(step["due_time"])
                    if due_time <= at:
                        yield due_time, clock, number

    def _do(self, at: datetime, clock: Clock, number: int) -> None:
        steps = clock.open_steps()
        step = steps[number]
        step.done_time = at.isoformat()
        clock.keep_steps(steps)
        match StepAction(step.action):
            case StepAction.BREACH:
                clock.breach_time = clock.breach_time or at
            case StepAction.CLIMB | StepAction.REQUEST_ENGAGEMENT:
                self._take_rung(step, at)
            case action if action in TOLD:
                self._tell(TOLD[action], clock, step)

    def _take_rung(self, step: Step, at: datetime) -> None:
        """Climb, or ask for an engagement, as the desk does: only while it has the ticket, and the rung is for it."""
        facts, action = self._facts(), LadderStep.Action.Value(step.action)
        rungs = ((rung.action, rung.at_percent) for rung in self._standards.ladder_for(facts))
        if self.ticket.holder != self._home or (action, step.percent) not in rungs:
            return
        if action == LadderStep.CLIMB or not self._standards.lists_others(self._home):
            self._climb(at)
        elif self._asked == NOBODY and not self._is_engaged:
            self._asked = self._first_asked(at)
            self._begin_work(at)

    def _first_asked(self, at: datetime) -> Candidate:
        """Return whom headquarters would ask first, by all that the log tells of the ticket's way until then."""
        routing, ticket = self._regime.routing, self.ticket
        known = Known(former_holders=ticket.left_units, gone=self._regime.gone)
        return next_candidate(routing, facts_of(routing, ticket, self._home), known, at)

    def _climb(self, at: datetime) -> None:
        if self.ticket.tier < TOP_TIER:
            self.ticket.tier, self.ticket.assignee = self.ticket.tier + 1, ""
            self._climbs += 1
            self._begin_work(at)

    def _begin_work(self, at: datetime) -> None:
        """Let the clocks follow what the ladder did: a new ticket is one that is worked on from then on."""
        if self.ticket.state == pb.NEW:
            self.ticket.state = pb.IN_PROGRESS
        self._settle(at)

    def _tell(self, level: Level, clock: Clock, step: Step) -> None:
        kind = pb.Clock.Kind.Name(clock.kind)
        if self._standards.tells(self._facts(), level, kind, step.percent):
            self._levels[HierarchyStep.Level.Name(level)] = None

    def _facts(self) -> TicketFacts:
        return facts_of(self._standards, self.ticket, self._home)

    def _note(self, moment: Moment, started: object = (), stopped: object = ()) -> None:
        """Nobody reads the lines of what is only judged."""
