"""A legacy incident log becomes a group's history: on the sample, and on a real log where there is one."""

from __future__ import annotations

import asyncio
import csv
import gzip
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from google.type.dayofweek_pb2 import FRIDAY, MONDAY, THURSDAY, TUESDAY, WEDNESDAY

from hanse.cli.connection import settings_of
from hanse.cli.desk import Desk
from hanse.cli.incident_log import Count, IncidentLog, fold, read
from hanse.cli.patience import eventually
from hanse.cli.replay import (
    ARRIVAL_PATIENCE_SECONDS,
    PATIENCE_SECONDS,
    ReplayFailed,
    compare,
    ensure_policy,
    import_log,
    policy_for,
    until_arrived,
)
from hanse.cli.schemas import migrate_all
from hanse.cli.ticket_repair import REPAIR_TIMEOUT_SECONDS, REPAIRED_AT_ONCE
from hanse.local.group import Group
from hanse.names import HEADQUARTERS
from hanse_protos.federation.v1 import group_pb2, what_if_pb2
from hanse_protos.policy.v1 import draft_pb2, policy_pb2
from hanse_protos.policy.v1.policy_pb2 import PolicyDocument
from hanse_protos.ticket.v1 import attainment_pb2, repair_pb2, service_pb2, ticket_pb2

CHECKOUT = Path(__file__).parents[2]
SAMPLE = CHECKOUT / "docs" / "reference" / "sample-incidents.csv"
BERLIN = ZoneInfo("Europe/Berlin")
OFFICE_TARGET = timedelta(hours=17)
REAL = CHECKOUT.parent / "shared" / "data" / "vinst-incidents.csv.gz"


def incidents_of(file: Path) -> Iterable[list[dict[str, str]]]:
    """Return the rows of each incident, in the order of time."""
    open_text = gzip.open if file.suffix == ".gz" else open
    incidents = defaultdict(list)
    with open_text(file, "rt", newline="") as text:
        for row in csv.DictReader(text):
            incidents[row["incident"]].append(row)
    for rows in incidents.values():
        rows.sort(key=lambda row: datetime.fromisoformat(row["occur_time"]))
    return incidents.values()


def plain_count(file: Path, units: dict[str, str]) -> Count:
    """Count a log straight from its rows, with nothing of ours but the names of the units."""
    result = Count()
    for rows in incidents_of(file):
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


def plain_breaches(file: Path, units: dict[str, str], target: timedelta) -> Counter[str]:
    """Count the solutions that took more than so much office time, by home, straight from the file's rows."""
    late: Counter[str] = Counter()
    for rows in incidents_of(file):
        worked, since, done = timedelta(0), None, False
        for row in rows:
            at = datetime.fromisoformat(row["occur_time"])
            worked += office_time(since, at) if since else timedelta(0)
            done = row["status"] == "Completed"
            since = None if done or row["sub_status"].startswith("Wait") else at
        worked += office_time(since, datetime.now(BERLIN)) if since else timedelta(0)
        late[units[rows[0]["org_line"]]] += worked > target
    return late


def office_time(start: datetime, end: datetime) -> timedelta:
    """Return the time from Monday to Friday, 8 to 17 o'clock in Berlin: day by day, the simplest way there is."""
    worked, day = timedelta(0), start.astimezone(BERLIN).date()
    while day <= end.astimezone(BERLIN).date():
        if day.weekday() < 5:
            opens, closes = (datetime.combine(day, time(hour), BERLIN).astimezone(UTC) for hour in (8, 17))
            worked += max(min(end, closes) - max(start, opens), timedelta(0))
        day += timedelta(days=1)
    return worked


def office_policy(names: list[str]) -> PolicyDocument:
    """Return the replay's policy with office hours instead of all hours, and one target."""
    document = policy_for(names)
    del document.calendars[:]
    days = [MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY]
    document.calendars.add(id="always", time_zone="Europe/Berlin").shifts.add(days=days, start="08:00", end="17:00")
    document.targets[0].resolution.FromTimedelta(OFFICE_TARGET)
    return document


@dataclass
class Replayed:
    """What headquarters says of an imported log."""

    report: group_pb2.TrafficReport
    what_if: list[what_if_pb2.WhatIfSummary]
    attainment: attainment_pb2.AttainmentReport
    """After every ticket was put under the office policy."""


async def replayed(folder: Path, log: IncidentLog, units: dict[str, str]) -> Replayed:
    """Import a log, stopped in the middle and started again, and ask headquarters."""
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
            report = await headquarters.group.GetTrafficReport(group_pb2.GetTrafficReportRequest())
            question = what_if_pb2.ComparePolicyRequest(document=office_policy(names))
            news = [each async for each in headquarters.what_if.ComparePolicy(question)]
            await put_under_office_policy(folder, names, headquarters)
            await until_arrived(folder, names, headquarters)
            request = group_pb2.GetGroupAttainmentRequest(
                parent="units/-", group_by=[attainment_pb2.BY_UNIT, attainment_pb2.BY_KIND]
            )
            attainment = await headquarters.group.GetGroupAttainment(request)
            return Replayed(report, [each.summary for each in news if each.HasField("summary")], attainment)


async def put_under_office_policy(folder: Path, names: list[str], headquarters: Desk) -> None:
    """Publish the office policy, and repair every imported ticket under it: clocks are computed from histories."""
    drafts = headquarters.policy_drafts
    request = draft_pb2.CreatePolicyDraftRequest(document=office_policy(names), request_id=str(uuid4()))
    name = (await drafts.CreatePolicyDraft(request)).name
    await drafts.SubmitPolicyDraft(draft_pb2.SubmitPolicyDraftRequest(name=name, request_id=str(uuid4())))
    async with Desk(settings_of(folder, HEADQUARTERS), "reviewer") as reviewer:
        approval = draft_pb2.ApprovePolicyDraftRequest(name=name, request_id=str(uuid4()))
        await reviewer.policy_drafts.ApprovePolicyDraft(approval)
    publication = draft_pb2.PublishPolicyDraftRequest(name=name, request_id=str(uuid4()))
    draft = await drafts.PublishPolicyDraft(publication)
    published = await headquarters.policies.GetPolicy(policy_pb2.GetPolicyRequest(name=draft.policy))

    async def acknowledged() -> bool:
        reply = await headquarters.group.ListUnits(group_pb2.ListUnitsRequest())
        return {unit.unit for unit in reply.units if unit.policy_version == published.version} >= set(names)

    await eventually(acknowledged, "every unit acknowledges the office policy", ARRIVAL_PATIENCE_SECONDS, ReplayFailed)
    await asyncio.gather(*(repair_all(folder, name, published.version) for name in names))


async def repair_all(folder: Path, unit: str, version: int) -> None:
    """Repair every ticket of a unit under a version of the policy."""
    async with Desk(settings_of(folder, unit), "test") as desk:
        request = service_pb2.ListTicketsRequest(parent=unit, page_size=REPAIRED_AT_ONCE)
        while True:
            page = await desk.tickets.ListTickets(request)
            left = {ticket.name for ticket in page.tickets}

            async def repaired(left: set[str] = left) -> bool:
                """Repair, once the desk has been told the policy that its unit acknowledged a moment earlier.

                That may be in the middle of a request: its first tickets are refused then, and the others repaired.
                """
                found = await desk.repairs.RepairTickets(
                    repair_pb2.RepairTicketsRequest(
                        parent=unit, names=left, policy_version=version, request_id=str(uuid4())
                    ),
                    timeout=REPAIR_TIMEOUT_SECONDS,
                )
                left -= {ticket.name for ticket in found.tickets if ticket.changed}
                return not left

            await eventually(repaired, "tickets are repaired", PATIENCE_SECONDS, ReplayFailed)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token


@pytest.mark.timeout(1200)
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
async def test_headquarters_answers_agree_with_plain_counts_after_a_stop_and_a_repeat(
    file: Path, tmp_path: Path
) -> None:
    log = read(file)
    units = fold(log, 4)
    found = await replayed(tmp_path, log, units)
    counted = plain_count(file, units)
    assert compare(found.report, counted) == []
    judged = {summary.unit.removeprefix("units/"): summary for summary in found.what_if if summary.tickets}
    assert {unit: summary.tickets for unit, summary in judged.items()} == dict(counted.tickets)
    late = {unit: summary.after.resolution_breaches for unit, summary in judged.items()}
    breaches = dict(plain_breaches(file, units, OFFICE_TARGET))
    assert late == breaches
    promised = [row for row in found.attainment.rows if row.kind == ticket_pb2.Clock.RESOLUTION]
    assert {row.unit.removeprefix("units/"): row.breached for row in promised} == breaches
