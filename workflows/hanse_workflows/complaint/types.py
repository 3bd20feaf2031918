"""What goes into and comes out of the `complaint` process and its activity."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class ComplaintInput:
    """Which complaint to watch."""

    complaint: str
    """The complaint's name, "units/shanghai/tickets/3k9m2x-4t7qzd/complaints/3k9n4c-8f2wya"."""
    evaluations: int = 0
    """How often earlier runs of the same process have asked."""


@dataclass(frozen=True)
class ComplaintOutcome:
    """How the process ended: nothing is due any more."""

    complaint: str
    evaluations: int


@dataclass(frozen=True)
class EvaluateComplaintInput:
    """Which complaint to evaluate."""

    complaint: str


@dataclass(frozen=True)
class ComplaintEvaluation:
    """What the ticket service did, and when to ask it again."""

    next_due_time: datetime | None = None
    """When something is due next; none where nothing is until the complaint changes."""
    actions: list[str] = field(default_factory=list)
    """What was done, for people."""


@dataclass(frozen=True)
class ComplaintProcessState:
    """Where the process is, for people: the answer to the query `state`."""

    complaint: str
    evaluations: int
    last: ComplaintEvaluation | None
    """The last answer; none before the first."""
