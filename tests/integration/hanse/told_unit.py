"""Both brokers, and a unit whose log is told on over one of them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import pytest
from google.protobuf.message import Message
from kombu import Connection
from sqlalchemy import Engine, create_engine, func, select, text

from hanse.database import Database, with_driver
from hanse.local.broker import EmbeddedBroker
from hanse.local.process import ManagedProcess
from hanse.local.server import EmbeddedServer
from hanse.log.append import append
from hanse.log.events import Origin, new_event
from hanse.log.follow import Position, Wakeup, read_cursor
from hanse.names import stream_name
from hanse.telling.names import Subscription, event_exchange
from hanse.telling.relay import FOLLOWER, FollowedLog, Relay
from tests.integration.hanse.told import EFFECT, SCHEMA, SUBSCRIPTIONS, TELLER
from tests.integration.rabbitmq import RabbitMQ, require_rabbitmq
from tests.support import OCCUR_TIME, MakeDatabase

UNIT = "units/shanghai"
STREAMS = {"ticket": stream_name(UNIT, "ticket"), "federation": "units/hq/streams/to-shanghai"}
REPOSITORY = Path(__file__).parents[3]
PATIENCE_SECONDS = 30.0


@pytest.fixture(scope="session", params=["valkey", "rabbitmq"])
async def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Broker]:
    """The embedded broker, and the one of production: the same tests hold on both."""
    if request.param == "rabbitmq":
        require_rabbitmq()
        rabbitmq = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"))
        async with rabbitmq:
            yield Broker(rabbitmq, rabbitmq.url())
    else:
        valkey = EmbeddedBroker(tmp_path_factory.mktemp("valkey"))
        async with valkey:
            yield Broker(valkey, valkey.url())


@dataclass
class Broker:
    """A broker under test."""

    server: EmbeddedServer
    url: str

    async def kill(self) -> None:
        """End it without any warning."""
        assert self.server.pid is not None
        os.killpg(self.server.pid, signal.SIGKILL)
        await self.server.wait()
        await self.server.stop()

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Have it accept connections and answer nothing."""
        assert self.server.pid is not None
        os.kill(self.server.pid, signal.SIGSTOP)
        await _until_still(self.server.pid)
        try:
            yield
        finally:
            os.kill(self.server.pid, signal.SIGCONT)

    def bodies(self, subscription: Subscription) -> list[bytes]:
        """Take everything out of a queue, in order."""
        with Connection(self.url) as connection:
            queue = subscription.queue(connection.default_channel)
            taken = []
            while (message := queue.get(no_ack=True)) is not None:
                taken.append(bytes(message.body))
            return taken

    def delete(self, subscriptions: Sequence[Subscription]) -> None:
        """Delete queues with everything in them."""
        with Connection(self.url) as connection:
            for subscription in subscriptions:
                queue = subscription.queue(connection.default_channel)
                # kombu's emulation only deletes bindings that it has just heard of.
                queue.declare()
                queue.delete()
            for source in STREAMS:
                event_exchange(source)(connection.default_channel).delete()


async def _until_still(pid: int) -> None:
    """Wait until every thread of a stopped process stands still: the signal is only on its way when it was sent."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not all(_state_of(thread) == "T" for thread in Path(f"/proc/{pid}/task").iterdir()):  # noqa: ASYNC110, ASYNC240
            await asyncio.sleep(0.01)


def _state_of(thread: Path) -> str:
    """Return the letter of a thread's state, as in proc(5), or nothing where it has ended just now."""
    try:
        # The name before it may hold anything.
        return (thread / "stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


@dataclass
class ToldUnit:
    """A unit with a log, a relay for it, and a service that is told."""

    database_url: str
    folder: Path
    broker: Broker
    database: Database = field(init=False)
    engine: Engine = field(init=False)
    processes: list[ManagedProcess] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.database = Database(self.database_url)
        self.engine = create_engine(with_driver(self.database_url, "psycopg"), pool_pre_ping=True)

    def create_tables(self) -> None:
        with self.engine.begin() as connection:
            for schema in (SCHEMA, TELLER):
                connection.execute(text(f"CREATE SCHEMA {schema.name}"))
                schema.metadata.create_all(connection)

    async def tell(self, source: str, *facts: tuple[str, Message] | tuple[str, Message, str]) -> list[str]:
        """Append facts to the log that is told on under a source, and return their ids."""
        entries = [
            new_event(Origin(UNIT, "tests"), name, payload, OCCUR_TIME, {"text": rest[0]} if rest else None)
            for name, payload, *rest in facts
        ]
        await self.database.write(append, TELLER.log, STREAMS[source], entries)
        return [str(entry.event_id) for entry in entries]

    @asynccontextmanager
    async def relaying(self, subscriptions: Sequence[Subscription] = SUBSCRIPTIONS) -> AsyncIterator[None]:
        """Run a relay, and the wake-ups that it follows, for the time of a block."""
        wakeup = Wakeup(self.database_url)
        followed = [FollowedLog(TELLER.log, stream, source) for source, stream in STREAMS.items()]
        relay = Relay(self.database, wakeup, self.broker.url, followed, subscriptions)
        tasks = [asyncio.create_task(wakeup.run()), asyncio.create_task(relay.run())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def cursor(self, source: str) -> int:
        """Return how far the relay has come."""
        position: Position = await self.database.read(read_cursor, TELLER.log, FOLLOWER, STREAMS[source])
        return position.sequence

    async def relayed(self, source: str, sequence: int) -> None:
        """Wait until the relay has come so far."""

        async def has_come() -> bool:
            return await self.cursor(source) >= sequence

        await eventually(has_come)

    def effects(self) -> list[str]:
        """Return the ids of the events that had their effect, in the order of the effects."""
        with self.engine.connect() as connection:
            return list(connection.scalars(select(EFFECT.c.event_id).order_by(EFFECT.c.number)))

    def longest_pause_seconds(self) -> float:
        """Return the longest time between two effects."""
        with self.engine.connect() as connection:
            times = list(connection.scalars(select(EFFECT.c.time).order_by(EFFECT.c.number)))
        return max((later - earlier).total_seconds() for earlier, later in pairwise(times))

    def dead_letters(self) -> dict[str, int]:
        """Return how often each event was tried that could not be applied."""
        with self.engine.connect() as connection:
            rows = connection.execute(select(SCHEMA.dead_letter.c.event_id, SCHEMA.dead_letter.c.tries))
            return {str(row.event_id): row.tries for row in rows}

    def received(self, event_id: str) -> bool:
        """Return whether the inbox knows an event."""
        with self.engine.connect() as connection:
            query = select(func.count()).where(SCHEMA.inbox.c.event_id == UUID(event_id))
            return connection.scalar(query) == 1

    async def has_effects(self, event_ids: Sequence[str], patience_seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until just these events have had their effect, in this order."""

        async def has() -> bool:
            return len(self.effects()) >= len(event_ids)

        with suppress(TimeoutError):
            await eventually(has, patience_seconds)
        assert self.effects() == list(event_ids)

    async def react(self) -> ManagedProcess:
        """Start the process of reactions."""
        settings = {
            "HANSE_UNIT": UNIT,
            "HANSE_FOLDER": str(self.folder),
            "HANSE_DATABASE_URL": self.database_url,
            "HANSE_BROKER_URL": self.broker.url,
            "PYTHONPATH": str(REPOSITORY),
        } | dict.fromkeys(
            [f"HANSE_{name}_ADDRESS" for name in ("TEMPORAL", "SERVE", "GATEWAY", "HUB")]
            + ["HANSE_TEMPORAL_NAMESPACE"],
            "unused",
        )
        process = ManagedProcess(
            "reactions",
            [
                "/usr/bin/env", *(f"{name}={value}" for name, value in settings.items()),
                sys.executable, "-W", "ignore", "-m", "hanse_services.react",
                "tests.integration.hanse.told_reactions:ToldReactions",
            ],
            self.folder / "react.log",
        )  # fmt: skip
        self.processes.append(process)

        async def is_running() -> bool:
            return "reactions are running" in process.log_tail()

        self.folder.joinpath("react.log").unlink(missing_ok=True)
        await process.start(is_running, deadline_seconds=PATIENCE_SECONDS)
        return process

    async def close(self) -> None:
        for process in self.processes:
            # That it stops well is a test of its own; here it would cost each of them some seconds.
            await process.stop(grace_seconds=0)
        await self.database.close()
        self.engine.dispose()


@pytest.fixture
async def told_unit(broker: Broker, make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[ToldUnit]:
    """A fresh unit on one of the brokers."""
    unit = ToldUnit(make_database(), tmp_path, broker)
    unit.create_tables()
    yield unit
    await unit.close()
    await broker.server.start()
    broker.delete(SUBSCRIPTIONS)


async def eventually(condition: Callable[[], Awaitable[bool]], patience_seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until a condition holds; raise TimeoutError where it does not in time."""
    async with asyncio.timeout(patience_seconds):
        while not await condition():  # noqa: ASYNC110 - what is waited for is in other processes
            await asyncio.sleep(0.05)
