"""A condition without an answer is told of, and nobody is flooded with it."""

from __future__ import annotations

from structlog.testing import capture_logs

from hanse.policy.errors import ConditionFailed
from hanse.policy.unanswered import Noted


def failed(path: str) -> ConditionFailed:
    return ConditionFailed(f"{path}: no number", path=path, problem="Key not found in map: Mrs Li")


def test_a_condition_is_warned_of_once_in_each_version_and_without_what_the_ticket_says() -> None:
    with capture_logs() as logs:
        for noted in (Noted("ticket", 3, 0), Noted("ticket", 4, 0)):
            for path in ("targets[0].when", "ladder[1].when", "targets[0].when"):
                noted(failed(path))
    assert [(entry["policy_version"], entry["condition"]) for entry in logs] == [
        (3, "targets[0].when"),
        (3, "ladder[1].when"),
        (4, "targets[0].when"),
        (4, "ladder[1].when"),
    ]
    assert "Mrs Li" not in str(logs)
