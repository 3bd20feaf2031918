"""Size: a unit with every role, idle, as `hanse up` starts it: one asyncio process and nameko's with the reactions.

PSS (proportional set size) counts a page that several processes share in equal parts for each of them, so the sum over
processes counts every page once. RSS counts a shared page in each process: its sum is more than what is used.
"""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import psutil

from hanse.cli.schemas import PACKAGES, migrate_all
from hanse.config import Settings
from hanse.database import Database
from hanse.local.group import Group
from hanse_protos.ticket.v1.service_pb2_grpc import TicketServiceStub
from tests.benchmarks.callers import UNIT, request
from tests.benchmarks.open_ticket import token_of
from tests.benchmarks.report import Report
from tests.benchmarks.units import enact_policy, read_settings

TARGET_MEGABYTES = 400
TARGET_CPU_PERCENT = 3.0
"""Of one core: what "near zero" is held to here."""
TICKETS = 100
SETTLE_SECONDS = 20.0
"""Until the workflows of the new tickets wait, and the reactions have been told of them."""
WATCH_SECONDS = 20.0
MEGABYTE = 1024 * 1024


async def measure(folder: Path, quick: bool) -> Report:
    """Start headquarters and one unit, open some tickets, and look at the unit when it is idle."""
    report = Report("memory")
    async with AsyncExitStack() as stack:
        group = await stack.enter_async_context(Group(folder / "group", [UNIT], migrate_all, lambda _text: None))
        settings = read_settings(group.folder.unit(UNIT))
        await _open_tickets(settings)
        await asyncio.sleep(2.0 if quick else SETTLE_SECONDS)
        processes = {
            name: psutil.Process(process.pid) for name, process in group.processes.items() if name.endswith("shanghai")
        }
        cpu = await _cpu_percents(processes, 5.0 if quick else WATCH_SECONDS)
        memory = {name: process.memory_full_info() for name, process in processes.items()}
    for name in processes:
        report.add(f"{name}: PSS", [memory[name].pss / MEGABYTE], "MB")
        report.add(f"{name}: RSS", [memory[name].rss / MEGABYTE], "MB")
        report.add(f"{name}: idle CPU", [cpu[name]], "% of a core")
    report.at_most("PSS of both, MB", sum(one.pss for one in memory.values()) / MEGABYTE, TARGET_MEGABYTES)
    report.at_most("idle CPU of both, % of a core", sum(cpu.values()), TARGET_CPU_PERCENT)
    report.notes.append(
        f"Idle after {TICKETS} tickets, each with its SLA workflow waiting; CPU over {WATCH_SECONDS:g} s."
    )
    return report


async def _open_tickets(settings: Settings) -> None:
    database = Database(settings.database_url)
    await enact_policy(
        database, *(package for package in PACKAGES if package not in ("hanse_gateway", "hanse_workflows"))
    )
    await database.close()
    credentials = grpc.ssl_channel_credentials(settings.tls.authority.read_bytes())
    async with grpc.aio.secure_channel(settings.serve_address, credentials) as channel:
        stub = TicketServiceStub(channel)
        for _ in range(TICKETS):
            await stub.CreateTicket(request(), metadata=(("authorization", f"Bearer {token_of(settings)}"),))


async def _cpu_percents(processes: dict[str, psutil.Process], seconds: float) -> dict[str, float]:
    """Return how much of a core each process used while nobody asked it for anything."""
    before = {name: _cpu_seconds(process) for name, process in processes.items()}
    await asyncio.sleep(seconds)
    return {name: (_cpu_seconds(process) - before[name]) / seconds * 100 for name, process in processes.items()}


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
