"""How offers of an engagement are numbered, by headquarters and by a home unit that asks its peers itself.

A greater number is a later offer. Two who can't reach each other must never give the same one, so each counts on in a
series of its own, and begins the next series where the last offer that it knows was made by the other.
"""

SERIES_OFFERS = 10_000
"""How many offers a series holds. Headquarters makes no more: at most 10 rounds of 500 units and 100 desks, and one."""


def next_offer_number(last: int, *, own: bool) -> int:
    """Return the number of the offer after `last`, which is 0 before the first; `own` says who made that one."""
    return last + 1 if own else (last // SERIES_OFFERS + 1) * SERIES_OFFERS + 1
