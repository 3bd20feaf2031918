"""Pruning: the answers to old requests are deleted, so that their table does not grow for ever.

A repeat of a request gets its first answer for as long as `request_retention_hours` says, and for at least a day
(AIP-155). After that the request id is as good as new, so a caller must not repeat a request that old.

It is done a small batch at a time, oldest first, by an index, past rows that somebody else has locked: it holds up no
command, and any number of processes may do it at once. Where the database does not answer, it is done the next time.
"""

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import NoReturn

import structlog
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from hanse.database import DATABASE_ERRORS, Database
from hanse.schema import ServiceSchema

BATCH_ROWS = 1_000
"""How many answers a transaction deletes at most: some milliseconds."""
BATCH_PAUSE_SECONDS = 0.2
"""Between two batches: deleting never takes more than a small part of the database."""
INTERVAL_SECONDS = 600.0
"""Between two rounds: what is kept too long is at most this, which is small beside a day."""

logger = structlog.get_logger(__name__)


class Pruner:
    """Deletes the old answers of a unit's services."""

    def __init__(self, database: Database, schemas: Sequence[ServiceSchema], retention: timedelta) -> None:
        self._database = database
        self._schemas = schemas
        self._retention = retention

    async def run(self) -> NoReturn:
        """Prune until cancelled."""
        while True:
            # With jitter, so that the processes of a unit don't all do it at once.
            await asyncio.sleep(random.uniform(0.5, 1.0) * INTERVAL_SECONDS)  # noqa: S311 - jitter is no secret
            try:
                await self.prune()
            except DATABASE_ERRORS as error:
                logger.warning("old answers could not be deleted", error=str(error))

    async def prune(self) -> int:
        """Delete all answers that are old enough; return how many there were."""
        total = 0
        for schema in self._schemas:
            while deleted := await self._database.write(delete_old_answers, schema, self._retention):
                total += deleted
                await asyncio.sleep(BATCH_PAUSE_SECONDS)
        if total:
            logger.info("old answers were deleted", rows=total)
        return total


def delete_old_answers(session: Session, schema: ServiceSchema, retention: timedelta) -> int:
    """Delete a batch of the oldest answers, if they are older than `retention`; return how many there were."""
    columns = schema.request.c
    old = (
        select(columns.request_id)
        .where(columns.create_time < func.now() - retention)
        .order_by(columns.create_time)
        .limit(BATCH_ROWS)
        .with_for_update(skip_locked=True)
    )
    deleted = session.execute(delete(schema.request).where(columns.request_id.in_(old)).returning(columns.request_id))
    return len(deleted.all())
