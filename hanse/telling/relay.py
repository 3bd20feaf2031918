"""The relay: carries the unit's logs to its broker, from where the reactions take them.

It follows each log with a stored cursor, publishes every record in order, waits for the broker's confirm, and only
then moves the cursor. So a record is told at least once, whatever dies in between; the inbox of each reaction makes
that once. A type of event that this version does not know is told like any other.

When the broker is away, the relay tries again, ever less often, up to `MAX_BACKOFF_SECONDS`; meanwhile the log keeps
what is to be told. When the database is away, it does the same. It never gives up and never skips.
"""

import asyncio
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from typing import NoReturn

import structlog
from sqlalchemy.orm import Session

from hanse.database import DATABASE_ERRORS, Database
from hanse.discreet import discreet
from hanse.errors import BrokerUnavailable
from hanse.log.follow import StoredRecord, Wakeup, last_position, read_after, read_cursor, save_cursor
from hanse.log.tables import LogTables
from hanse.telling.names import Subscription, routing_key
from hanse.telling.publishing import Publisher, Telling
from hanse_protos.log.v1.log_pb2 import LogRecord, SealedFields

FOLLOWER = "relay"
BATCH_RECORDS = 200
"""How many records share a confirm at most: enough to hide its wait, few enough that a repeat is cheap."""
MIN_BACKOFF_SECONDS = 0.2
MAX_BACKOFF_SECONDS = 15.0
"""How long the relay waits between two tries at most: a broker that is back is noticed within this time."""

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FollowedLog:
    """A stream that the relay follows, and the source under which it is told on."""

    log: LogTables
    stream: str
    source: str


class Relay:
    """The relay of one unit. Run one at a time: a second one would tell everything twice."""

    def __init__(
        self,
        database: Database,
        wakeup: Wakeup,
        broker_url: str,
        followed: Sequence[FollowedLog],
        subscriptions: Sequence[Subscription],
    ) -> None:
        self._database = database
        self._wakeup = wakeup
        self._followed = followed
        sources = sorted({each.source for each in followed} | {each.source for each in subscriptions})
        self._publisher = Publisher(broker_url, sources, subscriptions)
        # kombu blocks, and a connection of it belongs to one thread at a time.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="relay")

    async def run(self) -> NoReturn:
        """Relay until cancelled."""
        try:
            failures = 0
            while True:
                try:
                    async with aclosing(self._wakeup.ticks()) as ticks:
                        async for _ in ticks:
                            await self._catch_up()
                            failures = 0
                except (BrokerUnavailable, *DATABASE_ERRORS) as error:
                    failures += 1
                    logger.warning("the relay failed and will try again", error=discreet(error), failures=failures)
                await asyncio.sleep(_backoff_seconds(failures))
        finally:
            # Behind a batch that is under way, which ends within the publisher's timeouts.
            self._thread.submit(self._publisher.close)
            self._thread.shutdown(wait=False)

    async def _catch_up(self) -> None:
        """Tell on what is new, a batch of each log in turn, so that one's long backlog does not hold up the others.

        All of them are looked at in every round: a policy that comes amid a backlog is told within the next batch.
        """
        has_more = True
        while has_more:
            told = [await self._tell_batch(followed) for followed in self._followed]
            has_more = BATCH_RECORDS in told

    async def _tell_batch(self, followed: FollowedLog) -> int:
        """Tell on the next records of a log, move its cursor, and return how many there were."""
        records = await self._database.read(_next_records, followed)
        if records:
            batch = [Telling(followed.source, routing_key(record.type), _body_of(record)) for record in records]
            await asyncio.get_running_loop().run_in_executor(self._thread, self._publisher.publish, batch)
            position = last_position(records)
            await self._database.write(save_cursor, followed.log, FOLLOWER, followed.stream, position)
        return len(records)


def _next_records(session: Session, followed: FollowedLog) -> list[StoredRecord]:
    after = read_cursor(session, followed.log, FOLLOWER, followed.stream)
    return read_after(session, followed.log, followed.stream, after, BATCH_RECORDS)


def _body_of(record: StoredRecord) -> bytes:
    sealed = SealedFields.FromString(record.sealed).fields if record.sealed else []
    return LogRecord(
        stream=record.stream,
        epoch=record.epoch,
        sequence=record.sequence,
        hash=record.hash,
        event=record.event,
        sealed=sealed,
    ).SerializeToString()


def _backoff_seconds(failures: int) -> float:
    """Return the wait after so many failures in a row: it doubles, with jitter, up to the maximum."""
    longest: float = min(MAX_BACKOFF_SECONDS, MIN_BACKOFF_SECONDS * 2 ** min(failures, 16))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter is no secret
