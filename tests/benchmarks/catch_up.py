"""Catching up: a unit's backlog of events, to headquarters over its link, against PostgreSQL's logical replication.

Two PostgreSQL servers: the unit's and headquarters'. In each round the same rows are written into the unit's log while
nobody can read it: the agent's process is stopped (SIGSTOP) and the subscription is disabled. Then one after the other
goes on, until the last record is at the far end and on its disk.

What makes it fair, to either side:

- Both write the same rows into a table with the same indexes; the link checks every hash and keeps the views besides.
- Both end when all is durable. The link's commits are synchronous. The subscription keeps PostgreSQL's default, under
  which its many small transactions need not wait for the disk one by one; at the end the far end's log is flushed.
- The link's clock runs from the moment that the agent goes on; the replication's only from its first record, since
  starting a worker for it takes PostgreSQL a tenth of a second, which is no matter of rate.
- Looking how far the far end is costs one probe of an index, whoever is measured.

Processor time is reported too: on two cores, shared by all that takes part, it is what limits either side.
"""

import asyncio
import os
import signal
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from hanse.log.append import EMPTY_HEAD
from hanse.migrations import migrate, service_migrations
from tests.benchmarks import history
from tests.benchmarks.callers import UNIT
from tests.benchmarks.links import STREAM, Link, append, connect, until
from tests.benchmarks.processors import Processors
from tests.benchmarks.report import Report

TARGET_RATIO = 1.0
EVENTS = 50_000
ROUNDS = 5
EVENTS_PER_TRANSACTION = 50
"""How the backlog was written: a busy desk's group commit."""
REPLICA = "replica"


async def measure(folder: Path, quick: bool) -> Report:
    """Measure both, in turns."""
    report = Report("catch_up")
    events, rounds = (5_000, 2) if quick else (EVENTS, ROUNDS)
    links, replications = [], []
    async with AsyncExitStack() as stack:
        pair = await Pair.start(stack, folder)
        for number in range(rounds + 1):
            await pair.write_backlog(events)
            link = await pair.time_link()
            replication = await pair.time_replication()
            # The first round warms up: connections, plans, files of the log.
            if number:
                links.append(link)
                replications.append(replication)
    report.add("federation link, with projections", [run.rate for run in links], "events/s")
    report.add("logical replication", [run.rate for run in replications], "events/s")
    for side, runs in (("link", links), ("replication", replications)):
        for name in runs[0].microseconds:
            report.add(f"{side}: processor of {name}", [run.microseconds[name] for run in runs], "µs/event")
    ratios = [link.rate / replication.rate for link, replication in zip(links, replications, strict=True)]
    report.add("link / replication", ratios, "")
    report.at_least("ratio, median of the rounds", median(ratios), TARGET_RATIO)
    report.notes.append(f"{events:,} events a round, agent and hub in two processes, TLS; all durable at the far end.")
    return report


class Run(NamedTuple):
    """How fast one side was."""

    rate: float
    """In events a second."""
    microseconds: Mapping[str, float]
    """Processor time by program, for each event."""


class Pair:
    """A unit and headquarters, each on a PostgreSQL server, joined by a link and by a subscription."""

    def __init__(self, link: Link, unit: Any, headquarters: Any, replica: Any) -> None:
        self._agent = link.agent
        self._processors = Processors.of_link(link)
        self._unit = unit
        self._headquarters = headquarters
        self._replica = replica
        self._head = EMPTY_HEAD
        self._before = EMPTY_HEAD

    @classmethod
    async def start(cls, stack: AsyncExitStack, folder: Path) -> "Pair":
        """Start the servers, the link and the subscription."""
        link = await Link.prepare(stack, folder)
        replica_url = await link.far.ensure_database(REPLICA)
        await asyncio.to_thread(migrate, replica_url, *service_migrations("hanse_services.ticket"))
        urls = (link.unit.database_url, link.headquarters.database_url, replica_url)
        connections = [await connect(stack, url) for url in urls]
        # What is written here is on disk long before it is caught up with.
        await connections[0].execute("SET synchronous_commit = off")
        await connections[0].execute("CREATE PUBLICATION log FOR TABLE ticket.log_record")
        await connections[2].execute(
            f"CREATE SUBSCRIPTION log CONNECTION '{link.unit.database_url}' PUBLICATION log "
            "WITH (copy_data = false, enabled = false)"
        )
        stack.push_async_callback(_drop_subscription, connections[2])
        await link.start_hub(stack)
        await link.start_agent(stack)
        return cls(link, *connections)

    async def write_backlog(self, count: int) -> None:
        """Write events into the unit's log while nobody reads it."""
        entries = await asyncio.to_thread(history.entries, UNIT, count)
        self._before = self._head
        rows, self._head = history.rows(STREAM, self._head, entries)
        self._signal(signal.SIGSTOP)
        for first in range(0, count, EVENTS_PER_TRANSACTION):
            await append(self._unit, rows[first : first + EVENTS_PER_TRANSACTION])

    async def time_link(self) -> Run:
        """Let the agent go on, until headquarters has stored every event with all that follows from it."""
        self._signal(signal.SIGCONT)
        self._processors.lap()
        start = time.perf_counter()
        await self._until_there(self._headquarters, "federation", self._head.sequence)
        return self._run(self._head.sequence - self._before.sequence, time.perf_counter() - start)

    async def time_replication(self) -> Run:
        """Let the subscription go on, until it has copied every event."""
        await self._replica.execute("ALTER SUBSCRIPTION log ENABLE")
        first = self._before.sequence + 1
        await self._until_there(self._replica, "ticket", first)
        self._processors.lap()
        start = time.perf_counter()
        await self._until_there(self._replica, "ticket", self._head.sequence)
        # Its transactions commit without waiting for the disk. This one does, and all before it are with it.
        await self._replica.execute("SELECT pg_logical_emit_message(true, 'all of it is on disk', '')")
        run = self._run(self._head.sequence - first, time.perf_counter() - start)
        await self._replica.execute("ALTER SUBSCRIPTION log DISABLE")
        await until(self._has_no_worker)
        return run

    def _run(self, events: int, seconds: float) -> Run:
        used = self._processors.lap()
        return Run(events / seconds, {name: used[name] / events * 1_000_000 for name in used})

    async def _has_no_worker(self) -> bool:
        return not await self._replica.fetchval("SELECT count(pid) FROM pg_stat_subscription")

    async def _until_there(self, far_end: Any, schema: str, sequence: int) -> None:
        """Wait until the far end has a record of the stream; a look probes an index, whatever is under way."""
        query = await far_end.prepare(
            f"SELECT EXISTS (SELECT FROM {schema}.log_record WHERE stream = $1 AND epoch = $2 AND sequence = $3)"  # noqa: S608
        )

        async def is_there() -> bool:
            return bool(await query.fetchval(STREAM, self._head.epoch, sequence))

        await until(is_there)

    def _signal(self, number: signal.Signals) -> None:
        if self._agent.pid:
            os.kill(self._agent.pid, number)


async def _drop_subscription(replica: Any) -> None:
    """Drop the subscription, and with it the slot on the unit's server, which would not stop without."""
    await replica.execute("ALTER SUBSCRIPTION log DISABLE")
    await replica.execute("DROP SUBSCRIPTION log")
