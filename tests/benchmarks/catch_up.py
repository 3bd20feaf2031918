"""Catching up: a unit's backlog of events, to headquarters over its link, against PostgreSQL's logical replication.

Two PostgreSQL servers: the unit's and headquarters'. In each round the same rows are written into the unit's log while
nobody can read it: the agent's process is stopped (SIGSTOP) and the subscription is disabled. Then one after the other
goes on, until the last record is seen at the far end. The link's clock runs from the moment that the agent goes on; the
replication's only from its first record, since starting a worker for it takes PostgreSQL a tenth of a second, which is
no matter of rate.
"""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg

from hanse.config import Settings
from hanse.database import Database
from hanse.local.ports import LOOPBACK, free_port
from hanse.local.postgres import EmbeddedPostgres
from hanse.local.process import ManagedProcess
from hanse.log.append import EMPTY_HEAD
from hanse.log.tables import NOTIFY_CHANNEL
from hanse.migrations import migrate, service_migrations
from hanse.names import HEADQUARTERS, stream_name
from tests.benchmarks import history
from tests.benchmarks.report import Report
from tests.benchmarks.units import READY_SECONDS, STOP_SECONDS, enact_policy, prepare_unit, roles_process

TARGET_RATIO = 0.4
EVENTS = 50_000
ROUNDS = 5
EVENTS_PER_TRANSACTION = 50
"""How the backlog was written: a busy desk's group commit."""
UNIT = "units/shanghai"
STREAM = stream_name(UNIT, "ticket")
LOOK_SECONDS = 0.005
"""Between two looks at how far the far end is: one index look-up each."""
MAX_WAIT_SECONDS = 120.0
REPLICA = "replica"


async def measure(folder: Path, quick: bool) -> Report:
    """Measure both, in turns."""
    report = Report("catch_up")
    events, rounds = (5_000, 2) if quick else (EVENTS, ROUNDS)
    rates: dict[str, list[float]] = {"link": [], "replication": []}
    async with AsyncExitStack() as stack:
        pair = await Pair.start(stack, folder)
        for number in range(rounds + 1):
            await pair.write_backlog(events)
            link = await pair.time_link()
            replication = await pair.time_replication()
            # The first round warms up: connections, plans, files of the log.
            if number:
                rates["link"].append(link)
                rates["replication"].append(replication)
    link_rates = report.add("federation link, with projections", rates["link"], "events/s")
    replication_rates = report.add("logical replication", rates["replication"], "events/s")
    report.at_least("ratio of the medians", link_rates.median / replication_rates.median, TARGET_RATIO)
    report.notes.append(
        f"{events:,} events a round, agent and hub in two processes, TLS; headquarters commits durably, the "
        "subscription with PostgreSQL's default (synchronous_commit off)."
    )
    return report


class Pair:
    """A unit and headquarters, each on a PostgreSQL server, joined by a link and by a subscription."""

    def __init__(self, agent: ManagedProcess, unit: Any, headquarters: Any, replica: Any) -> None:
        self._agent = agent
        self._unit = unit
        self._headquarters = headquarters
        self._replica = replica
        self._head = EMPTY_HEAD
        self._before = EMPTY_HEAD

    @classmethod
    async def start(cls, stack: AsyncExitStack, folder: Path) -> "Pair":
        """Start the servers, the link and the subscription."""
        near = await stack.enter_async_context(EmbeddedPostgres(folder / "near", logical_replication=True))
        far = await stack.enter_async_context(EmbeddedPostgres(folder / "far", logical_replication=True))
        hub_address = f"{LOOPBACK}:{free_port()}"
        unit = await prepare_unit(UNIT, folder, near, hub_address=hub_address)
        headquarters = await prepare_unit(
            HEADQUARTERS, folder, far, hub_address=hub_address, hub_listen_address=hub_address
        )
        replica_url = await far.ensure_database(REPLICA)
        await asyncio.to_thread(migrate, replica_url, *service_migrations("hanse_services.ticket"))
        for settings in (unit, headquarters):
            await _enact(settings)
        connections = [
            await _connect(stack, url) for url in (unit.database_url, headquarters.database_url, replica_url)
        ]
        await connections[0].execute("CREATE PUBLICATION log FOR TABLE ticket.log_record")
        await connections[2].execute(
            f"CREATE SUBSCRIPTION log CONNECTION '{unit.database_url}' PUBLICATION log "
            "WITH (copy_data = false, enabled = false)"
        )
        stack.push_async_callback(_drop_subscription, connections[2])
        await _start(stack, headquarters, connections[1], HEADQUARTERS)
        agent = await _start(stack, unit, connections[1], UNIT)
        return cls(agent, *connections)

    async def write_backlog(self, count: int) -> None:
        """Write events into the unit's log while nobody reads it."""
        entries = await asyncio.to_thread(history.entries, UNIT, count)
        self._before = self._head
        rows, self._head = history.rows(STREAM, self._head, entries)
        self._signal(signal.SIGSTOP)
        for first in range(0, count, EVENTS_PER_TRANSACTION):
            await self._append(rows[first : first + EVENTS_PER_TRANSACTION])

    async def _append(self, rows: list[tuple[Any, ...]]) -> None:
        async with self._unit.transaction():
            # What was written is on disk long before it is caught up with.
            await self._unit.execute("SET LOCAL synchronous_commit = off")
            await self._unit.copy_records_to_table(
                "log_record", schema_name="ticket", columns=history.RECORD_COLUMNS, records=rows
            )
            _, epoch, sequence, digest, *_ = rows[-1]
            await self._unit.execute(
                "INSERT INTO ticket.log_head (stream, epoch, sequence, hash) VALUES ($1, $2, $3, $4)"
                " ON CONFLICT (stream) DO UPDATE SET sequence = excluded.sequence, hash = excluded.hash",
                STREAM, epoch, sequence, digest,
            )  # fmt: skip
            await self._unit.execute("SELECT pg_notify($1, $2)", NOTIFY_CHANNEL, STREAM)

    async def time_link(self) -> float:
        """Let the agent go on; return how many events a second headquarters stored, with all that follows from them."""
        self._signal(signal.SIGCONT)
        start = time.perf_counter()
        await self._until_beyond(self._headquarters, "federation", self._head.sequence - 1)
        return (self._head.sequence - self._before.sequence) / (time.perf_counter() - start)

    async def time_replication(self) -> float:
        """Let the subscription go on; return how many events a second it copied."""
        await self._replica.execute("ALTER SUBSCRIPTION log ENABLE")
        first = await self._until_beyond(self._replica, "ticket", self._before.sequence)
        start = time.perf_counter()
        await self._until_beyond(self._replica, "ticket", self._head.sequence - 1)
        rate = (self._head.sequence - first) / (time.perf_counter() - start)
        await self._replica.execute("ALTER SUBSCRIPTION log DISABLE")
        await _until(self._has_no_worker)
        return rate

    async def _has_no_worker(self) -> bool:
        return not await self._replica.fetchval("SELECT count(pid) FROM pg_stat_subscription")

    async def _until_beyond(self, far_end: Any, schema: str, sequence: int) -> int:
        """Wait until the far end has more than a sequence of the stream; return how far it has come."""
        query = await far_end.prepare(
            f"SELECT sequence FROM {schema}.log_record WHERE stream = $1 ORDER BY epoch DESC, sequence DESC LIMIT 1"  # noqa: S608
        )
        reached = 0

        async def is_beyond() -> bool:
            nonlocal reached
            reached = await query.fetchval(STREAM) or 0
            return reached > sequence

        await _until(is_beyond)
        return reached

    def _signal(self, number: signal.Signals) -> None:
        if self._agent.pid:
            os.kill(self._agent.pid, number)


async def _until(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(MAX_WAIT_SECONDS):
        while not await is_so():  # noqa: ASYNC110 - it is a database that is asked, not this process.
            await asyncio.sleep(LOOK_SECONDS)


async def _enact(settings: Settings) -> None:
    database = Database(settings.database_url)
    await enact_policy(database, "hanse_federation")
    await database.close()


async def _connect(stack: AsyncExitStack, url: str) -> Any:
    connection = await asyncpg.connect(url)
    stack.push_async_callback(connection.close)
    return connection


async def _start(stack: AsyncExitStack, settings: Settings, headquarters: Any, unit: str) -> ManagedProcess:
    """Start the federate role of a unit, and return once its link is up."""
    process = roles_process(settings, ["federate"])

    async def is_linked() -> bool:
        query = "SELECT connected FROM federation.link WHERE \"end\" = 'HUB' AND unit = $1"
        return bool(await headquarters.fetchval(query, unit))

    await process.start(is_linked, deadline_seconds=READY_SECONDS)
    stack.push_async_callback(process.stop, grace_seconds=STOP_SECONDS)
    return process


async def _drop_subscription(replica: Any) -> None:
    """Drop the subscription, and with it the slot on the unit's server, which would not stop without."""
    await replica.execute("ALTER SUBSCRIPTION log DISABLE")
    await replica.execute("DROP SUBSCRIPTION log")
