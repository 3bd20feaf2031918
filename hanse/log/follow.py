"""Reading a stream in order: what the relay, the federation agent and the starter have in common."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Collection, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import asyncpg
import structlog
from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from hanse.database import DRIVER_ERRORS
from hanse.discreet import discreet
from hanse.log.append import EMPTY_HEAD, Head
from hanse.log.tables import NOTIFY_CHANNEL, LogTables
from hanse.session import Query, Statement
from hanse_protos.log.v1.log_pb2 import Event

POLL_INTERVAL_SECONDS = 5.0
"""How long a follower sleeps at most: a lost notification costs this much, and an idle one nearly nothing."""

RECONNECT_DELAY_SECONDS = 1.0

logger = structlog.get_logger(__name__)


class StoredRecord(NamedTuple):
    """A record as it is stored."""

    stream: str
    epoch: int
    sequence: int
    hash: bytes
    type: str
    resource: str
    event: bytes
    sealed: bytes | None

    def decoded(self) -> Event:
        """Return the record's event."""
        return Event.FromString(self.event)


class Position(NamedTuple):
    """How far a reader has come in a stream."""

    epoch: int
    sequence: int


START = Position(EMPTY_HEAD.epoch, EMPTY_HEAD.sequence)


def read_after(session: Session, log: LogTables, stream: str, after: Position, limit: int) -> list[StoredRecord]:
    """Return the records after a position, in order, `limit` at most."""
    columns = log.record.c
    query = (
        select(
            columns.stream, columns.epoch, columns.sequence, columns.hash,
            columns.type, columns.resource, columns.event, columns.sealed,
        )
        .where(columns.stream == stream, tuple_(columns.epoch, columns.sequence) > tuple_(after.epoch, after.sequence))
        .order_by(columns.epoch, columns.sequence)
        .limit(limit)
    )  # fmt: skip
    return [StoredRecord(*row) for row in session.execute(query)]


def read_head(session: Session, log: LogTables, stream: str) -> Head:
    """Return the head of a stream, without locking it."""
    rows = _head_of(log).rows(session, stream=stream)
    return Head(*rows[0]) if rows else EMPTY_HEAD


def list_streams(session: Session, log: LogTables) -> list[str]:
    """Return the names of the streams that the schema holds."""
    return list(session.scalars(select(log.head.c.stream).order_by(log.head.c.stream)))


def read_cursor(session: Session, log: LogTables, follower: str, stream: str) -> Position:
    """Return how far a follower has come in a stream."""
    rows = _cursor_of(log).rows(session, follower=follower, stream=stream)
    return Position(*rows[0]) if rows else START


def save_cursor(session: Session, log: LogTables, follower: str, stream: str, position: Position) -> None:
    """Store how far a follower has come: call it after the effect, never before."""
    _saved_cursor(log).rows(session, follower=follower, stream=stream, epoch=position.epoch, sequence=position.sequence)


# Every heartbeat of a link and every turn of a follower needs these. The name of the schema is ours, never a caller's.


@lru_cache
def _head_of(log: LogTables) -> Query:
    return Query(f'SELECT epoch, sequence, hash FROM "{log.schema}".log_head WHERE stream = :stream')  # noqa: S608


@lru_cache
def _cursor_of(log: LogTables) -> Query:
    return Query(f"""
        SELECT epoch, sequence FROM "{log.schema}".log_cursor WHERE follower = :follower AND stream = :stream
    """)  # noqa: S608


@lru_cache
def _saved_cursor(log: LogTables) -> Statement:
    return Statement(f"""
        INSERT INTO "{log.schema}".log_cursor (follower, stream, epoch, sequence)
        VALUES (:follower, :stream, :epoch, :sequence)
        ON CONFLICT (follower, stream) DO UPDATE SET epoch = excluded.epoch, sequence = excluded.sequence
    """)  # noqa: S608


class Waiter(asyncio.Event):
    """Is set at every append to one of some streams, or to any where none is named; it notes which ones have grown."""

    def __init__(self, streams: Collection[str] = ()) -> None:
        super().__init__()
        self._streams = frozenset(streams)
        self._grown = self._streams
        self._poll_seconds = 0.0

    def wake(self, stream: str | None) -> None:
        """Note that a stream has grown, or that any of them may have."""
        if stream is None or not self._streams:
            self._grown = self._streams
        elif stream in self._streams:
            self._grown |= {stream}
        else:
            return
        self.set()

    def take(self) -> frozenset[str]:
        """Return which of the streams may have grown since the last time, and begin anew.

        Any of them may have where the last poll is long ago: whoever is busy for minutes misses nothing either.
        """
        self.clear()
        now = time.monotonic()
        grown = self._streams if now >= self._poll_seconds else self._grown
        if grown == self._streams:
            self._poll_seconds = now + POLL_INTERVAL_SECONDS
        self._grown = frozenset()
        return grown

    async def sleep(self) -> None:
        """Wait until something may have been appended: at a notification, or after the interval."""
        # Not `wait_for`: in Python 3.11 it may swallow the cancellation of a task that is woken just then.
        try:
            async with asyncio.timeout(POLL_INTERVAL_SECONDS):
                await self.wait()
        except TimeoutError:
            self.wake(None)


class Wakeup:
    """Wakes followers when a transaction that appended to a log has committed.

    It listens on a connection of its own. While that is down, and where a notification got lost, followers poll.
    """

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._waiters: set[Waiter] = set()

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            try:
                await self._listen()
            except DRIVER_ERRORS as error:
                logger.warning("listening for log records failed, polling meanwhile", error=discreet(error))
            await asyncio.sleep(RECONNECT_DELAY_SECONDS)

    async def _listen(self) -> None:
        closed = asyncio.Event()
        connection = await asyncpg.connect(self._url)
        try:
            connection.add_termination_listener(lambda _connection: closed.set())
            await connection.add_listener(NOTIFY_CHANNEL, self._wake)
            self._wake()
            await closed.wait()
        finally:
            with contextlib.suppress(*DRIVER_ERRORS):
                await connection.close(timeout=1)

    def _wake(self, _connection: object = None, _pid: int = 0, _channel: str = "", stream: str | None = None) -> None:
        for waiter in self._waiters:
            waiter.wake(stream)

    @contextlib.contextmanager
    def subscription(self, streams: Collection[str] = ()) -> Iterator[Waiter]:
        """Yield what is set at every append to one of the streams; to any log of the database where none is named."""
        waiter = Waiter(streams)
        self._waiters.add(waiter)
        try:
            yield waiter
        finally:
            self._waiters.discard(waiter)

    async def ticks(self, streams: Collection[str] = ()) -> AsyncGenerator[frozenset[str], None]:
        """Yield at once, then whenever something may have been appended: at a notification or after the interval.

        A follower of some streams is told which of them may have grown, and sleeps while only others do.
        """
        with self.subscription(streams) as waiter:
            while True:
                yield waiter.take()
                await waiter.sleep()


def last_position(records: Sequence[StoredRecord]) -> Position:
    """Return the position of the last of the records, which must not be none."""
    return Position(records[-1].epoch, records[-1].sequence)
