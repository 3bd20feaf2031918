"""What would have become of a real ticket under another policy: who breaches, who climbs, who is told, who is asked.

What people did stays as it was, since nobody knows what they would have done instead; what the policy does by itself is
played through. Judging the same histories under the policy in force and under a draft, and comparing the two, says what
the draft would change. The judge is the desk's, whose clocks it plays; headquarters, which has everybody's histories,
is handed it as a function.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from hanse.policy.histories import TicketHistory
from hanse.policy.standards import Standards


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a policy makes of a history."""

    target: str = ""
    """The id of the service target, empty where none holds."""
    response_due: datetime | None = None
    """When the answer is, or was, due; None where it came in time."""
    resolution_due: datetime | None = None
    """When the solution is, or was, due; None where it came in time, and while its clock stands."""
    response_breached: bool = False
    resolution_breached: bool = False
    late_replies: int = 0
    late_updates: int = 0
    late_agreements: int = 0
    """How many stays, engagements and waits took longer than tiers, providers and suppliers had agreed to."""
    tier: int = 0
    """The tier that it gets to: by its people, and by the ladder."""
    climbs: int = 0
    """How often the ladder lifts it."""
    levels: tuple[str, ...] = ()
    """Whom above the desk the hierarchy tells, in that order, each once: "DESK_LEAD"."""
    asked: tuple[str, ...] = ()
    """Whom the ladder has asked first for an engagement: a unit, or the units of a shared desk; empty for nobody."""
    desk: str = ""
    """The shared desk that they are asked as."""
    final: bool = False
    """Whether it is the final owner, since nobody else is to be asked."""

    @property
    def provider(self) -> str:
        """The one unit that is asked first; empty for a shared desk's."""
        return "" if self.desk else "".join(self.asked[:1])


@dataclass(frozen=True, slots=True)
class Regime:
    """What a ticket is judged by."""

    clocks: Standards
    """A version of the policy with what the ticket's home has tuned: what its clocks and its ladder follow."""
    routing: Standards
    """The same, with what every other unit says of itself: what headquarters routes by."""
    gone: frozenset[str] = frozenset()
    """The units that have left the group."""


Judge: TypeAlias = Callable[[Regime, TicketHistory, datetime], Verdict]
"""Lays a policy over a history; what is open yet is judged as it stands at the instant.

Raises `CategoryUnknown` and `UnitUnknown` for a ticket that the policy does not know, `HorizonExceeded`, and
`ConditionFailed` where the policy refuses to go on without an answer (`hanse.policy.unanswered`).
"""
