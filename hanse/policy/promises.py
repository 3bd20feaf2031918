"""What a policy promises: a service target as the clocks that it starts, each with how it counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from hanse_protos.policy.v1.policy_pb2 import ClockRule, ServiceTarget
from hanse_protos.ticket.v1.ticket_pb2 import Clock

FIELDS: dict[Clock.Kind.ValueType, str] = {Clock.RESPONSE: "response", Clock.RESOLUTION: "resolution"}
"""For each kind of clock towards the customer, the field of a target that says how long, and of `ClockRules` how."""


@dataclass(frozen=True, slots=True)
class Promise:
    """One clock of a target, compiled."""

    kind: Clock.Kind.ValueType
    id: str
    """The target's id."""
    duration: timedelta
    elapsed: bool
    """Whether every hour counts; otherwise working time."""
    warn_percents: tuple[int, ...]


def promises_of(target: ServiceTarget) -> Iterator[Promise]:
    """Yield the clocks that a target starts, in the order of their kinds."""
    for kind, field in FIELDS.items():
        if target.HasField(field):  # type: ignore[arg-type]  # The stubs know literal names only.
            rule: ClockRule = getattr(target.clocks, field)
            yield Promise(
                kind=kind,
                id=target.id,
                duration=getattr(target, field).ToTimedelta(),
                elapsed=rule.time == ClockRule.ELAPSED,
                warn_percents=tuple(target.warn_percents),
            )
