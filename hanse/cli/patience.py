"""Waiting for what should follow, and saying what did not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from hanse.errors import HanseError

LOOK_INTERVAL_SECONDS = 0.2


async def eventually(
    condition: Callable[[], Awaitable[bool]], what: str, patience_seconds: float, failure: type[HanseError]
) -> None:
    """Wait until a condition holds. Raises `failure` where it does not in time."""
    deadline = asyncio.get_running_loop().time() + patience_seconds
    while not await condition():
        if asyncio.get_running_loop().time() > deadline:
            raise failure(f"waited {patience_seconds:.0f} s in vain: {what}")
        await asyncio.sleep(LOOK_INTERVAL_SECONDS)
