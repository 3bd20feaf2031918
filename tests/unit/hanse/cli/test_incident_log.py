"""Reading a legacy incident log: broken rows are named by their line, and the others are used."""

from __future__ import annotations

import csv
import gzip
import itertools
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from hanse.cli.incident_log import (
    COLUMNS,
    MAX_CHANGES,
    MAX_ROW_CHARACTERS,
    REST,
    IncidentLog,
    IncidentLogInvalid,
    by_country,
    count,
    fold,
    read,
    unit_id,
)
from hanse_protos.ticket.v1 import ticket_pb2 as pb

REAL_LOG = Path(__file__).parents[5] / "shared" / "data" / "vinst-incidents.csv.gz"
GOOD = "1-1,2010-03-31T15:59:42+01:00,Accepted,In Progress,A2,L1,Medium,PROD582,agent-0001"


def row(**cells: str) -> str:
    return ",".join((dict(zip(COLUMNS, GOOD.split(","), strict=True)) | cells).values())


def read_rows(folder: Path, *rows: str | bytes) -> IncidentLog:
    lines = [",".join(COLUMNS), *rows]
    path = folder / "log.csv"
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines) + b"\n")
    return read(path)


BROKEN = {
    "unknown status": row(status="Sleeping"),
    "unknown level": row(support_level="L9"),
    "unknown impact": row(impact="Meh"),
    "no time": row(occur_time="yesterday"),
    "no time zone": row(occur_time="2010-03-31T15:59:42"),
    "bad number": row(incident="../../etc"),
    "no org line": row(org_line=""),
    "long product": row(product="x" * 131),
    "too few columns": "1-1,2010-03-31T15:59:42+01:00",
    "too many columns": GOOD + ",more",
    "broken UTF-8": GOOD.encode().replace(b"PROD582", b"\xff\xfe"),
    "a NUL": row(product="a\0b"),
    "an open quote": row(product='"PROD'),
    "a long row": row(agent="x" * MAX_ROW_CHARACTERS),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_row_is_named_by_its_line_and_the_others_are_used(tmp_path: Path, broken: str | bytes) -> None:
    log = read_rows(tmp_path, GOOD, broken, GOOD, GOOD)
    assert ([row.line for row in log.broken], log.changes) == ([3], 3)
    assert log.broken[0].problem


def test_a_row_is_read_as_a_change(tmp_path: Path) -> None:
    [change] = read_rows(tmp_path, row(status="Accepted", sub_status="Wait - Vendor")).incidents["1-1"]
    assert change.occur_time == datetime.fromisoformat("2010-03-31T14:59:42+00:00")
    assert (change.state, change.waiting_for, change.tier, change.priority) == (pb.WAITING, "vendor", 1, pb.P3)
    assert (change.org_line, change.product, change.agent) == ("A2", "PROD582", "agent-0001")


def test_a_team_of_two_levels_stands_for_the_lower_one(tmp_path: Path) -> None:
    [change] = read_rows(tmp_path, row(support_level="L2/L3")).incidents["1-1"]
    assert change.tier == 2


def test_quotes_and_empty_lines_are_read_as_csv_has_them(tmp_path: Path) -> None:
    log = read_rows(tmp_path, "", row(product='"Screen, 7"'), "  ")
    assert (log.incidents["1-1"][0].product, log.broken) == ("Screen, 7", [])


def test_changes_are_put_in_the_order_of_time_and_rows_of_one_time_stay_in_theirs(tmp_path: Path) -> None:
    log = read_rows(
        tmp_path,
        row(occur_time="2010-04-02T00:00:00+00:00", product="c"),
        row(occur_time="2010-04-01T02:00:00+02:00", product="a"),
        row(occur_time="2010-04-01T00:00:00+00:00", product="b"),
    )
    assert [change.product for change in log.incidents["1-1"]] == ["a", "b", "c"]


@pytest.mark.parametrize("content", [b"", b"a,b,c\n", b"\xff\xfe\x00", b"\x1f\x8b but no gzip"])
def test_a_file_that_is_no_log_at_all_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(content)
    with pytest.raises(IncidentLogInvalid):
        read(path)


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.csv.gz"
    archive = gzip.compress("\n".join([",".join(COLUMNS), *[GOOD] * 500]).encode())
    for damaged in (archive[:-20], archive[:30] + b"\xff" * 10 + archive[40:], b"no archive"):
        path.write_bytes(damaged)
        with pytest.raises(IncidentLogInvalid):
            read(path)


def test_the_biggest_org_lines_keep_their_names_and_the_others_share_one(tmp_path: Path) -> None:
    log = read_rows(tmp_path, *(row(org_line=line) for line in ("Org line A2", "Org line A2", "B", "B", "C")))
    assert fold(log, 2) == {"Org line A2": "org-line-a2", "B": "b", "C": REST}


@pytest.mark.parametrize(
    ("org_line", "unit"),
    [("C", "c"), ("V7 / 3", "v7-3"), ("22", "line-22"), ("Ä", "line"), ("x" * 29 + " y", "x" * 29)],
)
def test_an_org_line_becomes_a_unit_s_id(org_line: str, unit: str) -> None:
    assert unit_id(org_line, ()) == unit


def test_no_two_org_lines_share_an_id_and_none_takes_headquarters(tmp_path: Path) -> None:
    log = read_rows(tmp_path, *(row(org_line=line) for line in ("HQ", "Rest", "A-1", "A 1")))
    assert fold(log, 4) == {"HQ": "hq-2", "Rest": "rest-2", "A-1": "a-1-2", "A 1": "a-1"}


def test_case_tells_no_two_incidents_apart(tmp_path: Path) -> None:
    log = read_rows(tmp_path, row(incident="INC-1"), row(incident="inc-1"))
    assert {incident: len(changes) for incident, changes in log.incidents.items()} == {"inc-1": 2}


def test_rows_beyond_what_a_desk_takes_as_one_history_are_named(tmp_path: Path) -> None:
    log = read_rows(tmp_path, *([GOOD] * MAX_CHANGES), GOOD)
    assert (log.changes, [row.line for row in log.broken]) == (MAX_CHANGES, [MAX_CHANGES + 2])


def test_a_ticket_that_returns_to_a_unit_it_left_is_ping_pong(tmp_path: Path) -> None:
    times = (f"2010-04-01T0{hour}:00:00+00:00" for hour in range(9))
    rows = [row(org_line=line, occur_time=next(times)) for line in "ABACA"]
    log = read_rows(tmp_path, *rows)
    result = count(log, fold(log, 3))
    assert (result.ping_pong_tickets, result.ping_pong_returns, result.hand_overs["a", "b"]) == (1, 2, 1)


def test_a_wait_counts_from_its_first_row_to_its_end_and_one_that_has_not_ended_does_not_count(tmp_path: Path) -> None:
    situations = (("Accepted", "Wait"), ("Accepted", "Wait - User"), ("Accepted", "In Progress"), *WAITS_FOR_EVER)
    log = read_rows(
        tmp_path,
        *(
            row(status=status, sub_status=sub_status, occur_time=f"2010-04-01T0{hour}:00:00+00:00")
            for hour, (status, sub_status) in enumerate(situations)
        ),
    )
    assert list(count(log, fold(log, 3)).waiting.values()) == [timedelta(hours=2)]


WAITS_FOR_EVER = (("Accepted", "Wait"), ("Accepted", "Wait"))


@pytest.mark.skipif(not REAL_LOG.exists(), reason="the real incident log is not on this machine")
def test_the_count_of_the_real_log_agrees_with_a_naive_one() -> None:
    log = read(REAL_LOG)
    folded = fold(log, 4)
    rows: dict[str, list[dict[str, str]]] = defaultdict(list)
    with gzip.open(REAL_LOG, "rt", encoding="utf-8", newline="") as file:
        for each in csv.DictReader(file):
            rows[each["incident"]].append(each)
    assert (log.broken, log.changes) == ([], sum(map(len, rows.values())))
    tickets: Counter[str] = Counter()
    hand_overs: Counter[tuple[str, str]] = Counter()
    waiting: dict[str, timedelta] = defaultdict(timedelta)
    for changes in rows.values():
        changes.sort(key=lambda each: datetime.fromisoformat(each["occur_time"]))
        home = folded[changes[0]["org_line"]]
        tickets[home] += 1
        for before, after in itertools.pairwise(changes):
            giver, taker = folded[before["org_line"]], folded[after["org_line"]]
            if giver != taker:
                hand_overs[giver, taker] += 1
            if before["sub_status"].startswith("Wait"):
                times = [datetime.fromisoformat(each["occur_time"]) for each in (before, after)]
                waiting[home] += times[1] - times[0]
    counted = count(log, folded)
    assert (counted.tickets, counted.hand_overs) == (tickets, hand_overs)
    assert {unit: wait for unit, wait in counted.waiting.items() if wait} == dict(waiting)


def test_by_country_the_countries_stand_for_the_org_lines(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    rows = (f"{row(incident=f'1-{number}')},{country}" for number, country in enumerate(("se", "SE", "0", "pl", "")))
    path.write_text("\n".join([",".join([*COLUMNS, "team_country"]), *rows]))
    held = [changes[0].org_line for changes in by_country(read(path)).incidents.values()]
    assert held == ["SE", "SE", "no country", "PL", "no country"]
