"""A unit comes back from an old backup: the fork is found and quarantined, the rest goes on, nothing is overwritten."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy.engine import make_url

from hanse.clock import utc_now
from hanse.database import Database
from hanse.errors import LogFork
from hanse.log.append import append
from hanse.log.events import Origin, new_event
from hanse.names import HEADQUARTERS, stream_name
from hanse_protos.knowledge.v1 import knowledge_pb2
from hanse_services.knowledge.model import SCHEMA as KNOWLEDGE
from tests.faults.checker import Problem, What, check_chains
from tests.faults.group import FaultGroup
from tests.faults.quiet import look, until_quiet
from tests.faults.report import Report
from tests.faults.snapshot import FEDERATION
from tests.faults.writers import write_openings

SHANGHAI = "units/shanghai"
LAYOUT = {HEADQUARTERS: ("federate",), SHANGHAI: ("federate",)}
STREAM = stream_name(SHANGHAI, "ticket")
ALARM_SECONDS = 10.0
"""What is promised: from the agent's first word after the restore until the alarm stands at headquarters."""
PATIENCE_SECONDS = 240.0
LOOK_INTERVAL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Size:
    """How far behind the backup is, and by how much the promised time may be exceeded."""

    records: int
    patience: float = 1.0


SHORT, FULL = Size(300, patience=6.0), Size(5_000)


async def run(folder: Path, seed: int, size: Size) -> list[Report]:
    """Restore a unit twice: one that has done nothing since, and one that has gone on another way."""
    reports = []
    for name, further in (("restored from an old backup", 0), ("restored, and gone on another way", 20)):
        report = Report(name, seed)
        async with FaultGroup(folder / str(further), LAYOUT) as group:
            await _restore(group, report, size, further)
        reports.append(report)
    return reports


async def _restore(group: FaultGroup, report: Report, size: Size, further: int) -> None:
    await _write(group, 100)
    await until_quiet(group, PATIENCE_SECONDS)
    await group.stop([SHANGHAI])
    await _copy_database(group, "hanse_shanghai", "backup")
    await group.start([SHANGHAI])
    await _write(group, size.records)
    await until_quiet(group, PATIENCE_SECONDS)
    before = (await group.snapshot()).units[HEADQUARTERS].stream(FEDERATION, STREAM)
    await group.stop([SHANGHAI])
    await _copy_database(group, "backup", "hanse_shanghai")
    await _write(group, further)
    began = time.monotonic()
    await group.start([SHANGHAI])
    linked = await _until(group, HEADQUARTERS, _LINKED)
    alarmed = await _until(group, HEADQUARTERS, _QUARANTINED)
    report.figures["the agent was back after"] = f"{linked:.1f} s"
    report.promise("alarm at headquarters after", alarmed, ALARM_SECONDS * size.patience)
    report.figures["alarm in the unit after"] = f"{await _until(group, SHANGHAI, _QUARANTINED):.1f} s"
    report.figures["from the restart on"] = f"{time.monotonic() - began:.1f} s"
    await _check(group, report, before)


async def _check(group: FaultGroup, report: Report, before: list[Any]) -> None:
    [problem] = await _fetch(group, HEADQUARTERS, _QUARANTINED)
    report.figures["what the alarm says"] = problem[0]
    # The unit's other streams go on.
    await _publish_article(group)
    stream = stream_name(SHANGHAI, "knowledge")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (await look(group)).head(HEADQUARTERS, FEDERATION, stream).sequence == 0:
        if time.monotonic() > deadline:
            report.problems.append(Problem(What.LOST, "the unit's other streams do not go on"))
            break
        await asyncio.sleep(LOOK_INTERVAL_SECONDS)
    snapshot = await group.snapshot()
    if snapshot.units[HEADQUARTERS].stream(FEDERATION, STREAM) != before:
        report.problems.append(Problem(What.DIFFERENT, "headquarters' copy of the stream was changed"))
    report.problems += check_chains(snapshot)
    errors = await _fetch(
        group, SHANGHAI, "SELECT last_error FROM federation.link WHERE last_error LIKE $1", f"{LogFork.reason}%"
    )
    report.figures["the unit's status says"] = errors[0][0] if errors else "nothing"


_LINKED = "SELECT 1 FROM federation.link WHERE unit = 'units/shanghai' AND connected"
_QUARANTINED = f"SELECT problem FROM federation.quarantine WHERE stream = '{STREAM}'"  # noqa: S608 - it is ours.


async def _write(group: FaultGroup, records: int) -> None:
    database = Database(group.database_url(SHANGHAI))
    try:
        await write_openings(database, SHANGHAI, records)
    finally:
        await database.close()


async def _publish_article(group: FaultGroup) -> None:
    name = f"{SHANGHAI}/articles/a1"
    payload = knowledge_pb2.ArticleRetired(article=knowledge_pb2.ArticleSummary(name=name))
    entry = new_event(Origin(SHANGHAI, "tests"), name, payload, utc_now())
    database = Database(group.database_url(SHANGHAI))
    try:
        await database.write(append, KNOWLEDGE.log, stream_name(SHANGHAI, "knowledge"), [entry])
    finally:
        await database.close()


async def _copy_database(group: FaultGroup, source: str, target: str) -> None:
    """Have one database be what another one is: a backup, or its restore."""
    url = make_url(group.database_url(SHANGHAI)).set(database="postgres").render_as_string(hide_password=False)
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f'DROP DATABASE IF EXISTS "{target}" WITH (FORCE)')
        await connection.execute(f'CREATE DATABASE "{target}" TEMPLATE "{source}"')
    finally:
        await connection.close()


async def _until(group: FaultGroup, unit: str, query: str) -> float:
    """Return after how many seconds a query has a row; infinity where it has none in time."""
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE_SECONDS:
        if await _fetch(group, unit, query):
            return time.monotonic() - began
        await asyncio.sleep(LOOK_INTERVAL_SECONDS)
    return float("inf")


async def _fetch(group: FaultGroup, unit: str, query: str, *arguments: object) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(group.database_url(unit))
    try:
        return list(await connection.fetch(query, *arguments))
    finally:
        await connection.close()
