"""The reconciler: what the services say is needed is what runs, and what they say is due is done.

The starter alone keeps them equal as long as Temporal keeps what it was told. The reconciler heals the rest: a store
that was lost, or restored from an older backup, a process that failed because its service refused it for a time, and a
deadline that came closer without an event that says so.

**What is overdue is done by the service at once, without its process.** A process that begins costs a development
server some 50 ms of processor, so 200 whose deadlines passed while nobody worked took half a minute; their services do
the same in two or three seconds. It is the same request that the process would make, and it may be made by both: each
step is done once. So nothing that is due waits for Temporal, even where that is away.

Either is done in the trace in which the ticket, complaint or engagement was opened, as the starter's processes do.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import grpc
import structlog
from temporalio.service import RPCError

from hanse.database import DATABASE_ERRORS, Database
from hanse.telemetry import span
from hanse_workflows.backoff import Backoff
from hanse_workflows.calls import text_of
from hanse_workflows.handling.interventions import paused_among
from hanse_workflows.open_work import Needed, OpenWork
from hanse_workflows.processes import MAX_CONCURRENT_CALLS, Processes
from hanse_workflows.sources import Source, first_traces
from hanse_workflows.store import Store

INTERVAL_SECONDS = 45.0
"""How late something is done at most whose process is lost, while Temporal's store is the same as before."""
ROUNDS_OF_A_COMPARISON = 8
"""Every how many intervals all that is needed is compared with all that runs. With 10,000 open clocks that takes a
second or two of processor; what is overdue is asked for in between, which takes next to nothing."""
TOLERANCE = timedelta(seconds=2)
"""How much later than needed a process may begin: telling Temporal takes about as long on a machine with a busy disk,
and telling it again would not be faster. What is due for longer is overdue: its process should have asked by now."""

logger = structlog.get_logger(__name__)


class Reconciler:
    """Starts what should run and does not, or would begin too late; all but what a person has paused."""

    def __init__(
        self,
        database: Database,
        processes: Processes,
        store: Store,
        sources: Sequence[Source],
        *,
        interval_seconds: float = INTERVAL_SECONDS,
    ) -> None:
        self._database = database
        self._processes = processes
        self._store = store
        self._sources = sources
        self._interval_seconds = interval_seconds
        self._calls = asyncio.Semaphore(MAX_CONCURRENT_CALLS)

    async def catch_up(self, at_most_seconds: float) -> None:
        """Have the services do what became due while nobody worked; `run` sees to what is left after that time."""
        try:
            async with asyncio.timeout(at_most_seconds):
                await self._until_answered(lambda: self._do_due(timedelta(0)))
        except TimeoutError:
            logger.warning("not all that is overdue is done yet", seconds=at_most_seconds)

    async def run(self) -> None:
        """Compare, at first without trust in what has begun; then do what is overdue, and compare again, in turns."""
        await self._until_answered(self.wake_all)
        for interval in itertools.count(1):
            if not await self._store.is_same_for(self._interval_seconds):
                await self._until_answered(self.wake_all)
            elif interval % ROUNDS_OF_A_COMPARISON:
                await self._until_answered(self.do_overdue)
            else:
                await self._until_answered(self.start_missing)

    async def wake_all(self) -> None:
        """Start what lacks or begins too late, and wake what has begun: a restored store may hold older deadlines."""
        await self._do_due(TOLERANCE)
        await self._store.ensure_namespace()
        await self._compare(trusts_begun=False)

    async def do_overdue(self) -> None:
        """Have the services do what should have been asked for by now."""
        await self._do_due(TOLERANCE)

    async def start_missing(self) -> None:
        """Start what lacks or begins too late."""
        await self._do_due(TOLERANCE)
        await self._compare(trusts_begun=True)

    async def _do_due(self, tolerance: timedelta) -> None:
        """Have the services do what has been due for some time."""
        for source, work in self._works():
            due_by = datetime.now(UTC) - tolerance
            async for page in self._unpaused(work, due_by):
                if due := [needed for needed in page if needed.is_due(due_by)]:
                    await self._do_all(source, work, due)

    async def _do_all(self, source: Source, work: OpenWork, due: Sequence[Needed]) -> None:
        traces = await self._traces(source, due)
        results = await asyncio.gather(*(self._do(work, each, traces) for each in due))
        refusals = [one for one in results if one]
        logger.info("did what was overdue", workflow=work.workflow, processes=len(due) - len(refusals))
        if refusals:
            # The processes will ask again, and show what is the matter with each of them.
            logger.warning("not all was done", refused=len(refusals), error=text_of(refusals[0]))

    async def _do(self, work: OpenWork, needed: Needed, traces: Mapping[str, str]) -> grpc.RpcError | None:
        """Have the service do what is due on a process, and return what it refused that with."""
        async with self._calls:
            try:
                with span(f"do overdue {work.workflow}", traces.get(needed.process.resource, "")):
                    await work.do_due(needed.process)
            except grpc.RpcError as error:
                return error
        return None

    async def _compare(self, *, trusts_begun: bool) -> None:
        for source, work in self._works():
            running = await self._processes.running(work.workflow)
            async for page in self._unpaused(work):
                if late := [one for one in page if _lacks_or_is_late(one, running, trusts_begun=trusts_begun)]:
                    await self._start_all(source, late, running)

    async def _start_all(self, source: Source, late: Sequence[Needed], running: Mapping[str, datetime]) -> None:
        traces = await self._traces(source, late)
        async with asyncio.TaskGroup() as calls:
            for needed in late:
                calls.create_task(self._start(needed, running, traces))

    async def _start(self, needed: Needed, running: Mapping[str, datetime], traces: Mapping[str, str]) -> None:
        process = needed.process
        tell = self._processes.wake if process.id in running else self._processes.start
        async with self._calls:
            with span(f"start {process.workflow}", traces.get(process.resource, "")):
                await tell(process, needed.begin_time)

    def _works(self) -> Iterator[tuple[Source, OpenWork]]:
        return ((source, work) for source in self._sources for work in source.works)

    async def _unpaused(self, work: OpenWork, due_by: datetime | None = None) -> AsyncIterator[list[Needed]]:
        """Yield the processes that are needed, by then where a time is named, and that nobody has paused."""
        async for page in work.pages(due_by):
            paused = await self._database.read(paused_among, [needed.process.id for needed in page])
            yield [needed for needed in page if needed.process.id not in paused]

    async def _traces(self, source: Source, needed: Sequence[Needed]) -> dict[str, str]:
        """Return the traces of the openings, by what the processes wait for something about."""
        return await self._database.read(first_traces, source.log, [one.process.resource for one in needed])

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


def _lacks_or_is_late(needed: Needed, running: Mapping[str, datetime], *, trusts_begun: bool) -> bool:
    """Return whether a process does not run, or would begin too late, or may have begun with an older deadline."""
    begin_time, now = running.get(needed.process.id), datetime.now(UTC)
    if begin_time is None or (begin_time <= now and not trusts_begun):
        return True
    return begin_time > max(needed.begin_time or now, now) + TOLERANCE


def _first(error: BaseException) -> BaseException:
    """Return an error that a group of tasks ended with."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
