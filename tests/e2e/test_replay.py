"""A legacy incident log becomes a group's history: on the sample, and on a real log where there is one."""

from __future__ import annotations

import asyncio
import csv
import gzip
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from hanse.cli.connection import settings_of
from hanse.cli.desk import Desk
from hanse.cli.incident_log import Count, IncidentLog, fold, read
from hanse.cli.replay import compare, ensure_policy, import_log, until_arrived
from hanse.cli.schemas import migrate_all
from hanse.local.group import Group
from hanse.names import HEADQUARTERS
from hanse_protos.federation.v1 import group_pb2

CHECKOUT = Path(__file__).parents[2]
SAMPLE = CHECKOUT / "docs" / "reference" / "sample-incidents.csv"
REAL = CHECKOUT.parent / "shared" / "data" / "vinst-incidents.csv.gz"


def plain_count(file: Path, units: dict[str, str]) -> Count:
    """Count a log straight from its rows, with nothing of ours but the names of the units."""
    open_text = gzip.open if file.suffix == ".gz" else open
    incidents = defaultdict(list)
    with open_text(file, "rt", newline="") as text:
        for row in csv.DictReader(text):
            incidents[row["incident"]].append(row)
    result = Count()
    for rows in incidents.values():
        rows.sort(key=lambda row: datetime.fromisoformat(row["occur_time"]))
        _count_incident(result, [(units[row["org_line"]], row) for row in rows])
    return result


def _count_incident(result: Count, rows: list[tuple[str, dict[str, str]]]) -> None:
    home, visited, returns, moved = rows[0][0], {rows[0][0]}, 0, False
    result.tickets[home] += 1
    result.waiting[home] += timedelta(0)
    for index in range(1, len(rows)):
        (before, earlier), (after, row) = rows[index - 1], rows[index]
        if earlier["sub_status"].startswith("Wait"):
            times = [datetime.fromisoformat(each["occur_time"]) for each in (earlier, row)]
            result.waiting[home] += times[1] - times[0]
        if before != after:
            moved = True
            result.hand_overs[before, after] += 1
            returns += after in visited
            visited.add(after)
    result.handed_over[home] += moved
    result.ping_pong_returns += returns
    result.ping_pong_tickets += bool(returns)


async def replayed(folder: Path, log: IncidentLog, units: dict[str, str]) -> group_pb2.TrafficReport:
    """Import a log, stopped in the middle and started again, and return headquarters' report."""
    names = sorted({f"units/{unit}" for unit in units.values()})
    seed = uuid4()
    async with Group(folder, names, migrate_all, lambda _text: None):
        await ensure_policy(folder, names)
        stopped = asyncio.create_task(import_log(folder, log, units, seed))
        await asyncio.wait([stopped], timeout=2)
        stopped.cancel()
        await asyncio.gather(stopped, return_exceptions=True)
        await import_log(folder, log, units, seed)
        # A third time, as another request: what is there already is left as it is.
        await import_log(folder, log, units, uuid4())
        async with Desk(settings_of(folder, HEADQUARTERS), "test") as headquarters:
            await until_arrived(folder, names, headquarters)
            report: group_pb2.TrafficReport = await headquarters.group.GetTrafficReport(
                group_pb2.GetTrafficReportRequest()
            )
            return report


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "file",
    [
        pytest.param(SAMPLE, id="sample"),
        pytest.param(
            REAL,
            id="real",
            marks=pytest.mark.skipif(not REAL.exists(), reason="the real log is not at ../shared/data"),
        ),
    ],
)
async def test_headquarters_report_agrees_with_a_plain_count_after_a_stop_and_a_repeat(
    file: Path, tmp_path: Path
) -> None:
    log = read(file)
    units = fold(log, 4)
    report = await replayed(tmp_path, log, units)
    assert compare(report, plain_count(file, units)) == []
