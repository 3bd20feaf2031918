"""How long to leave alone what does not answer."""

import pytest

from hanse_workflows.backoff import FIRST_DELAY_SECONDS, JITTER, LONGEST_DELAY_SECONDS, Backoff


def test_the_first_delay_is_short() -> None:
    assert Backoff().after_failure() == pytest.approx(FIRST_DELAY_SECONDS, rel=JITTER)


def test_delays_double() -> None:
    backoff = Backoff()
    delays = [backoff.after_failure() for _ in range(3)]
    assert delays == [pytest.approx(FIRST_DELAY_SECONDS * factor, rel=JITTER) for factor in (1, 2, 4)]


def test_no_delay_is_longer_than_the_longest() -> None:
    backoff = Backoff()
    delays = [backoff.after_failure() for _ in range(50)]
    assert max(delays) <= LONGEST_DELAY_SECONDS * (1 + JITTER)


def test_an_answer_makes_the_next_delay_short_again() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.after_failure()
    backoff.reset()
    assert backoff.after_failure() == pytest.approx(FIRST_DELAY_SECONDS, rel=JITTER)
