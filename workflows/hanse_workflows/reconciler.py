"""The reconciler: what the services say is needed is what runs.

The starter alone keeps them equal as long as Temporal keeps what it was told. The reconciler heals the rest: a store
that was lost, or restored from an older backup, a process that failed because its service refused it for a time, and a
deadline that came closer without an event that says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import grpc
import structlog
from temporalio.service import RPCError

from hanse.database import DATABASE_ERRORS, Database
from hanse_workflows.backoff import Backoff
from hanse_workflows.calls import text_of
from hanse_workflows.handling.interventions import paused_among
from hanse_workflows.open_work import Needed, OpenWork
from hanse_workflows.processes import MAX_CONCURRENT_CALLS, Processes

INTERVAL_SECONDS = 45.0
"""How long a lost process stays unnoticed at most: with what starting them all takes, a lost store is rebuilt within a
minute. A comparison costs a few pages from each side."""
TOLERANCE = timedelta(seconds=2)
"""How much later than needed a process may begin: telling Temporal takes about as long on a machine with a busy disk,
and telling it again would not be faster."""

logger = structlog.get_logger(__name__)


class Reconciler:
    """Starts what should run and does not, or would begin too late; all but what a person has paused."""

    def __init__(
        self,
        database: Database,
        processes: Processes,
        works: Sequence[OpenWork],
        *,
        interval_seconds: float = INTERVAL_SECONDS,
    ) -> None:
        self._database = database
        self._processes = processes
        self._works = works
        self._interval_seconds = interval_seconds
        self._calls = asyncio.Semaphore(MAX_CONCURRENT_CALLS)

    async def run(self) -> None:
        """Compare, at first without trust in what has begun, and again at each interval, until cancelled."""
        await self._until_answered(self.wake_all)
        while True:
            await asyncio.sleep(self._interval_seconds)
            await self._until_answered(self.start_missing)

    async def wake_all(self) -> None:
        """Start what lacks or begins too late, and wake what has begun: a restored store may hold older deadlines."""
        await self._compare(trusts_begun=False)

    async def start_missing(self) -> None:
        """Start what lacks or begins too late."""
        await self._compare(trusts_begun=True)

    async def _compare(self, *, trusts_begun: bool) -> None:
        for work in self._works:
            running = await self._processes.running(work.workflow)
            async for page in work.pages():
                paused = await self._database.read(paused_among, [needed.process.id for needed in page])
                async with asyncio.TaskGroup() as calls:
                    for needed in page:
                        if needed.process.id not in paused:
                            calls.create_task(self._see_to(needed, running, trusts_begun=trusts_begun))

    async def _see_to(self, needed: Needed, running: Mapping[str, datetime], *, trusts_begun: bool) -> None:
        begin_time = running.get(needed.process.id)
        async with self._calls:
            if begin_time is None:
                await self._processes.start(needed.process, needed.begin_time)
            elif _begins_too_late(begin_time, needed) or not (trusts_begun or begin_time > datetime.now(UTC)):
                await self._processes.wake(needed.process, needed.begin_time)

    async def _until_answered(self, reconcile: Callable[[], Awaitable[None]]) -> None:
        """Repeat while the service or Temporal does not answer: at the start of a unit, both may come later than we."""
        backoff = Backoff()
        while True:
            try:
                return await reconcile()
            except* (RPCError, grpc.RpcError, *DATABASE_ERRORS) as errors:
                delay_seconds = backoff.after_failure()
                logger.warning("the reconciler waits", error=text_of(_first(errors)), seconds=round(delay_seconds, 1))
            await asyncio.sleep(delay_seconds)


def _begins_too_late(begin_time: datetime, needed: Needed) -> bool:
    now = datetime.now(UTC)
    return begin_time > max(needed.begin_time or now, now) + TOLERANCE


def _first(error: BaseException) -> BaseException:
    """Return an error that a group of tasks ended with."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
