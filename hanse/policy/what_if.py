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
    engaged: bool = False
    """Whether the ladder asks for an engagement."""
    provider: str = ""
    """Who is asked first; the final owner where nobody is eligible."""


Judge: TypeAlias = Callable[[Standards, TicketHistory, datetime], Verdict]
"""Lays a policy over a history; what is open yet is judged as it stands at the instant.

Raises `CategoryUnknown` and `UnitUnknown` for a ticket that the policy does not know, `ConditionFailed`, and
`HorizonExceeded`.
"""
