"""The stream of a partner's events: the ticket log, read through the desk, from a cursor on."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from hanse.errors import ResourceExhausted, Unavailable
from hanse.log.follow import Wakeup
from hanse.names import ticket_in
from hanse_gateway.partner.desk import Desk
from hanse_protos.gateway.v1 import gateway_pb2 as pb
from hanse_protos.ticket.v1.ticket_pb2 import TimelineEntry

KEY_CHECK_SECONDS = 2.5
"""How long an idle stream sleeps at most. Then its key is looked at again, and with it the log, should a wake-up have
been lost. Together with the memory of keys, a void key ends its streams within 5 s."""
PAUSE_SECONDS = 0.2
"""How long a stream rests after a look, so that a busy unit doesn't wake it for every append. It is the latency that an
event has at most while the desk is quick."""
MAX_STREAMS_PER_PARTNER = 16
"""A partner needs one. More are probably leaked ones, and each costs a look at every wake-up."""


class EventStreams:
    """The open streams of all partners of one gateway."""

    def __init__(self, desk: Desk, wakeup: Wakeup) -> None:
        self._desk = desk
        self._wakeup = wakeup
        self._open: Counter[str] = Counter()
        self._sleeping: set[asyncio.Event] = set()
        self._closed = False

    def close(self) -> None:
        """End all streams, within moments. Their partners go on elsewhere, or later, with their cursors."""
        self._closed = True
        for waiter in self._sleeping:
            waiter.set()

    async def follow(
        self, partner: str, cursor: str, check_key: Callable[[], Awaitable[object]]
    ) -> AsyncIterator[pb.PartnerEvent]:
        """Yield the events after a cursor, and go on as they happen, until cancelled.

        Raises what `check_key` raises; PageTokenInvalid, ResourceExhausted, Unavailable.
        """
        with self._counted(partner), self._waiter() as appended:
            while not self._closed:
                appended.clear()
                await check_key()
                page = await self._desk.list_events(partner, cursor)
                for entry in page.entries:
                    yield _to_proto(entry)
                if page.next_page_token != cursor:
                    cursor = page.next_page_token
                    continue
                await asyncio.sleep(PAUSE_SECONDS)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(KEY_CHECK_SECONDS - PAUSE_SECONDS):
                        await appended.wait()
        raise Unavailable("The gateway is going away.", hint="Connect again, with the cursor of the last event.")

    @contextlib.contextmanager
    def _waiter(self) -> Iterator[asyncio.Event]:
        """Yield an event that is set when something was appended to a log, and when the streams end."""
        with self._wakeup.subscription() as waiter:
            self._sleeping.add(waiter)
            try:
                yield waiter
            finally:
                self._sleeping.discard(waiter)

    @contextlib.contextmanager
    def _counted(self, partner: str) -> Iterator[None]:
        if self._open[partner] >= MAX_STREAMS_PER_PARTNER:
            raise ResourceExhausted(
                "Too many streams of this partner are open.",
                hint="Close the ones that are not needed; one stream tells everything.",
                limit=str(MAX_STREAMS_PER_PARTNER),
            )
        self._open[partner] += 1
        try:
            yield
        finally:
            self._open[partner] -= 1
            if not self._open[partner]:
                del self._open[partner]


def _to_proto(entry: TimelineEntry) -> pb.PartnerEvent:
    return pb.PartnerEvent(
        cursor=entry.page_token,
        ticket=ticket_in(entry.resource),
        complaint=entry.resource if entry.resource != ticket_in(entry.resource) else "",
        type=entry.type,
        occur_time=entry.occur_time,
        summary=entry.summary,
        text=entry.text,
    )
