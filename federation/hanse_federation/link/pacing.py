"""How much a sender sends at once: what the line and the receiver get through in a moment.

Large batches are what makes a catch-up fast. But an end that hears nothing for ten seconds takes the line for dead, and
it hears of a batch only when the last byte of it is there: over a line of 30 kB/s a full batch takes longer than that,
and would be begun again and again without ever getting through.

So a link begins with small batches. Each acknowledgement tells how long a batch takes to get through and to be stored:
the time since it was sent, shared by the batches that were under way then, since they went through one after the other.
Where that is short, the next ones are four times as large, up to the most that a batch may hold; on a good line that
takes three acknowledgements, some hundredths of a second. Where it is long they are half as large. How far ahead a
sender goes is a number of batches, so it grows and shrinks with them.

With it a link works on a line of 10 kB/s. On one of less than 4 kB/s even the smallest batch takes too long.
"""

from hanse_federation.link.frames import BATCHES_AHEAD, MAX_BATCH_BYTES

FIRST_BATCH_BYTES = 32 * 1024
"""Bytes of events in a batch at first, and at least: what a line has to carry in the ten seconds of silence."""
SOON_SECONDS = 0.25
"""A batch that gets through in this time lets the next ones be larger."""
LATE_SECONDS = 2.0
"""One that takes longer than this makes them smaller: well before the ten seconds of silence that end a link."""
GROWTH = 4
"""How many times as large: what took less than a quarter of a second takes about one then."""


class Pace:
    """How large the batches of one link are now."""

    def __init__(self) -> None:
        self.batch_bytes = FIRST_BATCH_BYTES

    @property
    def ahead_bytes(self) -> int:
        """About how many bytes may be under way, whatever the credit: where records are large, fewer go."""
        return BATCHES_AHEAD * self.batch_bytes

    def acknowledged(self, after_seconds: float, batches: int) -> None:
        """Learn from an acknowledgement of the last of so many batches that were under way together."""
        seconds = after_seconds / batches
        if seconds <= SOON_SECONDS:
            self.batch_bytes = min(GROWTH * self.batch_bytes, MAX_BATCH_BYTES)
        elif seconds > LATE_SECONDS:
            self.batch_bytes = max(self.batch_bytes // 2, FIRST_BATCH_BYTES)
