"""What time it is. Everything that asks takes a clock, so that a test can say."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the present instant, aware, in UTC."""


def utc_now() -> datetime:
    """Return the present instant by the system's clock."""
    return datetime.now(UTC)
