"""Waiting for nothing: what 10,000 open clocks cost while nothing is due on any of them.

A group of headquarters and one unit, as `hanse up` starts it. It is watched idle, then 10,000 tickets are opened, with
clocks that run and a delayed start in Temporal for each, and once everybody has been told of them it is watched again.
The difference is what the clocks cost. It is watched until the reconciler has done all that it does, in eight rounds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from sqlalchemy.orm import Session
from temporalio.client import Client

from hanse.cli.schemas import PACKAGES, migrate_all
from hanse.clock import utc_now
from hanse.database import Database
from hanse.local.group import Group
from hanse.local.process import ManagedProcess
from hanse.local.server import EmbeddedServer
from hanse.log.append import Entry, append
from hanse.names import stream_name
from hanse.policy.store import PolicyStore
from hanse.temporal import connect
from hanse.work import Cause, Work
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.commands import create_ticket
from hanse_services.ticket.model import SCHEMA
from hanse_workflows.processes import SLA
from hanse_workflows.reconciler import INTERVAL_SECONDS, ROUNDS_OF_A_COMPARISON
from tests.benchmarks.callers import UNIT, request
from tests.benchmarks.processors import Processors
from tests.benchmarks.report import Report
from tests.benchmarks.units import enact_policy, read_settings

TARGET_PERCENT = 2.0
"""Of one core, above the same group without clocks."""
TICKETS = 10_000
OPENED_AT_ONCE = 250
WATCH_SECONDS = ROUNDS_OF_A_COMPARISON * INTERVAL_SECONDS
"""Once through all that the reconciler does: in one round it compares all that is needed with all that runs."""
SETTLE_SECONDS = 30.0
"""After the last process was started: until what was told is stored everywhere, and the servers have tidied up."""
STARTED_WITHIN_SECONDS = 1_800.0
LOOK_SECONDS = 2.0
QUIET_WATCH_SECONDS = 90.0
"""How long it is watched without clocks: then one round is like the other."""


async def measure(folder: Path, quick: bool) -> Report:
    """Watch a group without clocks, and with them."""
    report = Report("idle_clocks")
    tickets, seconds, settle = (200, 10.0, 5.0) if quick else (TICKETS, WATCH_SECONDS, SETTLE_SECONDS)
    async with Group(folder / "group", [UNIT], migrate_all, lambda _text: None) as group:
        settings = read_settings(group.folder.unit(UNIT))
        database = Database(settings.database_url)
        packages = (package for package in PACKAGES if package not in ("hanse_gateway", "hanse_workflows"))
        await enact_policy(database, *packages)
        parts: list[EmbeddedServer | ManagedProcess] = [*group.servers]
        parts += group.processes.values()
        processors = Processors({part.name: part.pid for part in parts if part.pid})
        await asyncio.sleep(settle)
        before = await _watch(processors, min(seconds, QUIET_WATCH_SECONDS))
        began = time.perf_counter()
        await _open(database, tickets)
        await _wait_for_processes(await connect(settings), tickets)
        report.add("until all wait", [time.perf_counter() - began], "s")
        await asyncio.sleep(settle)
        after = await _watch(processors, seconds)
        await database.close()
    _tell(report, before, after)
    report.notes.append(f"{tickets:,} tickets, watched for {seconds:g} s.")
    return report


def _tell(report: Report, before: Mapping[str, float], after: Mapping[str, float]) -> None:
    for name in before:
        report.add(f"{name}: without clocks", [before[name]], "% of a core")
        report.add(f"{name}: with them", [after[name]], "% of a core")
    report.at_most(
        "processor of all for the clocks, % of a core", sum(after.values()) - sum(before.values()), TARGET_PERCENT
    )


async def _watch(processors: Processors, seconds: float) -> dict[str, float]:
    """Return how much of a core each program uses, in percent."""
    processors.lap()
    await asyncio.sleep(seconds)
    return {name: used / seconds * 100 for name, used in processors.lap().items()}


async def _open(database: Database, count: int) -> None:
    """Open tickets past the servicer, many in a transaction: how they come here is not measured."""
    policies = PolicyStore(SCHEMA)
    for first in range(0, count, OPENED_AT_ONCE):
        await database.write(_open_some, policies, min(OPENED_AT_ONCE, count - first))


def _open_some(session: Session, policies: PolicyStore, count: int) -> None:
    entries: list[Entry] = []
    now = utc_now()
    for number in range(count):
        work = Work(session, UNIT, Cause("benchmark"), now + number * timedelta(milliseconds=1), policies)
        asked = request()
        # The least urgent ones: nothing is due on them for hours.
        asked.ticket.priority = pb.P4
        create_ticket(work, asked)
        entries += work.entries
    session.flush()
    append(session, SCHEMA.log, stream_name(UNIT, SCHEMA.name), entries)


async def _wait_for_processes(client: Client, count: int) -> None:
    """Wait until each ticket has its process."""
    deadline = time.monotonic() + STARTED_WITHIN_SECONDS
    query = f"WorkflowType = '{SLA}' AND ExecutionStatus = 'Running'"
    while (await client.count_workflows(query)).count < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"not all of {count} processes were there after {STARTED_WITHIN_SECONDS:g} s")
        await asyncio.sleep(LOOK_SECONDS)
