"""What a policy promises: a target, or an agreement, as the clocks that it starts, with their times and conditions.

The conditions look at the ticket as it is (`CLOCK_SCOPE`). Compiling a promise compiles them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import timedelta

from hanse.policy.conditions import CLOCK_SCOPE, Condition
from hanse.policy.unanswered import Unanswered
from hanse_protos.policy.v1.policy_pb2 import Agreement, ClockRule, ServiceTarget
from hanse_protos.ticket.v1.ticket_pb2 import Clock

FIELDS: dict[Clock.Kind.ValueType, str] = {
    Clock.RESPONSE: "response",
    Clock.RESOLUTION: "resolution",
    Clock.NEXT_REPLY: "next_reply",
    Clock.PERIODIC_UPDATE: "periodic_update",
}
"""For each kind of clock towards the customer, the field of a target that says how long, and of `ClockRules` how."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The conditions of one clock; None where the policy has none, and it goes as usual."""

    start: Condition | None = None
    pause: Condition | None = None
    cancel: Condition | None = None
    reset: Condition | None = None

    @property
    def any(self) -> bool:
        """Whether there is a condition at all."""
        return any(getattr(self, field.name) for field in fields(self))

    @property
    def texts(self) -> tuple[str, ...]:
        """What the conditions say, in the order of the fields; empty where there is none."""
        conditions = (getattr(self, field.name) for field in fields(self))
        return tuple(condition.text if condition else "" for condition in conditions)


@dataclass(frozen=True, slots=True)
class Promise:
    """One clock that a policy has start, compiled."""

    kind: Clock.Kind.ValueType
    id: str
    """The id of the target, or of the agreement."""
    duration: timedelta
    elapsed: bool
    """Whether every hour counts; otherwise working time."""
    warn_percents: tuple[int, ...]
    rules: Rules = Rules()


@dataclass(frozen=True, slots=True)
class Agreed:
    """An agreement, compiled: its one clock, and when it applies."""

    promise: Promise
    when: Condition
    supplier: str
    """With whom, for an agreement with a supplier."""


AGREED_KINDS: dict[Agreement.Kind.ValueType, Clock.Kind.ValueType] = {
    Agreement.TIER: Clock.TIER_WORK,
    Agreement.ENGAGEMENT: Clock.ENGAGEMENT_WORK,
    Agreement.SUPPLIER: Clock.SUPPLIER_WORK,
}
"""The kind of clock that each kind of agreement starts."""


def agreed_in(agreement: Agreement, path: str, unanswered: Unanswered) -> Agreed:
    """Compile an agreement; `path` is its place in the document. Raises `PolicyInvalid`."""
    promise = Promise(
        kind=AGREED_KINDS[agreement.kind],
        id=agreement.id,
        duration=agreement.duration.ToTimedelta(),
        elapsed=agreement.clock.time == ClockRule.ELAPSED,
        warn_percents=tuple(agreement.warn_percents),
        rules=_compiled(agreement.clock, f"{path}.clock", unanswered),
    )
    return Agreed(promise, Condition(CLOCK_SCOPE, agreement.when, f"{path}.when", unanswered), agreement.supplier)


def promises_of(target: ServiceTarget, path: str, unanswered: Unanswered) -> Iterator[Promise]:
    """Yield the clocks that a target starts, in the order of their kinds; `path` is its place in the document.

    Raises `PolicyInvalid` for a condition that does not compile.
    """
    for kind, field in FIELDS.items():
        if target.HasField(field):  # type: ignore[arg-type]  # The stubs know literal names only.
            rule: ClockRule = getattr(target.clocks, field)
            yield Promise(
                kind=kind,
                id=target.id,
                duration=getattr(target, field).ToTimedelta(),
                elapsed=rule.time == ClockRule.ELAPSED,
                warn_percents=tuple(target.warn_percents),
                rules=_compiled(rule, f"{path}.clocks.{field}", unanswered),
            )


def _compiled(rule: ClockRule, path: str, unanswered: Unanswered) -> Rules:
    return Rules(**{name: Condition(CLOCK_SCOPE, text, at, unanswered) for name, text, at in conditions_of(rule, path)})


def conditions_of(rule: ClockRule, path: str) -> Iterator[tuple[str, str, str]]:
    """Yield the conditions that a rule has: the name, the text, the place in the document."""
    for field in fields(Rules):
        text = getattr(rule, field.name)
        if text.strip():
            yield field.name, text, f"{path}.{field.name}"
