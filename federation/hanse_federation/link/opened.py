"""Batches that are opened and not stored yet: what a link holds in memory, bounded in number and in bytes.

Where a bound is reached the end reads no further frames until a transaction is over, so the line fills up and the
sender waits. A sender that heeds its credit and its pace notices neither.
"""

import asyncio
from collections.abc import Sequence

from hanse_federation.link.frames import CREDIT_BYTES, CREDIT_RECORDS, MAX_BATCH_RECORDS
from hanse_federation.link.receiving import OpenedBatch

MAX_STORED_BATCHES = 4
"""How many batches share a transaction, which costs as much as opening some hundred records."""
FOLLOWING_SECONDS = 0.01
"""How long a full batch waits for the one that follows it. A batch that is not full has no follower and never waits."""
MAX_OPENED_BATCHES = CREDIT_RECORDS // MAX_BATCH_RECORDS
"""How many batches are opened ahead of those that are being committed: full ones for the whole credit. A sender that
goes beyond its credit is found out, and not merely held up."""
MAX_OPENED_BYTES = 2 * CREDIT_BYTES
"""Bytes of events and texts that are opened and not stored: twice what a sender has under way. A batch that is larger
than all of it, as a frame may be, is taken when nothing else is under way."""


class OpenedBatches:
    """The opened batches of one link, in order."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[OpenedBatch] = asyncio.Queue(MAX_OPENED_BATCHES)
        self._size_bytes = 0
        self._stored = asyncio.Event()

    async def put(self, batch: OpenedBatch) -> None:
        """Add a batch; wait until there is room for it."""
        while self._size_bytes and self._size_bytes + batch.size_bytes > MAX_OPENED_BYTES:
            self._stored.clear()
            await self._stored.wait()
        self._size_bytes += batch.size_bytes
        await self._waiting.put(batch)

    async def next_few(self) -> list[OpenedBatch]:
        """Wait for a batch, and return it with those that follow on its heels: in a catch-up that is a few at once."""
        batches = [await self._waiting.get()]
        while len(batches) < MAX_STORED_BATCHES and (batches[-1].is_full or not self._waiting.empty()):
            try:
                async with asyncio.timeout(FOLLOWING_SECONDS):
                    batches.append(await self._waiting.get())
            except TimeoutError:
                break
        return batches

    def stored(self, batches: Sequence[OpenedBatch]) -> None:
        """Make room: these batches are committed."""
        self._size_bytes -= sum(batch.size_bytes for batch in batches)
        self._stored.set()
