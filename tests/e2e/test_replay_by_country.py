"""What countries' calendars make of an incident log agrees with a plain computation, incident by incident."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import pytest
from holidays import country_holidays

from hanse.cli.countries import TIME_ZONES
from hanse.cli.incident_log import COLUMNS, REST, Change, IncidentLog, by_country, fold, read
from hanse.cli.replay import country_policy
from hanse.policy import Standards
from hanse.policy.histories import Change as Happened
from hanse.policy.histories import Happening, TicketHistory
from hanse.policy.what_if import Regime
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.clocks.judging import judge

REAL_LOG = Path(__file__).parents[3] / "shared" / "data" / "vinst-incidents.csv.gz"
TARGET = timedelta(hours=17)
NOW = datetime(2013, 1, 1, tzinfo=UTC)
ENDED = (pb.RESOLVED, pb.CLOSED)
SITUATIONS = ("Accepted,In Progress", "Accepted,Wait - User", "Queued,Awaiting Assignment", "Completed,Resolved")


@dataclass(frozen=True)
class Office:
    """An office that works from 8 to 17 o'clock, Monday to Friday but for its country's holidays."""

    zone: ZoneInfo
    holidays: Container[date] = frozenset()

    def worked(self, start: datetime, end: datetime) -> timedelta:
        """Return the time that it works between two instants: day by day, the simplest way there is."""
        worked, day = timedelta(0), start.astimezone(self.zone).date()
        while day <= end.astimezone(self.zone).date():
            if day.weekday() < 5 and day not in self.holidays:
                opens, closes = (datetime.combine(day, time(hour), self.zone).astimezone(UTC) for hour in (8, 17))
                worked += max(min(end, closes) - max(start, opens), timedelta(0))
            day += timedelta(days=1)
        return worked


def offices_of(units: dict[str, str]) -> dict[str, Office]:
    """Return the office of each unit that is a country; `rest` works by universal time and knows no holidays."""
    offices = {
        unit: Office(ZoneInfo(TIME_ZONES[country]), country_holidays(country, years=range(2010, 2014)))
        for country, unit in units.items()
        if unit != REST
    }
    return offices | {REST: Office(ZoneInfo("Etc/UTC"))}


def plainly_late(changes: Sequence[Change], units: dict[str, str], offices: dict[str, Office]) -> bool:
    """Tell whether a solution took over the target of the offices that held the incident."""
    worked, since, office = timedelta(0), None, offices[REST]
    for change in changes:
        worked += office.worked(since, change.occur_time) if since else timedelta(0)
        stands = change.state in ENDED or change.state == pb.WAITING
        since, office = None if stands else change.occur_time, offices[units[change.org_line]]
    return worked + (office.worked(since, NOW) if since else timedelta(0)) > TARGET


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
        name=f"{home}/tickets/{incident}", priority=pb.P3, category="incident", tier=1, holder=home
    )
    opening = Happened(Happening.OPENED, changes[0].occur_time, "", "")
    found, state, holder = TicketHistory(opened, opening, policy_version=0), pb.NEW, home
    for change in changes:
        unit, at = f"units/{units[change.org_line]}", change.occur_time
        if unit != holder:
            found.noted.append(Happened(Happening.HANDED_OVER, at, "", "", unit=unit))
        found.noted.extend(Happened(what, at, "", "") for what in steps(state, change.state))
        state, holder = change.state, unit
    return found


def made_up(folder: Path) -> Path:
    """Write a log of incidents that go to and fro between countries, around holidays and changes of the clocks."""
    chance, lines = Random(7), [",".join([*COLUMNS, "team_country"])]  # noqa: S311 - A fixed seed repeats.
    for number in range(60):
        month, day = chance.choice((3, 4, 5, 10, 11, 12)), chance.randint(1, 28)
        at = datetime(2011, month, day, chance.randint(0, 23), tzinfo=UTC)
        for _ in range(chance.randint(1, 6)):
            country = chance.choice(("se", "pl", "in", "be", "se", "pl", "in", "be", "us", "0"))
            situation = chance.choice(SITUATIONS)
            lines.append(f"1-{number},{at.isoformat()},{situation},A,L1,Medium,P,agent,{country}")
            at += timedelta(hours=chance.randint(1, 90))
    path = folder / "log.csv"
    path.write_text("\n".join(lines))
    return path


def differing(log: IncidentLog) -> tuple[int, list[str]]:
    """Return how many incidents are late, and those about which the policy engine and the plain computation differ."""
    units = fold(log, 4)
    document, offices = country_policy(units), offices_of(units)
    document.targets[0].resolution.FromTimedelta(TARGET)
    standards = Standards(1, document)
    verdicts = {
        incident: judge(Regime(standards, standards), history(incident, changes, units), NOW).resolution_breached
        for incident, changes in log.incidents.items()
    }
    plain = {incident: plainly_late(changes, units, offices) for incident, changes in log.incidents.items()}
    return sum(verdicts.values()), [incident for incident in verdicts if verdicts[incident] != plain[incident]]


def test_incidents_that_go_between_countries_are_late_exactly_where_a_plain_computation_says(tmp_path: Path) -> None:
    late, different = differing(by_country(read(made_up(tmp_path))))
    assert different == []
    assert 0 < late < 60


@pytest.mark.skipif(not REAL_LOG.exists(), reason="the real log is not at ../shared/data")
def test_the_real_log_by_country_agrees_incident_by_incident() -> None:
    log = by_country(read(REAL_LOG))
    late, different = differing(log)
    assert different == []
    assert (len(log.incidents), late > 1_000) == (3_777, True)
