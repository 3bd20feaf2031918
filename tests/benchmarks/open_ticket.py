"""Opening tickets: everything that it means in Hanse, against a bare handler that writes the same two rows.

The two servers, each in a process of its own, take turns with the same callers on one PostgreSQL. How many connections
the floor has is tried first: it gets what is fastest for it.
"""

import asyncio
import json
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from statistics import median

import asyncpg
import grpc

from hanse.config import Settings
from hanse.database import Database
from hanse.identity import Role, TokenSigner
from hanse.local.ports import LOOPBACK, free_port
from hanse.local.postgres import EmbeddedPostgres
from hanse.local.process import ManagedProcess
from hanse_protos.ticket.v1.service_pb2_grpc import TicketServiceStub
from tests.benchmarks.callers import UNIT, Calls, request
from tests.benchmarks.floor_server import FloorSettings
from tests.benchmarks.report import Report
from tests.benchmarks.units import (
    READY_SECONDS,
    STOP_SECONDS,
    enact_policy,
    is_listening,
    prepare_unit,
    python_process,
    roles_process,
)

TARGET_RATIO = 0.6
CALLERS = 32
TURNS = 7
TURN_SECONDS = 3.0
WARM_UP_SECONDS = 2.0
FLOOR_CONNECTIONS = (4, 8, 16, 32)
"""The sizes of its pool that the floor may choose from."""
HANSE, FLOOR = "CreateTicket", "bare handler"


async def measure(folder: Path, quick: bool) -> Report:
    """Measure both, in turns."""
    report = Report("open_ticket")
    async with AsyncExitStack() as stack:
        postgres = await stack.enter_async_context(EmbeddedPostgres(folder / "postgres"))
        settings = await prepare_unit(UNIT, folder, postgres)
        database = Database(settings.database_url)
        stack.push_async_callback(database.close)
        await enact_policy(database, "hanse_services.ticket")
        await stack.enter_async_context(_running(settings, roles_process(settings, ["serve"]), settings.serve_address))
        floor = await _floor_settings(settings, folder, postgres)
        calls = Calls(
            servers={HANSE: settings.serve_address},
            authority=str(settings.tls.authority),
            token=token_of(settings),
            callers=CALLERS,
            turns=2 if quick else TURNS,
            turn_seconds=1.0 if quick else TURN_SECONDS,
            warm_up_seconds=0.5 if quick else WARM_UP_SECONDS,
        )
        floor = await _choose_connections(settings, folder, floor, calls)
        await stack.enter_async_context(_floor(settings, folder, floor))
        results = await _call(folder, replace(calls, servers={HANSE: settings.serve_address, FLOOR: floor.address}))
    _tell(report, results)
    report.notes.append(
        f"{CALLERS} callers in one process, TLS, fsync on, the `serve` role in a process of its own; "
        f"the floor chose {floor.connections} connections."
    )
    return report


def _tell(report: Report, results: Mapping[str, list[dict[str, float]]]) -> None:
    rates = {name: report.add(name, [turn["rate"] for turn in turns], "tickets/s") for name, turns in results.items()}
    for name, turns in results.items():
        report.add(f"{name}, 99th percentile", [turn["p99_ms"] for turn in turns], "ms")
    report.at_least("ratio of the medians", rates[HANSE].median / rates[FLOOR].median, TARGET_RATIO)


def token_of(settings: Settings) -> str:
    """Return a token of an agent of the unit."""
    signer = TokenSigner(settings.folder / "token.key", settings.unit)
    return signer.mint(f"{UNIT}/agents/li", [Role.AGENT], timedelta(hours=1))


@asynccontextmanager
async def _running(settings: Settings, process: ManagedProcess, address: str) -> AsyncIterator[None]:
    await process.start(lambda: is_listening(settings, address), deadline_seconds=READY_SECONDS)
    try:
        yield
    finally:
        await process.stop(grace_seconds=STOP_SECONDS)


async def _floor_settings(settings: Settings, folder: Path, postgres: EmbeddedPostgres) -> FloorSettings:
    """Return the floor's settings: its rows and its answer are as large as those of a real ticket."""
    credentials = grpc.ssl_channel_credentials(settings.tls.authority.read_bytes())
    async with grpc.aio.secure_channel(settings.serve_address, credentials) as channel:
        metadata = (("authorization", f"Bearer {token_of(settings)}"),)
        answer = await TicketServiceStub(channel).CreateTicket(request(), metadata=metadata)
    connection = await asyncpg.connect(settings.database_url)
    sizes = await connection.fetchrow("SELECT length(event) AS event, length(sealed) AS sealed FROM ticket.log_record")
    await connection.close()
    other = await prepare_unit("units/floor", folder, postgres)
    return FloorSettings(
        address=f"{LOOPBACK}:{free_port()}",
        database_url=other.database_url,
        connections=0,
        key=str(settings.tls.key),
        certificate=str(settings.tls.certificate),
        event_bytes=sizes["event"],
        sealed_bytes=sizes["sealed"],
        answer=answer.SerializeToString().hex(),
    )


@asynccontextmanager
async def _floor(settings: Settings, folder: Path, floor: FloorSettings) -> AsyncIterator[None]:
    path = folder / "floor.json"
    floor.write(path)
    process = python_process("the floor", ["tests.benchmarks.floor_server", str(path)], folder)
    async with _running(settings, process, floor.address):
        yield


async def _choose_connections(settings: Settings, folder: Path, floor: FloorSettings, calls: Calls) -> FloorSettings:
    """Return the floor's settings with the size of the pool that is fastest for it."""
    rates = {}
    for connections in FLOOR_CONNECTIONS:
        candidate = replace(floor, connections=connections, address=f"{LOOPBACK}:{free_port()}")
        async with _floor(settings, folder, candidate):
            trial = replace(calls, servers={FLOOR: candidate.address}, turns=2)
            rates[connections] = median(turn["rate"] for turn in (await _call(folder, trial))[FLOOR])
    return replace(floor, connections=max(rates, key=rates.__getitem__))


async def _call(folder: Path, calls: Calls) -> dict[str, list[dict[str, float]]]:
    """Let the callers call, and return what they measured by server."""
    path = folder / "calls.json"
    calls.write(path)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.benchmarks.callers", str(path), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"the callers failed with {process.returncode}")
    results = defaultdict(list)
    for line in output.splitlines():
        turn = json.loads(line)
        results[turn.pop("server")].append(turn)
    return results
