"""What would have become of real tickets under another policy: who breaches, who climbs, who is asked.

A `History` is what a ticket's log says, free of any policy: when it was opened, when it waited, who held it, when it
was answered and solved. `judge` lays a policy over it. What people did stays as it was, since nobody knows what they
would have done instead; what the policy does by itself is played through: targets, deadlines on each holder's calendar,
the rungs that are reached before the solution, and the provider that routing would have asked first, everybody being
free.

Judging the same histories under the policy in force and under a draft, and comparing the two, says what the draft would
change. Nothing is touched by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from hanse.policy import clock
from hanse.policy.calendar import ELAPSED_ID
from hanse.policy.clock import Segment
from hanse.policy.errors import UnitUnknown
from hanse.policy.standards import ORDINARY, TOP_TIER, Standards
from hanse_protos.policy.v1.policy_pb2 import LadderStep, ServiceTarget, TicketFacts
from hanse_protos.ticket.v1.ticket_pb2 import Clock

FULL_PERCENT = 100
EVERYBODY_IS_FREE: dict[str, int] = {}


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a ticket's life: one holder, waiting or not. `end` is None for the last one of an open ticket."""

    holder: str
    running: bool
    start: datetime
    end: datetime | None


@dataclass(frozen=True, slots=True)
class History:
    """What happened to one ticket. Instants are aware."""

    ticket: str
    home: str
    priority: str
    category: str
    language: str
    product: str
    tier: int
    """The tier that it was opened in."""
    stretches: Sequence[Stretch]
    """From its opening to its solution, without a gap; after a reopening they go on."""
    response_time: datetime | None = None
    """The first answer to the customer."""
    resolve_time: datetime | None = None
    """The solution that held."""
    service: str = ""
    """The service that it had; under a policy without it, the one that covers the category."""
    customer_class: str = ORDINARY


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a policy makes of a history."""

    target: str = ""
    """The id of the service target, empty where none holds."""
    response_due: datetime | None = None
    resolution_due: datetime | None = None
    response_breached: bool = False
    resolution_breached: bool = False
    tier: int = 0
    """The tier that the ladder lifts it to."""
    engaged: bool = False
    """Whether the ladder asks for an engagement."""
    provider: str = ""
    """Who is asked first; the final owner where nobody is eligible."""


def judge(standards: Standards, history: History, now: datetime) -> Verdict:
    """Lay a policy over a history; what is open yet is judged as it stands at `now`.

    Raises `CategoryUnknown` and `UnitUnknown` for a ticket that the policy does not know, `ConditionFailed`, and
    `HorizonExceeded`.
    """
    facts = standards.facts(
        priority=history.priority,
        category=history.category,
        language=history.language,
        tier=history.tier,
        home=history.home,
        product=history.product,
        service=history.service,
        customer_class=history.customer_class,
    )
    target = standards.target_for(facts)
    if target is None:
        return Verdict(tier=history.tier)
    case = _Case(standards, history, target, history.resolve_time or now)
    response_due, resolution_due = (case.due(kind, FULL_PERCENT) for kind in (Clock.RESPONSE, Clock.RESOLUTION))
    verdict = Verdict(
        target=target.id,
        response_due=response_due,
        resolution_due=resolution_due,
        response_breached=_is_past(response_due, history.response_time or case.end),
        resolution_breached=_is_past(resolution_due, case.end),
        tier=history.tier,
    )
    return case.climbed(verdict, facts)


class _Case:
    """A history under one policy."""

    def __init__(self, standards: Standards, history: History, target: ServiceTarget, end: datetime) -> None:
        self.end = end
        self._standards = standards
        self._home = history.home
        self._promises = {promise.kind: promise for promise in standards.promises(target.id)}
        self._segments = [self._segment(stretch) for stretch in history.stretches]

    def _segment(self, stretch: Stretch) -> Segment:
        """Put a stretch on its holder's calendar; a unit that the policy does not know counts on the home unit's."""
        try:
            calendar = self._standards.calendar_of(stretch.holder)
        except UnitUnknown:
            calendar = self._standards.calendar_of(self._home)
        return Segment(stretch.holder, calendar, stretch.running, stretch.start, stretch.end)

    def due(self, kind: Clock.Kind.ValueType, percent: int) -> datetime | None:
        """Return when so much of a promise is used up, None where that is never reached."""
        promise, segments = self._promises[kind], self._segments
        if promise.elapsed:
            segments = [replace(segment, calendar=ELAPSED_ID) for segment in segments]
        return clock.due(segments, self._standards.calendars, promise.duration * percent / FULL_PERCENT)

    def climbed(self, verdict: Verdict, facts: TicketFacts) -> Verdict:
        """Play the ladder through, as the desk does: what is reached while another unit holds the ticket is skipped."""
        seen = TicketFacts()
        seen.CopyFrom(facts)
        for percent in sorted({rung.at_percent for rung in self._standards.document.ladder}):
            reached = self.due(Clock.RESOLUTION, percent)
            if reached is None or reached > self.end or not self._is_at_home(reached):
                continue
            for rung in self._standards.ladder_for(seen):
                if rung.at_percent == percent:
                    verdict = self._step(verdict, seen, rung, reached)
                    seen.tier = verdict.tier
        return verdict

    def _is_at_home(self, at: datetime) -> bool:
        return any(
            segment.unit == self._home and segment.start <= at and (segment.end is None or at <= segment.end)
            for segment in self._segments
        )

    def _step(self, verdict: Verdict, facts: TicketFacts, rung: LadderStep, at: datetime) -> Verdict:
        if rung.action == LadderStep.CLIMB or not self._standards.lists_others(self._home):
            return replace(verdict, tier=min(verdict.tier + 1, TOP_TIER))
        if verdict.engaged:
            return verdict
        candidates = self._standards.candidates(facts, EVERYBODY_IS_FREE, at)
        provider = candidates[0] if candidates else self._standards.document.routing.final_owner
        return replace(verdict, engaged=True, provider=provider)


def _is_past(due: datetime | None, at: datetime) -> bool:
    return due is not None and due < at
