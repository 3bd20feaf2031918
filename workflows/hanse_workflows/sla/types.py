"""What goes into and comes out of the `sla` process and its activity."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class SlaInput:
    """Whose clocks to watch."""

    ticket: str
    """The ticket's name, "units/shanghai/tickets/3k9m2x-4t7qzd"."""
    evaluations: int = 0
    """How often earlier runs of the same process have asked."""


@dataclass(frozen=True)
class SlaOutcome:
    """How the process ended: the clocks have."""

    ticket: str
    evaluations: int


@dataclass(frozen=True)
class EvaluateInput:
    """Whose clocks to evaluate."""

    ticket: str


@dataclass(frozen=True)
class Evaluation:
    """What the ticket service did, and when to ask it again."""

    ended: bool = False
    """Whether the clocks have ended for good."""
    next_due_time: datetime | None = None
    """When something is due next; none while the clocks stand."""
    actions: list[str] = field(default_factory=list)
    """What was done, for people."""


@dataclass(frozen=True)
class SlaState:
    """Where the process is, for people: the answer to the query `state`."""

    ticket: str
    evaluations: int
    last: Evaluation | None
    """The last answer; none before the first."""
