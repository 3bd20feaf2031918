"""Waking followers: each sleeps while only the streams of others grow."""

import pytest

from hanse.log.follow import Waiter

TICKET, POLICY = "units/munich/streams/ticket", "units/munich/streams/policy"


@pytest.fixture
def waiter() -> Waiter:
    """A waiter for one stream, that has looked at it once."""
    waiter = Waiter([TICKET])
    waiter.take()
    return waiter


def test_at_first_every_stream_may_have_grown() -> None:
    assert Waiter([TICKET, POLICY]).take() == {TICKET, POLICY}


def test_a_stream_that_is_waited_for_wakes(waiter: Waiter) -> None:
    waiter.wake(TICKET)
    assert waiter.is_set()
    assert waiter.take() == {TICKET}


def test_another_stream_does_not_wake(waiter: Waiter) -> None:
    waiter.wake(POLICY)
    assert not waiter.is_set()


def test_what_was_taken_is_not_taken_again(waiter: Waiter) -> None:
    waiter.wake(TICKET)
    waiter.take()
    assert not waiter.is_set()
    assert waiter.take() == set()


def test_after_listening_was_interrupted_every_stream_may_have_grown(waiter: Waiter) -> None:
    waiter.wake(None)
    assert waiter.take() == {TICKET}


def test_who_names_no_stream_is_woken_by_any() -> None:
    waiter = Waiter()
    waiter.wake(POLICY)
    assert waiter.is_set()
