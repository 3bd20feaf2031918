"""The fingerprint of clocks that an event does not tell again: the teller makes it, and a view compares it.

A ticket's events tell of its last clocks only. The view at headquarters opens only the last event on a ticket of those
that come together, so it might miss one that said how a clock ended. The fingerprint shows it, whatever it missed.
"""

from collections.abc import Iterable
from hashlib import sha256

from hanse_protos.ticket.v1.ticket_pb2 import ClockSummary, FurtherClocks

_FINGERPRINT_BYTES = 8
_MODULUS = 2 ** (8 * _FINGERPRINT_BYTES)


def further_clocks(summaries: Iterable[ClockSummary]) -> FurtherClocks:
    """Return how many clocks these are, with their fingerprint, which does not depend on their order."""
    found = FurtherClocks()
    for summary in summaries:
        digest = sha256(summary.SerializeToString(deterministic=True)).digest()
        found.count += 1
        found.fingerprint = (found.fingerprint + int.from_bytes(digest[:_FINGERPRINT_BYTES])) % _MODULUS
    return found
