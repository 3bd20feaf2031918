"""What countries' calendars, ladder, hierarchy and routing make of an incident log agrees with a plain computation."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from holidays import country_holidays

from hanse.cli.countries import TIME_ZONES
from hanse.cli.incident_log import COLUMNS, HEADQUARTERS_ID, REST, Change, IncidentLog, by_country, fold, read
from hanse.cli.replay import country_policy
from hanse.names import HEADQUARTERS
from hanse.policy import Standards
from hanse.policy.histories import Change as Happened
from hanse.policy.histories import Happening, TicketHistory
from hanse.policy.what_if import Regime, Verdict
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.clocks.judging import judge
from tests.plain_policy import Office, Outcome, PlainPolicy, PlainTicket, Routing, Row, Rung, Telling, write_into

REAL_LOG = Path(__file__).parents[3] / "shared" / "data" / "vinst-incidents.csv.gz"
TARGET = timedelta(hours=17)
NOW = datetime(2013, 1, 1, tzinfo=UTC)
ENDED = (pb.RESOLVED, pb.CLOSED)
RUNGS = (Rung(5, 1), Rung(20, 2), Rung(150, 3, asks=True))
TELLINGS = (Telling(40, "DESK_LEAD", 1), Telling(100, "UNIT_MANAGER", 2), Telling(210, "HEADQUARTERS", 3))
RETURNS = 2
INCIDENTS = 200
"""How many are made up."""
SITUATIONS = ("Accepted,In Progress", "Accepted,Wait - User", "Queued,Awaiting Assignment", "Completed,Resolved")


def offices_of(units: dict[str, str]) -> dict[str, Office]:
    """Return the office of each unit that is a country; `rest` works by universal time and knows no holidays."""
    offices = {
        unit: Office(ZoneInfo(TIME_ZONES[country]), country_holidays(country, years=range(2010, 2014)))
        for country, unit in units.items()
        if unit != REST
    }
    universal = Office(ZoneInfo("Etc/UTC"))
    return offices | {REST: universal, HEADQUARTERS_ID: universal}


def plain_policy(units: dict[str, str]) -> PlainPolicy:
    """Return the policy under which incidents are judged, as plain rules."""
    offices = {f"units/{unit}": office for unit, office in offices_of(units).items()}
    asked = sorted(set(offices) - {f"units/{REST}"})
    routing = Routing(asked, HEADQUARTERS, "urgent", asked[-2:], ("P1", "P2"), RETURNS, skips_former_holders=True)
    return PlainPolicy(TARGET, offices, RUNGS, TELLINGS, routing)


def policy(units: dict[str, str], plain: PlainPolicy) -> Standards:
    """Return the same policy as a document."""
    document = country_policy(units)
    write_into(document, plain)
    return Standards(1, document)


def rows_of(changes: Sequence[Change], units: dict[str, str]) -> list[Row]:
    """Return how an incident stood, as plain rows."""
    stood = (*ENDED, pb.WAITING)
    return [
        Row(change.occur_time, f"units/{units[change.org_line]}", change.tier, change.state not in stood)
        for change in changes
    ]


def steps(before: pb.TicketState.ValueType, after: pb.TicketState.ValueType) -> Iterator[Happening]:
    """Yield what leads from one row of the log to the next."""
    if after in ENDED:
        yield from () if before in ENDED else (Happening.RESOLVED,)
        return
    if before in ENDED:
        yield Happening.REOPENED
    if after == pb.WAITING and before != pb.WAITING:
        yield Happening.PAUSED
    if before == pb.WAITING and after != pb.WAITING:
        yield Happening.RESUMED


def history(incident: str, changes: Sequence[Change], units: dict[str, str]) -> TicketHistory:
    """Return an incident as a policy is laid over it."""
    home = f"units/{units[changes[0].org_line]}"
    opened = pb.TicketSummary(
        name=f"{home}/tickets/{incident}",
        priority=changes[0].priority,
        category="incident",
        tier=changes[0].tier,
        holder=home,
    )
    opening = Happened(Happening.OPENED, changes[0].occur_time, "", "")
    found, state, holder, tier = TicketHistory(opened, opening, policy_version=0), pb.NEW, home, opened.tier
    for change in changes:
        unit, at = f"units/{units[change.org_line]}", change.occur_time
        if unit != holder:
            found.noted.append(Happened(Happening.HANDED_OVER, at, "", "", unit=unit))
        if change.tier > tier:
            found.noted.append(Happened(Happening.CLIMBED, at, "", f"{unit}/agents/a", tier=change.tier))
        found.noted.extend(Happened(what, at, "", "") for what in steps(state, change.state))
        state, holder, tier = change.state, unit, max(tier, change.tier)
    return found


def made_up(folder: Path, homes: Sequence[str] = ("se", "pl", "in", "be"), incidents: int = INCIDENTS) -> Path:
    """Write a log of incidents that go to and fro between countries, around holidays and changes of the clocks."""
    others = [*homes, "us", "0"] if incidents == INCIDENTS else homes
    chance, lines = Random(7), [",".join([*COLUMNS, "team_country"])]  # noqa: S311 - A fixed seed repeats.
    for number in range(incidents):
        month, day = chance.choice((3, 4, 5, 10, 11, 12)), chance.randint(1, 28)
        at = datetime(2011, month, day, chance.randint(0, 23), tzinfo=UTC)
        home = chance.choice(homes)
        for _ in range(chance.randint(1, 12)):
            country = chance.choice([home, home, home, *others])
            situation = chance.choice(SITUATIONS)
            level, impact = chance.choice(("L1", "L1", "L2", "L3")), chance.choice(("High", "Medium"))
            lines.append(f"1-{number},{at.isoformat()},{situation},A,{level},{impact},P,agent,{country}")
            at += timedelta(hours=chance.randint(1, 90))
    path = folder / "log.csv"
    path.write_text("\n".join(lines))
    return path


def plainly(log: IncidentLog, units: dict[str, str], plain: PlainPolicy) -> dict[str, Outcome]:
    """Return what comes of each incident, worked out plainly."""
    return {
        incident: PlainTicket(
            plain, f"units/{units[changes[0].org_line]}", pb.Priority.Name(changes[0].priority), rows_of(changes, units)
        ).outcome(NOW)
        for incident, changes in log.incidents.items()
    }


def outcome_of(verdict: Verdict) -> Outcome:
    """Return what a what-if says of an incident, in the words of the plain computation."""
    late, told, asked = verdict.resolution_breached, list(verdict.levels), list(verdict.asked)
    return Outcome(verdict.tier, late, verdict.climbs, told, asked, verdict.desk, verdict.final)


def compared(log: IncidentLog) -> tuple[dict[str, Outcome], list[str]]:
    """Return what comes of each incident plainly, and those about which the policy engine says something else."""
    units = fold(log, 4)
    plain = plain_policy(units)
    standards, expected = policy(units, plain), plainly(log, units, plain)
    regime = Regime(standards, standards)
    judged = {
        incident: outcome_of(judge(regime, history(incident, changes, units), NOW))
        for incident, changes in log.incidents.items()
    }
    return expected, [incident for incident in expected if judged[incident] != expected[incident]]


def kinds(outcomes: Collection[Outcome]) -> set[str]:
    """Return what comes of some incidents and not of all: a comparison that never meets a thing says nothing of it."""
    met = {
        "late": sum(each.late for each in outcomes),
        "climbed": sum(each.climbs > 0 for each in outcomes),
        "told": sum(len(each.told) > 1 for each in outcomes),
        "asked of a unit": sum(bool(each.asked) and not each.desk and not each.final for each in outcomes),
        "asked of a desk": sum(bool(each.desk) for each in outcomes),
        "asked of the final owner": sum(each.final for each in outcomes),
    }
    return {kind for kind, number in met.items() if 0 < number < len(outcomes)}


EVERY_KIND = {"late", "climbed", "told", "asked of a unit", "asked of a desk", "asked of the final owner"}


def test_incidents_that_go_between_countries_come_out_as_a_plain_computation_says(tmp_path: Path) -> None:
    log = by_country(read(made_up(tmp_path)))
    expected, different = compared(log)
    assert different == []
    assert kinds(expected.values()) == EVERY_KIND
    units = fold(log, 4)
    plain = plain_policy(units)
    asks_anybody = replace(plain, routing=replace(plain.routing, skips_former_holders=False))
    assert plainly(log, units, asks_anybody) != expected


@pytest.mark.skipif(not REAL_LOG.exists(), reason="the real log is not at ../shared/data")
def test_the_real_log_by_country_agrees_incident_by_incident() -> None:
    log = by_country(read(REAL_LOG))
    expected, different = compared(log)
    assert different == []
    # An incident that has come back twice to the country that it began in, and then takes long, there is none in it.
    assert (len(log.incidents), kinds(expected.values())) == (3_777, EVERY_KIND - {"asked of the final owner"})


@pytest.mark.timeout(300)
async def test_the_command_says_of_each_country_what_its_office_hours_would_have_made_of_it(tmp_path: Path) -> None:
    file = made_up(tmp_path, ("se", "in"), 40)
    replay = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "hanse.cli.main", "replay", str(file), "--by", "country", "--units", "2", "--json"),
        *("--group", str(tmp_path / "group")),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, complained = await replay.communicate()
    said = " ".join(complained.decode().split())
    assert (replay.returncode, "agrees exactly with a plain count of the file" in said) == (0, True), said
    log = by_country(read(file))
    units = fold(log, 2)
    plain = replace(plain_policy(units), target=timedelta(hours=40), rungs=(), tellings=())
    late = Counter(
        units[log.incidents[name][0].org_line] for name, each in plainly(log, units, plain).items() if each.late
    )
    assert set(late) == {"se", "in"}
    assert {unit: int(found["after"]["resolution_breaches"]) for unit, found in summaries_in(printed).items()} == late


def summaries_in(printed: bytes) -> dict[str, Any]:
    """Return what a what-if came to in each unit that has incidents: the report is printed before."""
    text, found = printed.decode(), []
    while text := text.strip():
        document, end = json.JSONDecoder().raw_decode(text)
        found.append(document)
        text = text[end:]
    return {each["unit"].removeprefix("units/"): each for each in found[1:] if "tickets" in each}
