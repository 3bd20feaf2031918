"""Opened batches wait for their transaction within bounds: of a few large ones fewer wait than of small ones."""

import asyncio

import pytest

from hanse_federation.link import opened
from hanse_federation.link.opened import MAX_OPENED_BATCHES, MAX_STORED_BATCHES, OpenedBatches
from hanse_federation.link.receiving import OpenedBatch

BOUND_BYTES = 100


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> OpenedBatches:
    """Nothing is under way, and little may be."""
    monkeypatch.setattr(opened, "MAX_OPENED_BYTES", BOUND_BYTES)
    return OpenedBatches()


def of(size_bytes: int) -> OpenedBatch:
    return OpenedBatch("units/munich/streams/ticket", 1, 1, b"", [b"hash"], [], [], size_bytes=size_bytes)


async def has_room(batches: OpenedBatches, size_bytes: int) -> bool:
    """Return whether a batch finds room at once, and take it back where it does not."""
    putting = asyncio.create_task(batches.put(of(size_bytes)))
    await asyncio.sleep(0)
    return putting.done() or not putting.cancel()


async def test_a_batch_that_goes_beyond_the_bytes_under_way_waits(batches: OpenedBatches) -> None:
    await batches.put(of(60))
    assert not await has_room(batches, 41)
    assert await has_room(batches, 40)


async def test_a_batch_that_is_being_stored_is_under_way_until_it_is_committed(batches: OpenedBatches) -> None:
    await batches.put(of(BOUND_BYTES))
    stored = await batches.next_few()
    assert not await has_room(batches, 1)
    batches.stored(stored)
    assert await has_room(batches, 1)


async def test_who_waits_for_room_goes_on_when_there_is_some(batches: OpenedBatches) -> None:
    await batches.put(of(BOUND_BYTES))
    putting = asyncio.create_task(batches.put(of(1)))
    await asyncio.sleep(0)
    batches.stored(await batches.next_few())
    await asyncio.wait_for(putting, timeout=10)


async def test_a_batch_larger_than_the_bound_is_taken_alone(batches: OpenedBatches) -> None:
    assert await has_room(batches, 10 * BOUND_BYTES)
    assert not await has_room(batches, 1)


async def test_no_more_batches_wait_than_the_credit_holds_however_small_they_are(batches: OpenedBatches) -> None:
    for _ in range(MAX_OPENED_BATCHES):
        assert await has_room(batches, 1)
    assert not await has_room(batches, 1)


async def test_a_few_batches_share_a_transaction(batches: OpenedBatches) -> None:
    for _ in range(MAX_STORED_BATCHES + 1):
        await batches.put(of(1))
    assert [len(await batches.next_few()) for _ in range(2)] == [MAX_STORED_BATCHES, 1]
