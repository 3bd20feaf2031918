"""Reading a stream in order: what the relay, the federation agent and the starter have in common."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import NamedTuple

import asyncpg
import structlog
from sqlalchemy import select, tuple_
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from hanse.discreet import discreet
from hanse.log.append import EMPTY_HEAD, Head
from hanse.log.tables import NOTIFY_CHANNEL, LogTables
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
    columns = log.head.c
    query = select(columns.epoch, columns.sequence, columns.hash).where(columns.stream == stream)
    row = session.execute(query).one_or_none()
    return Head(*row) if row else EMPTY_HEAD


def list_streams(session: Session, log: LogTables) -> list[str]:
    """Return the names of the streams that the schema holds."""
    return list(session.scalars(select(log.head.c.stream).order_by(log.head.c.stream)))


def read_cursor(session: Session, log: LogTables, follower: str, stream: str) -> Position:
    """Return how far a follower has come in a stream."""
    columns = log.cursor.c
    query = select(columns.epoch, columns.sequence).where(columns.follower == follower, columns.stream == stream)
    row = session.execute(query).one_or_none()
    return Position(*row) if row else START


def save_cursor(session: Session, log: LogTables, follower: str, stream: str, position: Position) -> None:
    """Store how far a follower has come: call it after the effect, never before."""
    values = {"follower": follower, "stream": stream, "epoch": position.epoch, "sequence": position.sequence}
    statement = upsert(log.cursor).values(values)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["follower", "stream"],
            set_={"epoch": statement.excluded.epoch, "sequence": statement.excluded.sequence},
        )
    )


class Wakeup:
    """Wakes followers when a transaction that appended to a log has committed.

    It listens on a connection of its own. While that is down, and where a notification got lost, followers poll.
    """

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._waiters: set[asyncio.Event] = set()

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            try:
                await self._listen()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
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
            with contextlib.suppress(OSError, asyncpg.InterfaceError):
                await connection.close(timeout=1)

    def _wake(self, *_notification: object) -> None:
        for waiter in self._waiters:
            waiter.set()

    @contextlib.contextmanager
    def subscription(self) -> Iterator[asyncio.Event]:
        """Yield an event that is set at every append to any log of the database."""
        waiter = asyncio.Event()
        self._waiters.add(waiter)
        try:
            yield waiter
        finally:
            self._waiters.discard(waiter)

    async def ticks(self) -> AsyncGenerator[None, None]:
        """Yield at once, then whenever something may have been appended: at a notification or after the interval."""
        with self.subscription() as waiter:
            while True:
                waiter.clear()
                yield
                # Not `wait_for`: in Python 3.11 it may swallow the cancellation of a task that is woken just then.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL_INTERVAL_SECONDS):
                        await waiter.wait()


def last_position(records: Sequence[StoredRecord]) -> Position:
    """Return the position of the last of the records, which must not be none."""
    return Position(records[-1].epoch, records[-1].sequence)
