"""Waking followers: each sleeps while only the streams of others grow."""

import asyncio
import math
from contextlib import suppress
from types import SimpleNamespace
from typing import NoReturn

import asyncpg
import pytest

from hanse.log import follow
from hanse.log.follow import Waiter, Wakeup

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


def test_who_never_sleeps_looks_at_every_stream_now_and_then_all_the_same(
    waiter: Waiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "time", SimpleNamespace(monotonic=lambda: math.inf))
    assert waiter.take() == {TICKET}


def test_who_names_no_stream_is_woken_by_any() -> None:
    waiter = Waiter()
    waiter.wake(POLICY)
    assert waiter.is_set()


@pytest.mark.parametrize("error", [asyncpg.InternalClientError(), asyncpg.PostgresError(), ConnectionResetError()])
async def test_listening_is_tried_again_whatever_the_driver_raises(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: asyncio.Queue[str] = asyncio.Queue()

    async def connect(url: str) -> NoReturn:
        tries.put_nowait(url)
        raise error

    monkeypatch.setattr(asyncpg, "connect", connect)
    monkeypatch.setattr(follow, "RECONNECT_DELAY_SECONDS", 0.0)
    listening = asyncio.create_task(Wakeup("postgresql://nobody").run())
    async with asyncio.timeout(10):
        for _ in range(2):
            await tries.get()
    listening.cancel()
    with suppress(asyncio.CancelledError):
        await listening
