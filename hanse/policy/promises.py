"""What a policy promises: a service target as the clocks that it starts, each with its time and its conditions.

The conditions look at the ticket as it is (`CLOCK_SCOPE`). Compiling a promise compiles them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import timedelta

from hanse.policy.conditions import CLOCK_SCOPE, Condition
from hanse_protos.policy.v1.policy_pb2 import ClockRule, ServiceTarget
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


@dataclass(frozen=True, slots=True)
class Promise:
    """One clock that a policy has start, compiled."""

    kind: Clock.Kind.ValueType
    id: str
    """The id of the target."""
    duration: timedelta
    elapsed: bool
    """Whether every hour counts; otherwise working time."""
    warn_percents: tuple[int, ...]
    rules: Rules = Rules()


def promises_of(target: ServiceTarget, path: str) -> Iterator[Promise]:
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
                rules=Rules(
                    **{
                        name: Condition(CLOCK_SCOPE, text, at)
                        for name, text, at in conditions_of(rule, f"{path}.clocks.{field}")
                    }
                ),
            )


def conditions_of(rule: ClockRule, path: str) -> Iterator[tuple[str, str, str]]:
    """Yield the conditions that a rule has: the name, the text, the place in the document."""
    for field in fields(Rules):
        text = getattr(rule, field.name)
        if text.strip():
            yield field.name, text, f"{path}.{field.name}"
