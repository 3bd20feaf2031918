"""A live link, the same at both ends: hear, send, and give signs of life, until one of the three ends.

    CONNECTING --Hello, Welcome--> LIVE --error, silence, end of stream, newer link--> gone

Either end hears a heartbeat every few seconds; an end that hears nothing for a while declares the link dead instead of
waiting for TCP, which would take minutes to notice that a line was cut without a word.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic

import structlog
from sqlalchemy.orm import Session

from hanse.clock import utc_now
from hanse.database import DATABASE_ERRORS, Database
from hanse.discreet import discreet
from hanse.errors import CreditExceeded, FactUnreadable, LogFork, LogGap, UnitUnreachable
from hanse.log.append import Head
from hanse.log.follow import Wakeup
from hanse_federation.link.forks import check_not_behind
from hanse_federation.link.frames import CREDIT_RECORDS, heads_by_stream, stream_head
from hanse_federation.link.opened import OpenedBatches
from hanse_federation.link.outgoing import Frame, Outgoing
from hanse_federation.link.problems import STREAM_PROBLEMS, StreamProblem
from hanse_federation.link.receiving import OpenedBatch, Steps, in_turns
from hanse_federation.link.sending import Sender
from hanse_federation.link.status import save_connected, save_contact
from hanse_federation.model import End
from hanse_protos.federation.v1.link_pb2 import Acknowledgement, Heartbeat, RecordBatch

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Timing:
    """The times of a link, in seconds."""

    heartbeat_seconds: float = 2.0
    """Between two signs of life. Status rows are written as often, so this is also what an idle link costs."""
    silence_seconds: float = 10.0
    """Without any frame, before the link is dead: five heartbeats, and below the 15 s in which a loss must show."""
    welcome_seconds: float = 5.0
    """For the first frames, TLS included: a line that swallows bytes accepts connections and never answers."""
    first_delay_seconds: float = 0.5
    """Before the first new attempt."""
    last_delay_seconds: float = 6.0
    """Between attempts, at most: with it the first event comes within 10 s after the line has healed."""


@dataclass
class LinkEnd(Generic[Frame]):
    """One end of one live link."""

    end: End
    unit: str
    database: Database
    wakeup: Wakeup
    timing: Timing
    sender: Sender
    wrap: Callable[..., Frame]
    """Makes a frame of this end."""
    opening: Callable[[RecordBatch], Steps]
    """Opens a batch, in steps, while the ones before it are being committed."""
    store: Callable[[Sequence[OpenedBatch]], Awaitable[None]]
    """Stores batches in one transaction; they are acknowledged when this returns."""
    takes: Callable[[str], bool]
    """Says whether this end takes a stream: what the other end says about any other is not listened to."""
    on_problem: Callable[[str, StreamProblem], Awaitable[None]]
    """Is told of a stream that may be neither taken nor sent; the link ends with that, and begins without it."""
    own_heads: Callable[[Session], Mapping[str, Head]]
    """Returns where the streams end that this end sends."""
    still_welcome: Callable[[Session], None]
    """Raises at a heartbeat where the link may not go on as it began."""
    received: Mapping[str, Head]
    """Where this end's copies ended when the link began."""
    outgoing: Outgoing[Frame]
    """What is to be sent."""

    def __post_init__(self) -> None:
        self._contact_time = utc_now()
        self._known: Mapping[str, Head] = {}
        self._opened = OpenedBatches()
        self._not_acknowledged = 0

    async def run(self, incoming: AsyncIterator[Any]) -> None:
        """Be an end of the link until it ends; the reason is raised. What is known of it is kept in the database."""
        await self.database.write(save_connected, self.end, self.unit, utc_now())
        try:
            await _until_first(self._hear(incoming), self._take(), self._send(), self._beat())
        finally:
            await self._save_last_contact()

    async def _hear(self, incoming: AsyncIterator[Any]) -> None:
        while True:
            frame = await next_frame(incoming, self.timing.silence_seconds)
            self._contact_time = utc_now()
            match frame.WhichOneof("frame"):
                case "batch":
                    await self._hear_batch(frame.batch)
                case "acknowledgement":
                    await self._hear_acknowledgement(frame.acknowledgement)
                case "heartbeat":
                    heads = heads_by_stream(frame.heartbeat.heads)
                    self._known = {stream: head for stream, head in heads.items() if self.takes(stream)}
                    await self._check_known()

    async def _hear_acknowledgement(self, acknowledgement: Acknowledgement) -> None:
        for stream, head in heads_by_stream([acknowledgement.head]).items():
            try:
                self.sender.window.acknowledge(stream, head)
            except LogFork as fork:
                await self.on_problem(stream, fork)

    async def _hear_batch(self, batch: RecordBatch) -> None:
        self._not_acknowledged += len(batch.events)
        if self._not_acknowledged > CREDIT_RECORDS:
            raise CreditExceeded(credit=str(CREDIT_RECORDS), stream=batch.stream)
        try:
            opened = await in_turns(self.opening(batch))
        except (LogFork, FactUnreadable) as problem:
            await self.on_problem(batch.stream, problem)
        else:
            await self._opened.put(opened)

    async def _check_known(self) -> None:
        """Check that the other end still has what was received of it: it was read after this link had begun."""
        for stream in self._known.keys() & self.received.keys():
            try:
                check_not_behind(stream, self._known[stream], self.received[stream])
            except LogFork as fork:
                await self.on_problem(stream, fork)

    async def _take(self) -> None:
        """Store what was heard, in order, and acknowledge it after COMMIT. What waits already shares a transaction."""
        while True:
            batches = await self._opened.next_few()
            try:
                await self.store(batches)
            except STREAM_PROBLEMS as problem:
                await self.on_problem(problem.metadata["stream"], problem)
            else:
                self._opened.stored(batches)
                self._not_acknowledged -= sum(batch.end.sequence - batch.first_sequence + 1 for batch in batches)
                for stream, head in {batch.stream: batch.end for batch in batches}.items():
                    self.outgoing.put(self.wrap(acknowledgement=Acknowledgement(head=stream_head(stream, head))))

    async def _send(self) -> None:
        try:
            async for batch in self.sender.batches(self.wakeup):
                self.outgoing.put(self.wrap(batch=batch))
        except LogGap as gap:
            await self.on_problem(gap.metadata["stream"], gap)

    async def _beat(self) -> None:
        while True:
            heads = await self.database.write(self._look)
            told = [stream_head(stream, head) for stream, head in heads.items()]
            self.outgoing.put(self.wrap(heartbeat=Heartbeat(heads=told)))
            await asyncio.sleep(self.timing.heartbeat_seconds)

    def _look(self, session: Session) -> Mapping[str, Head]:
        """Check that the link may go on, note how it is doing, and return what a heartbeat says: in one transaction,
        since headquarters has heartbeats of all units."""
        self.still_welcome(session)
        heads = self.own_heads(session)
        self._note_contact(session)
        return heads

    def _note_contact(self, session: Session) -> None:
        window = self.sender.window
        save_contact(
            session,
            self.end,
            self.unit,
            contact_time=self._contact_time,
            credit=window.left,
            acknowledged=window.acknowledged,
            known=self._known,
        )

    async def _save_last_contact(self) -> None:
        """Keep what is known when the link ends. That it can't be must not take the place of why the link ends.

        Least of all where its task was cancelled: it would go on as if nobody had asked it to end.
        """
        try:
            await self.database.write(self._note_contact)
        except DATABASE_ERRORS as error:
            logger.warning("the last contact could not be kept", unit=self.unit, error=discreet(error))


async def next_frame(incoming: AsyncIterator[Any], timeout_seconds: float) -> Any:
    """Return the next frame. Raises UnitUnreachable where none comes in time, or none any more."""
    try:
        async with asyncio.timeout(timeout_seconds):
            return await anext(incoming)
    except TimeoutError:
        raise UnitUnreachable(f"nothing was heard for {timeout_seconds:g} s") from None
    except StopAsyncIteration:
        raise UnitUnreachable("the other end has closed the link") from None


async def _until_first(*parts: Coroutine[Any, Any, None]) -> None:
    """Run parts side by side until the first one ends or raises; then end the others."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
