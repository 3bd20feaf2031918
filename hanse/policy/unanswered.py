"""What becomes of a condition that has no answer for a ticket, such as `int(ticket.product) > 3` for a product "SAP".

It does not hold, for that ticket and in that place; everything else goes on. So that nobody has to guess, who asks
may listen: a service's conditions are `Noted`, an explanation collects them, and a what-if refuses to judge the ticket.
"""

from collections.abc import Callable
from typing import TypeAlias

import structlog
from opentelemetry import metrics

from hanse.policy.errors import ConditionFailed

logger = structlog.get_logger(__name__)

Unanswered: TypeAlias = Callable[[ConditionFailed], None]
"""Hears of each condition that had no answer, when it is asked; it does not hold then. What it raises is raised."""

_unanswered = metrics.get_meter("hanse").create_counter(
    "hanse.policy.unanswered", unit="{answer}", description="How often a condition of the policy had no answer."
)


def disregard(_failed: ConditionFailed) -> None:
    """Let it be: the condition does not hold, and that is all."""


def refuse(failed: ConditionFailed) -> None:
    """Raise: an answer that rests on such a condition is none."""
    raise failed


class Heard:
    """Keeps the conditions that had no answer, and why: the first reason of each."""

    def __init__(self) -> None:
        self.problems: dict[str, str] = {}
        """What was wrong, by the condition's place in the document."""

    def __call__(self, failed: ConditionFailed) -> None:
        """Keep it."""
        self.problems.setdefault(failed.metadata["path"], failed.metadata["problem"])


class Noted:
    """Counts, and warns once of each condition: it has no answer for every ticket of a kind, again and again."""

    def __init__(self, service: str, version: int, override: int) -> None:
        """Note what happens in a service under a version of the policy, with a version of the unit's override."""
        self._service = service
        self._version = version
        self._override = override
        self._warned: set[str] = set()

    def __call__(self, failed: ConditionFailed) -> None:
        """Count it, and warn where it is the first time; not with the problem, which may quote what a ticket says."""
        path = failed.metadata["path"]
        _unanswered.add(
            1, {"hanse.service": self._service, "hanse.policy.version": self._version, "hanse.condition": path}
        )
        if path in self._warned:
            return
        self._warned.add(path)
        logger.warning(
            "a condition of the policy has no answer for a ticket, so it does not hold; correct it in the next version",
            service=self._service,
            policy_version=self._version,
            policy_override=self._override,
            condition=path,
        )
