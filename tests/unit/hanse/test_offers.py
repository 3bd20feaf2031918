"""Two who number offers without each other never give the same number."""

from __future__ import annotations

from hanse.offers import next_offer_number


def test_headquarters_counts_from_one() -> None:
    assert [next_offer_number(last, own=True) for last in (0, 1, 2)] == [1, 2, 3]


def test_who_goes_on_after_the_other_begins_a_series_of_its_own() -> None:
    at_home = next_offer_number(0, own=False)
    again_at_home = next_offer_number(at_home, own=True)
    at_headquarters = next_offer_number(again_at_home, own=False)
    assert (at_home, again_at_home, at_headquarters) == (10_001, 10_002, 20_001)
