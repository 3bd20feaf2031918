"""The credit window: how far a sender may go ahead."""

import asyncio

import pytest

from hanse.log.append import EMPTY_HEAD, Head
from hanse_federation.sending import CreditWindow

STREAM = "units/munich/streams/ticket"


@pytest.fixture
def window() -> CreditWindow:
    """A window of ten records, with one stream at its beginning."""
    window = CreditWindow(10)
    window.begin(STREAM, EMPTY_HEAD)
    return window


async def test_what_is_sent_uses_credit_up(window: CreditWindow) -> None:
    window.sent(STREAM, 7)
    assert await window.room() == 3


async def test_an_acknowledgement_frees_credit(window: CreditWindow) -> None:
    window.sent(STREAM, 10)
    window.acknowledge(STREAM, Head(1, 4, b"hash"))
    assert await window.room() == 4


async def test_a_sender_without_credit_waits_for_an_acknowledgement(window: CreditWindow) -> None:
    window.sent(STREAM, 10)
    room = asyncio.ensure_future(window.room())
    await asyncio.sleep(0)
    assert not room.done()
    window.acknowledge(STREAM, Head(1, 10, b"hash"))
    assert await room == 10


async def test_credit_is_shared_by_all_streams(window: CreditWindow) -> None:
    window.begin("units/munich/streams/policy", Head(1, 100, b"hash"))
    window.sent(STREAM, 4)
    window.sent("units/munich/streams/policy", 103)
    assert window.under_way == 7


def test_an_acknowledgement_of_what_was_never_sent_is_not_believed(window: CreditWindow) -> None:
    window.sent(STREAM, 4)
    window.acknowledge(STREAM, Head(1, 9, b"hash"))
    assert window.under_way == 4


def test_an_older_acknowledgement_changes_nothing(window: CreditWindow) -> None:
    window.sent(STREAM, 6)
    window.acknowledge(STREAM, Head(1, 6, b"hash"))
    window.acknowledge(STREAM, Head(1, 2, b"hash"))
    assert window.under_way == 0
