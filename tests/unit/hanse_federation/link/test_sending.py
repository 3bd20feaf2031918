"""The credit window: how far a sender may go ahead."""

import asyncio

import pytest

from hanse.errors import FrameForeign, LogFork
from hanse.log.append import EMPTY_HEAD, Head
from hanse_federation.link.frames import BATCHES_AHEAD, CREDIT_RECORDS
from hanse_federation.link.pacing import FIRST_BATCH_BYTES, LATE_SECONDS
from hanse_federation.link.sending import CreditWindow

STREAM = "units/munich/streams/ticket"
AHEAD_BYTES = BATCHES_AHEAD * FIRST_BATCH_BYTES
"""How far ahead a sender goes at first."""


@pytest.fixture
def window() -> CreditWindow:
    """A window of ten records, with one stream at its beginning."""
    window = CreditWindow(10)
    window.begin(STREAM, EMPTY_HEAD)
    return window


async def test_what_is_sent_uses_credit_up(window: CreditWindow) -> None:
    window.sent(STREAM, Head(1, 7, b"hash"))
    assert await window.room() == 3


async def test_an_acknowledgement_frees_credit(window: CreditWindow) -> None:
    window.sent(STREAM, Head(1, 4, b"hash"))
    window.sent(STREAM, Head(1, 10, b"hash"))
    window.acknowledge(STREAM, Head(1, 4, b"hash"))
    assert await window.room() == 4


async def test_a_sender_without_credit_waits_for_an_acknowledgement(window: CreditWindow) -> None:
    window.sent(STREAM, Head(1, 10, b"hash"))
    room = asyncio.ensure_future(window.room())
    await asyncio.sleep(0)
    assert not room.done()
    window.acknowledge(STREAM, Head(1, 10, b"hash"))
    assert await room == 10


async def test_credit_is_shared_by_all_streams(window: CreditWindow) -> None:
    window.begin("units/munich/streams/policy", Head(1, 100, b"hash"))
    window.sent(STREAM, Head(1, 4, b"hash"))
    window.sent("units/munich/streams/policy", Head(1, 103, b"hash"))
    assert window.under_way == 7


@pytest.mark.parametrize(
    "head", [Head(1, 9, b"hash"), Head(1, 4, b"other"), Head(2, 4, b"hash")], ids=["beyond", "hash", "epoch"]
)
def test_an_acknowledgement_of_what_was_never_sent_is_a_fork(window: CreditWindow, head: Head) -> None:
    window.sent(STREAM, Head(1, 4, b"hash"))
    with pytest.raises(LogFork) as raised:
        window.acknowledge(STREAM, head)
    assert (raised.value.metadata["stream"], window.under_way) == (STREAM, 4)


def test_an_acknowledgement_of_a_stream_that_is_not_sent_is_foreign(window: CreditWindow) -> None:
    with pytest.raises(FrameForeign):
        window.acknowledge("units/munich/streams/gateway", Head(1, 1, b"hash"))


def test_an_older_acknowledgement_changes_nothing(window: CreditWindow) -> None:
    window.sent(STREAM, Head(1, 2, b"hash"))
    window.sent(STREAM, Head(1, 6, b"hash"))
    window.acknowledge(STREAM, Head(1, 6, b"hash"))
    window.acknowledge(STREAM, Head(1, 2, b"hash"))
    assert window.under_way == 0


async def test_large_records_are_sent_less_far_ahead_than_the_credit_allows() -> None:
    window = CreditWindow(CREDIT_RECORDS)
    window.begin(STREAM, EMPTY_HEAD)
    window.measure(10, 10 * AHEAD_BYTES // 100)
    window.sent(STREAM, Head(1, 90, b"hash"))
    assert await window.room() == 10


async def test_a_record_of_any_size_is_sent_once_nothing_is_under_way() -> None:
    window = CreditWindow(CREDIT_RECORDS)
    window.begin(STREAM, EMPTY_HEAD)
    window.measure(1, 2 * AHEAD_BYTES)
    assert await window.room() == 1


def test_batches_grow_where_acknowledgements_come_soon_and_shrink_where_they_come_late() -> None:
    now = 0.0
    window = CreditWindow(CREDIT_RECORDS, clock=lambda: now)
    window.begin(STREAM, EMPTY_HEAD)
    sizes = []
    for sequence, seconds in enumerate([0.1, 0.1, LATE_SECONDS / 2, 2 * LATE_SECONDS, 0.1], 1):
        window.sent(STREAM, Head(1, sequence, b"hash"))
        now += seconds
        window.acknowledge(STREAM, Head(1, sequence, b"hash"))
        sizes.append(window.pace.batch_bytes // FIRST_BATCH_BYTES)
    assert sizes == [4, 16, 16, 8, 32]
