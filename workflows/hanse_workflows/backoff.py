"""How long to leave alone what does not answer."""

import secrets

FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 4.0
"""What was away is found again within this time, since a deadline may pass at most some seconds late."""
JITTER = 0.2
"""By how much a delay varies, so that all processes of a unit do not knock at the same moment."""


class Backoff:
    """Delays that double from failure to failure, with jitter, until something succeeds."""

    def __init__(self) -> None:
        self._next_seconds = FIRST_DELAY_SECONDS

    def after_failure(self) -> float:
        """Return for how many seconds to wait now, and wait longer the next time."""
        delay_seconds = self._next_seconds
        self._next_seconds = min(2 * delay_seconds, LONGEST_DELAY_SECONDS)
        return delay_seconds * (1 + JITTER * (secrets.randbelow(2001) / 1000 - 1))

    def reset(self) -> None:
        """Start from the shortest delay again: there was an answer."""
        self._next_seconds = FIRST_DELAY_SECONDS
