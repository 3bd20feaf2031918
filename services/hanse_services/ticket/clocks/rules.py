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
from typing import TypeAlias

from hanse.names import home_of
from hanse.policy.conditions import CLOCK_SCOPE, Condition, Situation
from hanse.policy.facts import facts_of
from hanse.policy.promises import Promise, Rules
from hanse.policy.standards import Standards
from hanse_protos.policy.v1.policy_pb2 import ClockSituation, TicketFacts
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.clocks.rows import go_on, overrun, put_under, reset_clock, schedule, start_clock, stop_clock
from hanse_services.ticket.clocks.segments import close_segment, follow_ticket
from hanse_services.ticket.model import OPEN, Clock, Ticket

FROM_THE_OPENING = (pb.Clock.RESPONSE, pb.Clock.RESOLUTION)
"""The clocks that start with the ticket, or as soon as their condition holds."""
ENDED_BY_AN_ANSWER = (pb.Clock.RESPONSE, pb.Clock.NEXT_REPLY, pb.Clock.PERIODIC_UPDATE)
"""The clocks that a public answer of the desk ends."""
AGREED = (pb.Clock.TIER_WORK, pb.Clock.ENGAGEMENT_WORK, pb.Clock.SUPPLIER_WORK)
"""The clocks of agreements: with the tier at work, with the provider, with the supplier that the ticket waits for."""


@dataclass(frozen=True, slots=True)
class Applied:
    """That a condition did something to a clock."""

    clock: Clock
    effect: told.ClockRuleApplied.Effect.ValueType
    rule: str


@dataclass(frozen=True, slots=True)
class Overrun:
    """That a clock that ends or begins anew now had run out before, and nobody had noticed."""

    clock: Clock
    at: datetime


Ruled: TypeAlias = Applied | Overrun
"""What has to be told of what was done to the clocks."""


class Ruling:
    """A ticket's clocks under the policy that it runs under, as the ticket is now."""

    def __init__(self, standards: Standards, ticket: Ticket, at: datetime, facts: TicketFacts | None = None) -> None:
        """`facts` saves gathering them anew where they are known."""
        self._standards = standards
        self._ticket = ticket
        self._home = home_of(ticket.name)
        self._at = at
        self._known_facts = facts
        self._promises = {promise.kind: promise for promise in standards.promises(ticket.target)}

    def settle(self) -> list[Ruled]:
        """Let the clocks follow the ticket, with their segments and deadlines; return what has to be told."""
        ticket = self._ticket
        if ticket.state not in OPEN:
            close_segment(ticket, self._at)
            return []
        ruled = [*self._ended_and_reset(), *self._started(), *self._agreed()]
        standing = {pb.Clock.Kind.Name(row.kind) for row in _open(ticket) if self._stands(row)}
        if follow_ticket(self._standards, ticket, standing, self._at):
            schedule(self._standards, ticket)
        return ruled

    def put_anew(self) -> None:
        """Put the open clocks under what is promised for the ticket as it is now; end those that nothing promises.

        Without a target nothing is, agreements included, as if the ticket had been opened as what it is now.
        """
        for row in _open(self._ticket):
            if row.kind == pb.Clock.REVIEW:
                continue
            is_agreed = row.kind in AGREED and self._ticket.target
            promise = self._first_agreed(row.kind, row.party) if is_agreed else self._promises.get(row.kind)
            if promise is None:
                stop_clock(self._standards, self._ticket, row, self._at, cancelled=True)
            elif promise.id != row.target:
                put_under(self._standards, self._ticket, row, promise)

    def begin(self, kind: pb.Clock.Kind.ValueType) -> list[Ruled]:
        """Start a clock whose occasion this is, unless one of its kind is open or a condition is against it."""
        promise = self._promises.get(kind)
        if promise is None or self._ticket.state not in OPEN or any(row.kind == kind for row in _open(self._ticket)):
            return []
        return self._start(promise)

    def _ended_and_reset(self) -> Iterator[Ruled]:
        for row in _open(self._ticket):
            promise = self._promise_of(row)
            rules = promise.rules if promise else Rules()
            if rules.cancel and self._holds(rules.cancel):
                yield from self._end(row, cancelled=True)
                yield Applied(row, told.ClockRuleApplied.CANCELLED, rules.cancel.path)
            elif rules.reset:
                held, row.reset_holds = row.reset_holds, self._holds(rules.reset)
                if row.reset_holds and not held:
                    yield from self._overrun(row)
                    reset_clock(self._standards, self._ticket, row, self._at)
                    yield Applied(row, told.ClockRuleApplied.RESET, rules.reset.path)

    def _promise_of(self, row: Clock) -> Promise | None:
        return self._standards.agreement(row.target) if row.kind in AGREED else self._promises.get(row.kind)

    def _overrun(self, row: Clock) -> Iterator[Overrun]:
        if late := overrun(row, self._at):
            yield Overrun(row, late)

    def _end(self, row: Clock, *, cancelled: bool = False) -> Iterator[Ruled]:
        yield from self._overrun(row)
        stop_clock(self._standards, self._ticket, row, self._at, cancelled=cancelled)

    def _started(self) -> Iterator[Ruled]:
        """Start the clocks of the opening that have not been, as soon as their condition holds."""
        known = {row.kind for row in self._ticket.clocks}
        for kind in FROM_THE_OPENING:
            is_over = kind == pb.Clock.RESPONSE and self._ticket.respond_time is not None
            if kind in self._promises and kind not in known and not is_over:
                yield from self._start(self._promises[kind])

    def _agreed(self) -> Iterator[Ruled]:
        """End the clocks of whose work is over, and start those of who works on the ticket now."""
        at_work = {kind: party for kind, party in self._at_work().items() if self._standards.agreed(kind)}
        for row in _open(self._ticket):
            if row.kind in AGREED and at_work.get(row.kind) != (row.party, row.engagement):
                yield from self._end(row)
        for kind, (party, engagement) in at_work.items():
            if not self._continued(kind, party, engagement) and (promise := self._first_agreed(kind, party)):
                yield from self._start(promise, party, engagement)

    def _at_work(self) -> dict[pb.Clock.Kind.ValueType, tuple[str, str]]:
        """Return who works on the ticket, by the kind of clock, and in which engagement."""
        ticket = self._ticket
        parties = {pb.Clock.TIER_WORK: (f"tier-{ticket.tier}", "")}
        if ticket.holder != self._home:
            # There is one engagement at a time, so the ticket is held in the last one.
            name = f"{ticket.name}/engagements/e{ticket.engagement_count}"
            parties[pb.Clock.ENGAGEMENT_WORK] = (ticket.holder, name)
        if ticket.state == pb.WAITING and ticket.supplier:
            parties[pb.Clock.SUPPLIER_WORK] = (ticket.supplier, "")
        return parties

    def _continued(self, kind: pb.Clock.Kind.ValueType, party: str, engagement: str) -> bool:
        """Go on with the last clock of a kind, where it is that of this very stay, and return whether it is."""
        last = max((row for row in self._ticket.clocks if row.kind == kind), key=lambda row: row.number, default=None)
        if last is None or (last.party, last.engagement) != (party, engagement):
            return False
        began = self._ticket.waiting_since
        if kind == pb.Clock.SUPPLIER_WORK and began is not None and last.start_time < began:
            return False
        if not last.cancelled:
            go_on(last, self._at)
        return True

    def _first_agreed(self, kind: pb.Clock.Kind.ValueType, party: str) -> Promise | None:
        for agreed in self._standards.agreed(kind):
            if agreed.supplier in ("", party) and self._holds(agreed.when):
                return agreed.promise
        return None

    def _start(self, promise: Promise, party: str = "", engagement: str = "") -> list[Ruled]:
        rules = promise.rules
        if (rules.start and not self._holds(rules.start)) or (rules.cancel and self._holds(rules.cancel)):
            return []
        row = start_clock(self._standards, self._ticket, promise, self._at, party=party, engagement=engagement)
        row.reset_holds = bool(rules.reset and self._holds(rules.reset))
        return [Applied(row, told.ClockRuleApplied.STARTED, rules.start.path)] if rules.start else []

    def _stands(self, row: Clock) -> bool:
        promise = self._promise_of(row)
        if self._ticket.suspend_time is not None or row.kind == pb.Clock.REVIEW:
            return row.kind != pb.Clock.REVIEW
        if row.kind == pb.Clock.TIER_WORK and self._ticket.holder != self._home:
            return True
        if promise and promise.rules.pause:
            return self._holds(promise.rules.pause)
        return self._ticket.state == pb.WAITING and row.kind != pb.Clock.SUPPLIER_WORK

    def _holds(self, condition: Condition) -> bool:
        return condition.holds(self._situation)

    @cached_property
    def _situation(self) -> Situation:
        """The ticket as conditions see it, gathered only where one asks."""
        ticket, home = self._ticket, self._home
        facts = self._known_facts or facts_of(self._standards, ticket, home)
        return CLOCK_SCOPE.situation(ticket=facts, home=self._standards.profile(home), current=current_of(ticket))


def retarget(standards: Standards, ticket: Ticket, at: datetime) -> None:
    """Choose the target of a ticket anew, and put its open clocks under it. Raises CategoryUnknown.

    What has run out by then is noted before: the deadlines are others afterwards.
    """
    facts = facts_of(standards, ticket, home_of(ticket.name))
    found = standards.target_for(facts)
    ticket.target = found.id if found else ""
    Ruling(standards, ticket, at, facts).put_anew()


def current_of(ticket: Ticket) -> ClockSituation:
    """Return what conditions on clocks see of a ticket beside its facts: how it stands now."""
    return ClockSituation(
        state=pb.TicketState.Name(ticket.state),
        waiting_for=ticket.waiting_for or "",
        holder=ticket.holder,
        assigned=bool(ticket.assignee),
        responded=ticket.respond_time is not None,
        supplier=ticket.supplier or "",
        suspended=ticket.suspend_time is not None,
    )


def _open(ticket: Ticket) -> list[Clock]:
    return [row for row in ticket.clocks if row.stop_time is None]
