"""A ticket's clocks under another policy, computed from their rows, where the two differ in lengths only.

One version of a policy mostly differs from another in how long its promises are, in their warnings, or in a calendar.
Then a ticket's clocks start, stand and end when they did, and what they come to is arithmetic on its segments: the same
that a `replay` of its history does, without the history. Where anything else differs for a ticket, a condition or which
clocks are promised, what happened has to be played through again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from hanse.names import home_of
from hanse.policy.clock import used
from hanse.policy.conditions import mentions
from hanse.policy.facts import facts_of
from hanse.policy.promises import Agreed, Promise
from hanse.policy.standards import Standards
from hanse.session import plain
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.clocks.replaying import carried_over, key_of
from hanse_services.ticket.clocks.rows import schedule_steps, steps_of
from hanse_services.ticket.clocks.rules import AGREED
from hanse_services.ticket.clocks.segments import calendar_of, segments_of
from hanse_services.ticket.model import Clock, Ticket

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


@dataclass(frozen=True, slots=True)
class _Replacement:
    """What comes instead of a target."""

    target: str
    promises: dict[pb.Clock.Kind.ValueType, Promise]


class Recomputed(NamedTuple):
    """A ticket as another policy has it, of plain rows."""

    ticket: Ticket
    clocks: list[Clock]
    """Those of its clocks that are otherwise now."""


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

    def recomputed(self, ticket: Ticket, now: datetime) -> Recomputed | None:
        """Return a ticket, of plain rows, as the other policy has it; None where its history has to be replayed.

        Of its clocks' steps, those that were done and those that are due at an instant of their own suffice. Raises
        what the policy raises on a ticket that it does not know.
        """
        replacement = self._replacement_for(ticket)
        if replacement is None:
            return None
        changed = {
            key_of(row): self._clock(ticket, row, promise, now)
            for row in ticket.clocks
            if (promise := self._promise_for(row, replacement))
        }
        clocks = [changed.get(key_of(row), row) for row in ticket.clocks]
        values = {
            "target": replacement.target,
            "policy_version": self._after.version,
            "policy_override": self._after.override,
            "breached": any(row.breach_time and row.towards == pb.Clock.CUSTOMER for row in clocks),
            "version": ticket.version + 1,
            "update_time": now,
            "clocks": clocks,
        }
        return Recomputed(plain(Ticket, {**vars(ticket), **values}), list(changed.values()))

    def _replacement_for(self, ticket: Ticket) -> _Replacement | None:
        home = home_of(ticket.name)
        if not self._agrees or not self._is_free_of_course or not self._has_one_target(ticket):
            return None
        if any(calendar_of(self._after, row.unit, home) != row.calendar for row in ticket.segments):
            return None
        return self._replacements(
            _Description(home, *(getattr(ticket, name) for name in _Description._fields if name != "home"))
        )

    def _has_one_target(self, ticket: Ticket) -> bool:
        """Whether all promises are of one target: those that ended before a ticket was reclassified keep theirs."""
        return all(row.target == ticket.target for row in ticket.clocks if row.towards == pb.Clock.CUSTOMER)

    def _find_replacement(self, ticket: _Description) -> _Replacement | None:
        facts = facts_of(self._after, ticket, ticket.home)
        target = self._after.target_for(facts)
        if target is None or not self._alike(ticket.target, target.id):
            return None
        promises = {promise.kind: promise for promise in self._after.promises(target.id)}
        if self._after.is_conditional(target.id) and self._sees_otherwise(ticket):
            return None
        return _Replacement(target.id, promises)

    def _sees_otherwise(self, ticket: _Description) -> bool:
        """Whether conditions see a ticket or its home otherwise than they did, though they say the same."""
        before, after = self._before, self._after
        facts = facts_of(before, ticket, ticket.home), facts_of(after, ticket, ticket.home)
        return facts[0] != facts[1] or before.profile(ticket.home) != after.profile(ticket.home)

    def _are_alike(self, before: str, after: str) -> bool:
        """Whether two targets promise the same clocks under the same conditions, none of which lets one begin anew."""
        old, new = self._before.promises(before), self._after.promises(after)
        return _conditions(old) == _conditions(new) and not any(promise.rules.reset for promise in new)

    def _promise_for(self, row: Clock, replacement: _Replacement) -> Promise | None:
        if row.kind == pb.Clock.REVIEW:
            # When a review is due is what people said, whatever the policy.
            return Promise(pb.Clock.REVIEW, row.target, row.target_duration, row.elapsed, ())
        return self._after.agreement(row.target) if row.kind in AGREED else replacement.promises.get(row.kind)

    def _clock(self, ticket: Ticket, row: Clock, promise: Promise, now: datetime) -> Clock:
        counted = row if promise.elapsed == row.elapsed else plain(Clock, {**vars(row), "elapsed": promise.elapsed})
        segments, steps = list(segments_of(ticket, counted)), steps_of(self._after, promise)
        due_time = schedule_steps(self._after, segments, promise.duration, steps)
        ran_out = due_time if due_time and due_time <= (row.stop_time or now) else None
        if row.kind == pb.Clock.REVIEW:
            ran_out = None
        steps, breach_time = carried_over(row, steps, ran_out)
        values = {
            "target": promise.id,
            "target_duration": promise.duration,
            "elapsed": promise.elapsed,
            "policy_version": self._after.version,
            "due_time": None if row.stop_time else due_time,
            "breach_time": breach_time,
            "used_duration": used(segments, self._after.calendars, row.stop_time) if row.stop_time else None,
            "steps": [step.as_json() for step in steps],
        }
        return plain(Clock, {**vars(row), **values})


def _agreed(agreed: Agreed) -> tuple[object, ...]:
    """Return what decides which clock an agreement starts, and when: all but how long it is, and when it warns."""
    if agreed.promise.rules.reset:
        return (object(),)
    promise = agreed.promise
    return promise.id, promise.kind, agreed.supplier, agreed.when.text, promise.rules.texts


def _conditions(promises: Sequence[Promise]) -> dict[pb.Clock.Kind.ValueType, tuple[str, ...]]:
    return {promise.kind: promise.rules.texts for promise in promises}
