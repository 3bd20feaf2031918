"""Taking what the links bring: batches of several units share a transaction at headquarters.

A transaction costs headquarters as much as opening some hundred records, whatever it stores. Twenty desks that tell one
fact each in the same moment would cost twenty of them. So all links hand their batches to one *intake*, which stores
what waits in one transaction while the next ones gather:

    link of shanghai ──┐             one transaction: copies, views, engagements,
    link of munich   ──┼──> intake ──> what is passed on, the heads of the streams  ──> each link acknowledges its own
    link of lisbon   ──┘

There is no task for it, and nobody waits for a group to fill. The first link that comes stores its own batches at once;
those that come meanwhile wait for their turn, and whoever has the next turn stores for all of them.

What each link sees is as if it had been alone:

| What happens | What follows |
|---|---|
| all is well | each link acknowledges after COMMIT |
| a batch is refused, by its hashes or by a view | the transaction is rolled back; each delivery is stored alone |
| a delivery that is stored alone is refused by its hashes | its own link is told why, and no other |
| a view, or what passes facts on, fails over a fact | that fact is set apart (`setting_apart`), and the rest stored |
| PostgreSQL refuses a record itself | FACT_UNREADABLE for that one stream; the link's other streams are stored |
| the database refuses for a reason that passes | alone, a delivery is tried a few times |
| the link that stores for others ends meanwhile | the transaction is rolled back; the next one stores what waits |
| a link ends while another one stores for it | it may be stored, and comes again, which its hashes tell |

The credit of each link bounds what it may have waiting here, and a bound of its own how much shares a transaction.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy.orm import Session

from hanse.clock import Clock, utc_now
from hanse.database import DATABASE_ERRORS, Database, as_hanse_error, is_about_server
from hanse.discreet import discreet
from hanse.errors import DatabaseUnavailable, LogFork, LogGap, LogQuarantined, PermissionDenied, ValidationFailed
from hanse.policy.store import PolicyStore
from hanse_federation.headquarters.absorbing import absorb, absorb_by_parts
from hanse_federation.link.frames import MAX_READ_RECORDS
from hanse_federation.link.problems import in_words
from hanse_federation.link.receiving import OpenedBatch, unreadable
from hanse_federation.model import SCHEMA

MAX_GROUP_RECORDS = MAX_READ_RECORDS
"""How many records of several links share a transaction, at most: what one link that catches up brings at a time."""
MAX_STORE_TRIES = 3
"""How often a delivery is tried alone: a deadlock with a routing decision passes."""

Absorbing = Callable[[Session, Sequence[OpenedBatch], PolicyStore, Clock], None]

logger = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class Delivery:
    """What one link brought at a time."""

    batches: Sequence[OpenedBatch]
    is_over: bool = False
    error: Exception | None = None
    """Why it was not stored, where it is over."""

    @property
    def records(self) -> int:
        """How many records it has."""
        return sum(len(batch.hashes) for batch in self.batches)


class Intake:
    """Stores what the links of headquarters bring, and what follows from it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._policies = PolicyStore(SCHEMA)
        self._waiting: deque[Delivery] = deque()
        self._turn = asyncio.Lock()

    async def store(self, batches: Sequence[OpenedBatch]) -> None:
        """Store batches of one link, and return after COMMIT.

        Raises what `absorb` raises, and what `as_hanse_error` makes of the database's refusals; nothing is stored then.
        """
        delivery = Delivery(batches)
        self._waiting.append(delivery)
        try:
            async with self._turn:
                while not delivery.is_over:
                    await self._store_group()
        finally:
            if delivery in self._waiting:
                self._waiting.remove(delivery)
        if delivery.error:
            raise delivery.error

    async def _store_group(self) -> None:
        """Store what waits, within the bound; what is not over when this is cancelled waits again."""
        group = self._next_group()
        try:
            await self._store(group)
        finally:
            self._waiting.extendleft(delivery for delivery in reversed(group) if not delivery.is_over)

    def _next_group(self) -> list[Delivery]:
        group = [self._waiting.popleft()]
        records = group[0].records
        while self._waiting and records + self._waiting[0].records <= MAX_GROUP_RECORDS:
            group.append(self._waiting.popleft())
            records += group[-1].records
        return group

    async def _store(self, group: Sequence[Delivery]) -> None:
        if len(group) > 1:
            try:
                await self._commit([batch for delivery in group for batch in delivery.batches])
            except Exception as error:
                _refuse_cancelled()
                logger.info("the batches of several links are stored one by one", problem=in_words(error))
            else:
                for delivery in group:
                    delivery.is_over = True
                return
        for delivery in group:
            try:
                await self._store_alone(delivery.batches)
            except Exception as error:
                _refuse_cancelled()
                delivery.error = error
            delivery.is_over = True

    async def _store_alone(self, batches: Sequence[OpenedBatch]) -> None:
        try:
            await self._try(batches, absorb)
        except (LogFork, LogGap, LogQuarantined, PermissionDenied, DatabaseUnavailable):
            raise
        except Exception as error:
            _refuse_cancelled()
            logger.warning("facts of a delivery could not be taken in", problem=discreet(error))
            await self._store_by_parts(batches)

    async def _store_by_parts(self, batches: Sequence[OpenedBatch]) -> None:
        """Store what a link brought stream by stream, and set the facts apart that can't be taken in."""
        for stream in dict.fromkeys(batch.stream for batch in batches):
            own = [batch for batch in batches if batch.stream == stream]
            try:
                await self._try(own, absorb_by_parts)
            except ValidationFailed as error:
                raise unreadable(stream, own[0].epoch, own[0].first_sequence, str(error)) from error

    async def _try(self, batches: Sequence[OpenedBatch], absorbing: Absorbing) -> None:
        """Store batches, a few times where the database refuses for a reason that passes."""
        for tries_left in reversed(range(MAX_STORE_TRIES)):
            try:
                await self._commit(batches, absorbing)
            except DATABASE_ERRORS as error:
                _refuse_cancelled()
                if not tries_left or not is_about_server(error):
                    raise as_hanse_error(error) from error
            else:
                return

    async def _commit(self, batches: Sequence[OpenedBatch], absorbing: Absorbing = absorb) -> None:
        await self._database.write(absorbing, batches, self._policies, utc_now)


def _refuse_cancelled() -> None:
    """Raise CancelledError where this task was told to end.

    What it awaited may have told of a broken connection instead, and then the task would go on.
    """
    task = asyncio.current_task()
    if task and task.cancelling():
        raise asyncio.CancelledError
