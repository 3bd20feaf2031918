"""A ticket's clocks under another policy, computed from their rows, where the two differ in lengths only.

One version of a policy mostly differs from another in how long its promises are, in their warnings, or in a calendar.
Then a ticket's clocks start, stand and end when they did, and what they come to is arithmetic on its segments: the same
that a `replay` of its history does, without the history. Where anything else differs for a ticket, a condition or which
clocks are promised, what happened has to be played through again.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, lru_cache
from operator import attrgetter
from typing import NamedTuple

from hanse.names import home_of
from hanse.policy.clock import Segment, dues, used
from hanse.policy.conditions import mentions
from hanse.policy.facts import facts_of
from hanse.policy.promises import Agreed, Promise
from hanse.policy.standards import Standards
from hanse.session import plain
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.clocks.replaying import carried_over
from hanse_services.ticket.clocks.rows import steps_of
from hanse_services.ticket.clocks.rules import AGREED
from hanse_services.ticket.clocks.segments import calendar_of, segments_of
from hanse_services.ticket.model import FULL_PERCENT, Clock, Step, Ticket

REMEMBERED_KINDS_OF_TICKETS = 8_192
"""Combinations of facts, which are few; the product is free text, so there has to be an end."""
CHANGED_ON_THE_WAY = ("tier", "returns")
"""The facts that change while a ticket is worked on: its rows do not say what they were when its target was chosen."""


class _Description(NamedTuple):
    """What the policy asks of a ticket, from its row."""

    home: str
    priority: pb.Priority.ValueType
    category: str
    language: str
    tier: int
    product: str
    service: str
    customer_class: pb.CustomerClass.ValueType
    returns: int
    target: str


_described = attrgetter(*(name for name in _Description._fields if name != "home"))


class _Schedule:
    """What is due on the clocks of a promise, and after how much of it: worked out once for all of them."""

    def __init__(self, standards: Standards, promise: Promise) -> None:
        self.promise = promise
        self._calendars = standards.calendars
        self._steps = steps_of(standards, promise)
        percents = sorted({FULL_PERCENT, *(step.percent for step in self._steps)})
        self._amounts = [promise.duration * percent / FULL_PERCENT for percent in percents]
        self._end = percents.index(FULL_PERCENT)
        self._places = [percents.index(step.percent) for step in self._steps]
        undone = [replace(step, due_time=_TIME).as_json() for step in self._steps]
        self._undone = json.dumps(undone).replace(json.dumps(_TIME), _TIME)

    def dues(self, segments: Sequence[Segment]) -> tuple[datetime | None, list[str | None]]:
        """Return when a clock runs out, and when each of its steps is due."""
        instants = dues(segments, self._calendars, self._amounts)
        written = [at.isoformat() if at else None for at in instants]
        return instants[self._end], [written[place] for place in self._places]

    def steps(self, due_times: Sequence[str | None]) -> list[Step]:
        """Return the steps of a clock, none of them done yet."""
        return [replace(step, due_time=due_time) for step, due_time in zip(self._steps, due_times, strict=True)]

    def undone(self, due_times: Sequence[str | None]) -> str:
        """Return the same as JSON: the clocks of a promise differ in times alone, so the rest is written before."""
        return self._undone % tuple([f'"{due_time}"' if due_time else "null" for due_time in due_times])


_TIME = "%s"
"""Where a time goes in what is written before."""


@dataclass(frozen=True, slots=True)
class _Replacement:
    """What comes instead of a target."""

    target: str
    schedules: dict[pb.Clock.Kind.ValueType, _Schedule]


class Recomputed(NamedTuple):
    """A ticket as another policy has it, of plain rows."""

    ticket: Ticket
    clocks: list[Clock]
    """Those of its clocks that are otherwise now, but for their steps."""
    steps: list[str]
    """The steps of each of those, as JSON."""


class Recomputation:
    """What becomes of the clocks of tickets that go from one policy to another."""

    def __init__(self, before: Standards, after: Standards) -> None:
        """Compare two policies."""
        self._before = before
        self._after = after
        targets = after.document.targets
        self._is_free_of_course = not any(
            mentions(target.when, fact) for target in targets for fact in CHANGED_ON_THE_WAY
        )
        self._agrees = [_agreed(agreed) for agreed in before.all_agreed()] == [
            _agreed(agreed) for agreed in after.all_agreed()
        ]
        self._replacements = lru_cache(maxsize=REMEMBERED_KINDS_OF_TICKETS)(self._find_replacement)
        self._alike = lru_cache(maxsize=REMEMBERED_KINDS_OF_TICKETS)(self._are_alike)
        self._targets = cache(self._find_target)
        self._agreements = cache(self._find_agreement)

    def recomputed(self, ticket: Ticket, now: datetime) -> Recomputed | None:
        """Return a ticket, of plain rows, as the other policy has it; None where its history has to be replayed.

        Of its clocks' steps, those that were done and those that are due at an instant of their own suffice. Raises
        what the policy raises on a ticket that it does not know.
        """
        replacement = self._replacement_for(ticket)
        if replacement is None:
            return None
        clocks, changed, steps = [], [], []
        for row in ticket.clocks:
            clock = row
            if schedule := self._schedule_for(row, replacement):
                clock, written = self._clock(ticket, row, schedule, now)
                changed.append(clock)
                steps.append(written)
            clocks.append(clock)
        values = {
            "target": replacement.target,
            "policy_version": self._after.version,
            "policy_override": self._after.override,
            "breached": any(row.breach_time and row.towards == pb.Clock.CUSTOMER for row in clocks),
            "version": ticket.version + 1,
            "update_time": now,
            "clocks": clocks,
        }
        return Recomputed(plain(Ticket, {**vars(ticket), **values}), changed, steps)

    def _replacement_for(self, ticket: Ticket) -> _Replacement | None:
        home = home_of(ticket.name)
        if not self._agrees or not self._is_free_of_course or not self._has_one_target(ticket):
            return None
        if any(calendar_of(self._after, row.unit, home) != row.calendar for row in ticket.segments):
            return None
        return self._replacements(_Description(home, *_described(ticket)))

    def _has_one_target(self, ticket: Ticket) -> bool:
        """Whether all promises are of one target: those that ended before a ticket was reclassified keep theirs."""
        return all(row.target == ticket.target for row in ticket.clocks if row.towards == pb.Clock.CUSTOMER)

    def _find_replacement(self, ticket: _Description) -> _Replacement | None:
        facts = facts_of(self._after, ticket, ticket.home)
        target = self._after.target_for(facts)
        if target is None or not self._alike(ticket.target, target.id):
            return None
        if self._after.is_conditional(target.id) and self._sees_otherwise(ticket):
            return None
        return _Replacement(target.id, self._targets(target.id))

    def _sees_otherwise(self, ticket: _Description) -> bool:
        """Whether conditions see a ticket or its home otherwise than they did, though they say the same."""
        before, after = self._before, self._after
        facts = facts_of(before, ticket, ticket.home), facts_of(after, ticket, ticket.home)
        return facts[0] != facts[1] or before.profile(ticket.home) != after.profile(ticket.home)

    def _are_alike(self, before: str, after: str) -> bool:
        """Whether two targets promise the same clocks under the same conditions, none of which lets one begin anew."""
        old, new = self._before.promises(before), self._after.promises(after)
        return _conditions(old) == _conditions(new) and not any(promise.rules.reset for promise in new)

    def _schedule_for(self, row: Clock, replacement: _Replacement) -> _Schedule | None:
        if row.kind == pb.Clock.REVIEW:
            # When a review is due is what people said, whatever the policy.
            said = Promise(pb.Clock.REVIEW, row.target, row.target_duration, row.elapsed, ())
            return _Schedule(self._after, said)
        return self._agreements(row.target) if row.kind in AGREED else replacement.schedules.get(row.kind)

    def _find_target(self, name: str) -> dict[pb.Clock.Kind.ValueType, _Schedule]:
        return {promise.kind: _Schedule(self._after, promise) for promise in self._after.promises(name)}

    def _find_agreement(self, name: str) -> _Schedule | None:
        promise = self._after.agreement(name)
        return _Schedule(self._after, promise) if promise else None

    def _clock(self, ticket: Ticket, row: Clock, schedule: _Schedule, now: datetime) -> tuple[Clock, str]:
        promise = schedule.promise
        counted = row if promise.elapsed == row.elapsed else plain(Clock, {**vars(row), "elapsed": promise.elapsed})
        segments = list(segments_of(ticket, counted))
        due_time, due_times = schedule.dues(segments)
        breach_time = due_time if due_time and due_time <= (row.stop_time or now) else None
        if row.kind == pb.Clock.REVIEW:
            breach_time = None
        if breach_time is None and not any(step["done_time"] or step.get("fixed") for step in row.steps):
            as_json = schedule.undone(due_times)
        else:
            steps = carried_over(row, schedule.steps(due_times), breach_time)
            as_json = json.dumps([step.as_json() for step in steps])
        values = {
            "target": promise.id,
            "target_duration": promise.duration,
            "elapsed": promise.elapsed,
            "policy_version": self._after.version,
            "due_time": None if row.stop_time else due_time,
            "breach_time": breach_time,
            "used_duration": used(segments, self._after.calendars, row.stop_time) if row.stop_time else None,
        }
        return plain(Clock, {**vars(row), **values}), as_json


def _agreed(agreed: Agreed) -> tuple[object, ...]:
    """Return what decides which clock an agreement starts, and when: all but how long it is, and when it warns."""
    if agreed.promise.rules.reset:
        return (object(),)
    promise = agreed.promise
    return promise.id, promise.kind, agreed.supplier, agreed.when.text, promise.rules.texts


def _conditions(promises: Sequence[Promise]) -> dict[pb.Clock.Kind.ValueType, tuple[str, ...]]:
    return {promise.kind: promise.rules.texts for promise in promises}
