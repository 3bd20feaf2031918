"""The starter: follows the ticket logs, and starts, wakes and ends the processes that they concern.

It follows the logs of `hanse_workflows.sources`. It takes a batch, asks the services once which of the processes
are needed and from when on, tells each of them once, and saves its place: after the effect, so that a crash repeats
hints and loses none. Within a log a process hears of things in their order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import grpc
import structlog
from opentelemetry.trace import SpanKind
from sqlalchemy.orm import Session
from temporalio.service import RPCError

from hanse.database import DATABASE_ERRORS, Database
from hanse.log.follow import (
    StoredRecord,
    Wakeup,
    last_position,
    read_after,
    read_cursor,
    save_cursor,
)
from hanse.log.tables import LogTables
from hanse.telemetry import span
from hanse_workflows.backoff import Backoff
from hanse_workflows.calls import text_of
from hanse_workflows.handling.interventions import paused_among
from hanse_workflows.hints import Hint, merged
from hanse_workflows.open_work import PAGE_SIZE, Needed
from hanse_workflows.processes import MAX_CONCURRENT_CALLS, Processes
from hanse_workflows.sources import Source, first_traces

FOLLOWER = "starter"
BATCH_RECORDS = PAGE_SIZE
"""How many records are taken at a time: enough to fold an imported ticket's history into one hint, and no more than a
service is asked about at a time."""

logger = structlog.get_logger(__name__)


class Starter:
    """Follows the sources until it is cancelled."""

    def __init__(self, database: Database, wakeup: Wakeup, processes: Processes, sources: list[Source]) -> None:
        self._database = database
        self._wakeup = wakeup
        self._processes = processes
        self._sources = sources
        self._calls = asyncio.Semaphore(MAX_CONCURRENT_CALLS)

    async def run(self) -> None:
        """Follow. While the database, the service or Temporal is away it keeps its place and tries again."""
        backoff = Backoff()
        async for _ in self._wakeup.ticks():
            try:
                await self.catch_up()
                backoff.reset()
            except (RPCError, grpc.RpcError, *DATABASE_ERRORS) as error:
                delay_seconds = backoff.after_failure()
                logger.warning("the starter waits", error=text_of(error), seconds=round(delay_seconds, 1))
                await asyncio.sleep(delay_seconds)

    async def catch_up(self) -> None:
        """Tell the processes everything that is in the logs by now."""
        for source in self._sources:
            for stream in await self._database.read(source.streams):
                while await self._take_batch(source, stream) == BATCH_RECORDS:
                    pass

    async def _take_batch(self, source: Source, stream: str) -> int:
        """Tell the processes what the next records mean, save the place, and return how many records there were."""
        records = await self._database.read(_next_records, source.log, stream)
        if not records:
            return 0
        hints = merged(hint for hint in map(source.hint, records) if hint)
        awaited = [hint.process for hint in hints if hint.awaited]
        by_process = {one.process.id: one for work in source.works for one in await work.needed(awaited)}
        # A process that is started anew each time knows the trace of the last event only: it is given the first one's.
        anew = [one.process.resource for one in by_process.values() if one.process.wake_signal is None]
        traces = await self._database.read(first_traces, source.log, anew)
        paused = await self._database.read(paused_among, [hint.process.id for hint in hints])
        calls = [
            self._tell(replace(hint, traceparent=traces.get(hint.process.resource, hint.traceparent)), by_process)
            for hint in hints
            if hint.process.id not in paused
        ]
        # Let every call end before the first failure counts: none may still run when the batch is repeated.
        results = await asyncio.gather(*calls, return_exceptions=True)
        for failure in results:
            if isinstance(failure, BaseException):
                raise failure
        await self._database.write(save_cursor, source.log, FOLLOWER, stream, last_position(records))
        return len(records)

    async def _tell(self, hint: Hint, by_process: Mapping[str, Needed]) -> None:
        async with self._calls:
            with span(f"tell {hint.process.workflow}", hint.traceparent, SpanKind.CONSUMER):
                if needed := by_process.get(hint.process.id):
                    await self._processes.wake(hint.process, needed.begin_time)
                else:
                    await self._processes.release(hint.process)


def _next_records(session: Session, log: LogTables, stream: str) -> list[StoredRecord]:
    return read_after(session, log, stream, read_cursor(session, log, FOLLOWER, stream), BATCH_RECORDS)
