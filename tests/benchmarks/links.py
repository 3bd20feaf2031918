"""Links for benchmarks: headquarters and units with the federate role, each in a process of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg

from hanse.config import Settings
from hanse.database import Database
from hanse.local.ports import LOOPBACK, free_port
from hanse.local.postgres import EmbeddedPostgres
from hanse.local.process import ManagedProcess
from hanse.log.tables import NOTIFY_CHANNEL
from hanse.names import HEADQUARTERS, stream_name
from hanse.work import Cause, CommandExecutor
from hanse_federation.membership.register import admit_unit
from hanse_federation.model import SCHEMA
from hanse_protos.federation.v1.membership_pb2 import AdmitUnitRequest, Member
from tests.benchmarks import history
from tests.benchmarks.callers import UNIT
from tests.benchmarks.units import READY_SECONDS, STOP_SECONDS, enact_policy, prepare_unit, roles_process

STREAM = stream_name(UNIT, "ticket")
LOOK_SECONDS = 0.005
"""Between two looks at how far something is."""
MAX_WAIT_SECONDS = 120.0


class Link:
    """A unit and headquarters, each on a PostgreSQL server of its own, and the two ends of the link between them."""

    def __init__(self, unit: Settings, headquarters: Settings, near: EmbeddedPostgres, far: EmbeddedPostgres) -> None:
        self.unit = unit
        self.headquarters = headquarters
        self.near = near
        self.far = far
        self.hub = roles_process(headquarters, ["federate"])
        self.agent = roles_process(unit, ["federate"])

    @classmethod
    async def prepare(cls, stack: AsyncExitStack, folder: Path) -> "Link":
        """Start both servers, and make headquarters and a unit that it has admitted; neither end runs yet."""
        near = await stack.enter_async_context(EmbeddedPostgres(folder / "near", logical_replication=True))
        far = await stack.enter_async_context(EmbeddedPostgres(folder / "far", logical_replication=True))
        headquarters = await prepare_headquarters(folder, far, UNIT)
        unit = await prepare_unit(UNIT, folder, near, hub_address=headquarters.hub_address)
        database = Database(unit.database_url)
        await enact_policy(database, "hanse_federation")
        await database.close()
        return cls(unit, headquarters, near, far)

    async def start_hub(self, stack: AsyncExitStack) -> None:
        """Start headquarters' end, and return once its own agent is linked."""
        await start(stack, self.hub, self.headquarters, HEADQUARTERS)

    async def start_agent(self, stack: AsyncExitStack) -> None:
        """Start the unit's end, and return once it is linked."""
        await start(stack, self.agent, self.headquarters, UNIT)


async def prepare_headquarters(folder: Path, postgres: EmbeddedPostgres, *units: str) -> Settings:
    """Make headquarters, with a policy in force, and admit units to the group."""
    address = f"{LOOPBACK}:{free_port()}"
    settings = await prepare_unit(HEADQUARTERS, folder, postgres, hub_address=address, hub_listen_address=address)
    database = Database(settings.database_url)
    await enact_policy(database, "hanse_federation")
    executor = CommandExecutor(database, SCHEMA, HEADQUARTERS)
    for unit in units:
        request = AdmitUnitRequest(unit=unit, request_id=str(uuid4()))
        cause = Cause(f"{HEADQUARTERS}/agents/li", request.request_id)
        await executor.execute(admit_unit, request, cause, Member)
    await executor.close()
    await database.close()
    return settings


async def start(stack: AsyncExitStack, process: ManagedProcess, headquarters: Settings, unit: str) -> None:
    """Start an end of a link, and return once headquarters says that the unit is linked."""
    connection = await asyncpg.connect(headquarters.database_url)

    async def is_linked() -> bool:
        query = "SELECT connected FROM federation.link WHERE \"end\" = 'HUB' AND unit = $1"
        return bool(await connection.fetchval(query, unit))

    try:
        await process.start(is_linked, deadline_seconds=READY_SECONDS)
    finally:
        await connection.close()
    stack.push_async_callback(process.stop, grace_seconds=STOP_SECONDS)


async def connect(stack: AsyncExitStack, url: str) -> Any:
    """Return a connection that lasts as long as the stack."""
    connection = await asyncpg.connect(url)
    stack.push_async_callback(connection.close)
    return connection


async def append(unit: Any, rows: Sequence[tuple[Any, ...]]) -> None:
    """Append rows to the unit's log in one transaction, as a group of commands does."""
    async with unit.transaction():
        await unit.copy_records_to_table(
            "log_record", schema_name="ticket", columns=history.RECORD_COLUMNS, records=rows
        )
        _, epoch, sequence, digest, *_ = rows[-1]
        await unit.execute(
            "INSERT INTO ticket.log_head (stream, epoch, sequence, hash) VALUES ($1, $2, $3, $4)"
            " ON CONFLICT (stream) DO UPDATE SET sequence = excluded.sequence, hash = excluded.hash",
            STREAM, epoch, sequence, digest,
        )  # fmt: skip
        await unit.execute("SELECT pg_notify($1, $2)", NOTIFY_CHANNEL, STREAM)


async def until(is_so: Callable[[], Awaitable[bool]], max_wait_seconds: float = MAX_WAIT_SECONDS) -> None:
    """Look again and again until something is so."""
    async with asyncio.timeout(max_wait_seconds):
        while not await is_so():  # noqa: ASYNC110 - it is a database that is asked, not this process.
            await asyncio.sleep(LOOK_SECONDS)
