"""What an end has to say and the other end has not read yet, in order."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

from hanse.errors import FramesUnread
from hanse_federation.link.frames import CREDIT_RECORDS
from hanse_protos.federation.v1.link_pb2 import HubFrame, UnitFrame

Frame = TypeVar("Frame", UnitFrame, HubFrame)
"""What an end sends."""

MAX_UNREAD_FRAMES = 2 * CREDIT_RECORDS
"""Frames that wait for the other end to read them, at most: as many batches and acknowledgements as both credits allow
where each is of one record. An end that reads at all leaves some dozen."""


class Outgoing(Generic[Frame]):
    """The frames that an end is about to send. gRPC takes them as fast as the other end reads."""

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque()
        self._changed = asyncio.Event()
        self._is_over = False

    def put(self, frame: Frame) -> None:
        """Send a frame after those that wait. Raises FramesUnread where the other end has left too many."""
        if len(self._frames) >= MAX_UNREAD_FRAMES:
            raise FramesUnread(frames=str(len(self._frames)))
        self._frames.append(frame)
        self._changed.set()

    def end(self) -> None:
        """Send no more. What was not read is dropped: the next link begins where the receiver says that it is."""
        self._frames.clear()
        self._is_over = True
        self._changed.set()

    async def __aiter__(self) -> AsyncIterator[Frame]:
        """Yield the frames, until the end."""
        while not self._is_over:
            if self._frames:
                yield self._frames.popleft()
            else:
                self._changed.clear()
                await self._changed.wait()
