"""What clients asked for, and what they were answered: the one side of every check."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path


class Outcome(StrEnum):
    """What a client knows of its request when it gives up or is done."""

    OK = "ok"
    """It was acknowledged: it must be there once."""
    FAILED = "failed"
    """It was refused, and no try of it went unanswered: it must not be there."""
    UNKNOWN = "unknown"
    """No answer came, or only to some of the tries: it may be there, at most once."""


class Request(StrEnum):
    """The kinds of commands, each named for the fact that it tells."""

    OPEN = "TicketOpened"
    COMMENT = "TicketCommented"
    ASSIGN = "TicketAssigned"
    ESCALATE = "TicketEscalated"
    PAUSE = "TicketPaused"
    RESUME = "TicketResumed"
    RESOLVE = "TicketResolved"
    CLOSE = "TicketClosed"
    REQUEST_ENGAGEMENT = "EngagementRequested"
    ACCEPT = "EngagementAccepted"
    DECLINE = "EngagementDeclined"
    NOTE_WORK = "EngagementWorkNoted"
    DELIVER = "EngagementDelivered"
    CONFIRM = "EngagementConfirmed"
    REJECT = "EngagementRejected"


@dataclass(frozen=True, slots=True)
class Operation:
    """One request of one client."""

    kind: str
    unit: str
    """Whose desk was asked."""
    request_id: str
    resource: str
    """What it was about, or, for what it made, what was made; empty where that was never heard."""
    outcome: Outcome
    start_seconds: float
    """When it was first sent, by the harness's monotonic clock."""
    end_seconds: float
    """When the client knew, or gave up."""
    tries: int = 1
    reason: str = ""
    """Why the last try had no good answer."""


@dataclass
class History:
    """Every request of a run, in the order in which they ended."""

    operations: list[Operation] = field(default_factory=list)

    def add(self, operation: Operation) -> None:
        """Add a request that has ended."""
        self.operations.append(operation)

    def count(self, outcome: Outcome) -> int:
        """Return how many requests ended so."""
        return sum(operation.outcome is outcome for operation in self.operations)

    def reasons(self) -> Counter[str]:
        """Return why requests had no good answer, and how many."""
        return Counter(operation.reason for operation in self.operations if operation.reason)

    def save(self, path: Path) -> None:
        """Write one line of JSON for each request."""
        save(path, self.operations)


def save(path: Path, operations: Iterable[Operation]) -> None:
    """Write one line of JSON for each request."""
    path.write_text("".join(json.dumps(asdict(operation)) + "\n" for operation in operations))
