"""The starter: follows the ticket logs, and starts, wakes and ends the processes that they concern.

In every unit it follows the unit's own log for `sla` and `complaint`; at headquarters also the copies of all units'
logs and what routing has decided, for `escalation`. It takes a batch, asks the services once which of the processes
are needed and from when on, tells each of them once, and saves its place: after the effect, so that a crash repeats
hints and loses none. Within a log a process hears of things in their order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import grpc
import structlog
from opentelemetry.trace import SpanKind
from sqlalchemy import MetaData, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session
from temporalio.service import RPCError

from hanse.database import DATABASE_ERRORS, Database
from hanse.log.follow import (
    StoredRecord,
    Wakeup,
    last_position,
    list_streams,
    read_after,
    read_cursor,
    save_cursor,
)
from hanse.log.tables import LogTables
from hanse.names import HEADQUARTERS, stream_name
from hanse.telemetry import span
from hanse_protos.log.v1.log_pb2 import Event
from hanse_workflows.backoff import Backoff
from hanse_workflows.calls import text_of
from hanse_workflows.handling.interventions import paused_among
from hanse_workflows.hints import Hint, decision_hint, escalation_hint, merged, own_hint
from hanse_workflows.open_work import PAGE_SIZE, Needed, OpenClocks, OpenComplaints, OpenEngagements, OpenWork
from hanse_workflows.processes import MAX_CONCURRENT_CALLS, Processes

FOLLOWER = "starter"
BATCH_RECORDS = PAGE_SIZE
"""How many records are taken at a time: enough to fold an imported ticket's history into one hint, and no more than a
service is asked about at a time."""

_TICKET_SERVICE, _ROUTING_SERVICE = "ticket", "federation"
_TICKET_LOG = LogTables(MetaData(schema=_TICKET_SERVICE))

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """A log to follow: which of its streams, what a record means, and the services that know what is open."""

    log: LogTables
    streams: Callable[[Session], list[str]]
    hint: Callable[[StoredRecord], Hint | None]
    works: Sequence[OpenWork]


def own_tickets(unit: str, channel: grpc.aio.Channel) -> Source:
    """Return the unit's own ticket log, as the source of what its `sla` and `complaint` processes need to know."""
    streams = [stream_name(unit, _TICKET_SERVICE)]
    works = (OpenClocks(channel), OpenComplaints(channel))
    return Source(_TICKET_LOG, lambda _session: streams, partial(own_hint, unit=unit), works)


def group_tickets(federation_log: LogTables, channel: grpc.aio.Channel) -> Source:
    """Return headquarters' copies of the units' ticket logs, as the source of what `escalation` needs to know."""
    streams = partial(_copied_ticket_streams, log=federation_log)
    return Source(federation_log, streams, escalation_hint, [OpenEngagements(channel)])


def routing_decisions(federation_log: LogTables, channel: grpc.aio.Channel) -> Source:
    """Return what headquarters' routing has decided, as the source of what a person asked it for."""
    streams = [stream_name(HEADQUARTERS, _ROUTING_SERVICE)]
    return Source(federation_log, lambda _session: streams, decision_hint, [OpenEngagements(channel)])


def _copied_ticket_streams(session: Session, log: LogTables) -> list[str]:
    return [stream for stream in list_streams(session, log) if stream.endswith(stream_name("", _TICKET_SERVICE))]


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
        # Let every call end before the first failure counts: none may still run when the batch is repeated.
        traces = await self._database.read(_first_traces, source.log, stream, list(by_process.values()))
        paused = await self._database.read(paused_among, [hint.process.id for hint in hints])
        calls = [
            self._tell(replace(hint, traceparent=traces.get(hint.process.resource, hint.traceparent)), by_process)
            for hint in hints
            if hint.process.id not in paused
        ]
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


def _first_traces(session: Session, log: LogTables, stream: str, needed: Sequence[Needed]) -> dict[str, str]:
    """Return the trace of the first event on what each process waits for, where it is started anew each time.

    Such a process knows the trace of the last event only, and what it does would not be found from the opening.
    """
    columns = log.record.c
    resources = [one.process.resource for one in needed if one.process.wake_signal is None]
    query = select(columns.resource, columns.event).where(columns.stream == stream, columns.resource.in_(resources))
    first = query.ext(distinct_on(columns.resource)).order_by(columns.resource, columns.epoch, columns.sequence)
    traces = {row.resource: Event.FromString(row.event).trace_context for row in session.execute(first)}
    return {resource: trace for resource, trace in traces.items() if trace}


def _next_records(session: Session, log: LogTables, stream: str) -> list[StoredRecord]:
    return read_after(session, log, stream, read_cursor(session, log, FOLLOWER, stream), BATCH_RECORDS)
