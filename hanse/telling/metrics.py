"""What the reactions of a unit are doing, as OpenTelemetry metrics; `docs/reference/metrics.md` describes each.

They count from the start of their process, and nothing where no endpoint is configured. How many dead letters there are
is read from the database instead (`hanse_federation.link.metrics`), since people settle them.
"""

from enum import StrEnum

from opentelemetry import metrics

_meter = metrics.get_meter("hanse")
_messages = _meter.create_counter(
    "hanse.reactions.messages", unit="{message}", description="Messages that were dealt with, by their outcome."
)
_tries = _meter.create_counter(
    "hanse.reactions.failed_tries", unit="{try}", description="Tries of a message that ended with an error."
)
_foreign = _meter.create_counter(
    "hanse.reactions.foreign_facts", unit="{fact}", description="What was told that is another unit's to tell."
)
_duration = _meter.create_histogram(
    "hanse.reactions.duration", unit="s", description="From a message's receipt until its outcome was committed."
)


class Outcome(StrEnum):
    """What became of a message."""

    APPLIED = "applied"
    DEAD_LETTER = "dead_letter"


def dealt_with(reaction: str, outcome: Outcome, seconds: float) -> None:
    """Count a message of which the outcome is committed."""
    attributes = {"hanse.reaction": reaction, "hanse.outcome": outcome.value}
    _messages.add(1, attributes)
    _duration.record(seconds, attributes)


def left_out(writer: str) -> None:
    """Count what a unit told that is another's to tell."""
    _foreign.add(1, {"hanse.link.unit": writer})


def try_failed(reaction: str, error: Exception) -> None:
    """Count a try that failed. The words of an error may quote a customer's, so its type has to do."""
    _tries.add(1, {"hanse.reaction": reaction, "error.type": type(error).__name__})
