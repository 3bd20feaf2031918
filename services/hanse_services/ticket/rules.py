"""What the policy makes of a ticket's clocks as the ticket is now: which start, which stand, which end early.

A target's clocks go as usual where it says nothing else: response and resolution start with the ticket, a next reply
when the customer writes after the first answer, a periodic update with each answer; all stand while the ticket waits.
A condition replaces the usual (`start`, `pause`) or adds to it (`cancel`, `reset`). Conditions are asked in the command
that changes the ticket, and what they did is told with the place in the policy that says so.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from hanse.names import home_of
from hanse.policy.conditions import CLOCK_SCOPE, Condition, Situation
from hanse.policy.facts import facts_of
from hanse.policy.promises import Promise
from hanse.policy.standards import Standards
from hanse_protos.policy.v1.policy_pb2 import ClockSituation, TicketFacts
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.clocks import reset_clock, schedule, start_clock, stop_clock
from hanse_services.ticket.model import OPEN, Clock, Ticket
from hanse_services.ticket.segments import close_segment, follow_ticket

FROM_THE_OPENING = (pb.Clock.RESPONSE, pb.Clock.RESOLUTION)
"""The clocks that start with the ticket, or as soon as their condition holds."""
ENDED_BY_AN_ANSWER = (pb.Clock.RESPONSE, pb.Clock.NEXT_REPLY, pb.Clock.PERIODIC_UPDATE)
"""The clocks that a public answer of the desk ends."""


@dataclass(frozen=True, slots=True)
class Applied:
    """That a condition did something to a clock."""

    clock: Clock
    effect: told.ClockRuleApplied.Effect.ValueType
    rule: str


class Ruling:
    """A ticket's clocks under the policy that it runs under, as the ticket is now."""

    def __init__(self, standards: Standards, ticket: Ticket, at: datetime, facts: TicketFacts | None = None) -> None:
        """`facts` saves gathering them anew where they are known."""
        self._standards = standards
        self._ticket = ticket
        self._at = at
        self._known_facts = facts
        self._promises = {promise.kind: promise for promise in standards.promises(ticket.target)}

    def settle(self) -> list[Applied]:
        """Let the clocks follow the ticket, with their segments and deadlines; return what conditions did."""
        ticket = self._ticket
        if ticket.state not in OPEN:
            close_segment(ticket, self._at)
            return []
        applied = [*self._ended_and_reset(), *self._started()]
        standing = {pb.Clock.Kind.Name(row.kind) for row in _open(ticket) if self._stands(row)}
        if follow_ticket(self._standards, ticket, standing, self._at):
            schedule(self._standards, ticket)
        return applied

    def begin(self, kind: pb.Clock.Kind.ValueType) -> list[Applied]:
        """Start a clock whose occasion this is, unless one of its kind is open or a condition is against it."""
        promise = self._promises.get(kind)
        if promise is None or self._ticket.state not in OPEN or any(row.kind == kind for row in _open(self._ticket)):
            return []
        return self._start(promise)

    def _ended_and_reset(self) -> Iterator[Applied]:
        for row in _open(self._ticket):
            rules = self._promises[row.kind].rules if row.kind in self._promises else None
            if rules is None:
                continue
            if rules.cancel and self._holds(rules.cancel):
                stop_clock(self._standards, self._ticket, row, self._at, cancelled=True)
                yield Applied(row, told.ClockRuleApplied.CANCELLED, rules.cancel.path)
            elif rules.reset:
                held, row.reset_holds = row.reset_holds, self._holds(rules.reset)
                if row.reset_holds and not held:
                    reset_clock(self._standards, self._ticket, row, self._at)
                    yield Applied(row, told.ClockRuleApplied.RESET, rules.reset.path)

    def _started(self) -> Iterator[Applied]:
        """Start the clocks of the opening that have not been, as soon as their condition holds."""
        known = {row.kind for row in self._ticket.clocks}
        for kind in FROM_THE_OPENING:
            is_over = kind == pb.Clock.RESPONSE and self._ticket.respond_time is not None
            if kind in self._promises and kind not in known and not is_over:
                yield from self._start(self._promises[kind])

    def _start(self, promise: Promise) -> list[Applied]:
        rules = promise.rules
        if (rules.start and not self._holds(rules.start)) or (rules.cancel and self._holds(rules.cancel)):
            return []
        row = start_clock(self._standards, self._ticket, promise, self._at)
        row.reset_holds = bool(rules.reset and self._holds(rules.reset))
        return [Applied(row, told.ClockRuleApplied.STARTED, rules.start.path)] if rules.start else []

    def _stands(self, row: Clock) -> bool:
        pause = self._promises[row.kind].rules.pause if row.kind in self._promises else None
        return self._holds(pause) if pause else self._ticket.state == pb.WAITING

    def _holds(self, condition: Condition) -> bool:
        return condition.holds(self._situation)

    @cached_property
    def _situation(self) -> Situation:
        """The ticket as conditions see it, gathered only where one asks."""
        ticket, home = self._ticket, home_of(self._ticket.name)
        facts = self._known_facts or facts_of(self._standards, ticket, home)
        current = ClockSituation(
            state=pb.TicketState.Name(ticket.state),
            waiting_for=ticket.waiting_for or "",
            holder=ticket.holder,
            assigned=bool(ticket.assignee),
            responded=ticket.respond_time is not None,
        )
        return CLOCK_SCOPE.situation(ticket=facts, home=self._standards.profile(home), current=current)


def _open(ticket: Ticket) -> list[Clock]:
    return [row for row in ticket.clocks if row.stop_time is None]
