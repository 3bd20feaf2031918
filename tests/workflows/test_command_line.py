"""`hanse workflow`, each command in a process of its own, against a unit whose waiting runs."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from hanse.names import HEADQUARTERS
from hanse_workflows.processes import sla_of
from tests.integration.command_line import CommandLine, Result
from tests.workflows.fakes import FakeTicket, eventually
from tests.workflows.unit import TICKET, Unit, in_seconds, opened

SLA_ID = sla_of(TICKET).id
REASON = "the whole site is without power"


class Line:
    """The command line of headquarters, as its desk's lead uses it."""

    def __init__(self, commands: CommandLine) -> None:
        self._commands = commands

    async def run(self, *arguments: str) -> Result:
        return await self._commands.run("workflow", *arguments, "--unit", HEADQUARTERS, "--as", "wei")


def at_a_full_second(seconds: float) -> datetime:
    """Return a time in so many seconds. A process begins a moment after it, which is still in the same second."""
    return in_seconds(seconds).replace(microsecond=0)


@pytest.fixture
def line(unit: Unit, tmp_path: Path) -> Line:
    return Line(CommandLine(unit.runtime, tmp_path))


async def test_a_pause_shows_in_the_list_with_who_and_why(unit: Unit, line: Line) -> None:
    unit.tickets.tickets[TICKET] = FakeTicket({"breach": in_seconds(3600)})
    paused = await line.run("pause", "t1", "--reason", REASON)
    assert (paused.status, paused.printed.splitlines()[0]) == (0, f"{SLA_ID} PAUSED")
    listed = await line.run("list")
    assert [word in listed.printed for word in (TICKET, "PAUSED", f"paused by wei (hq): {REASON}")] == [True] * 3
    [read] = json.loads((await line.run("list", "--kind", "sla", "--json")).printed)["processes"]
    assert (read["id"], read["state"]) == (SLA_ID, "PAUSED")


async def test_a_resumed_process_says_when_it_begins_and_is_not_resumed_again(unit: Unit, line: Line) -> None:
    breach_time = at_a_full_second(3600)
    unit.tickets.tickets[TICKET] = FakeTicket({"breach": breach_time})
    await line.run("pause", "t1", "--reason", REASON)
    async with unit.waiting():
        resumed = await line.run("resume", "t1")
        again = await line.run("resume", "t1")
    said = [line.split(maxsplit=1) for line in resumed.printed.splitlines()]
    due = f"{breach_time:%Y-%m-%d %H:%M:%S} UTC"
    assert said[:3] == [[SLA_ID, "PLANNED"], ["begins", due], ["next", f"due {due}"]]
    assert (said[3][0], said[3][1].endswith(f"by wei (hq): {REASON}")) == ("pause", True)
    assert (said[4][0], said[4][1].endswith("by wei (hq)")) == ("resume", True)
    assert (again.status, "PROCESS_NOT_PAUSED: The process is not paused." in again.complained) == (1, True)


async def test_after_a_skip_it_says_what_was_skipped_and_when_something_is_due_next(unit: Unit, line: Line) -> None:
    breach_time = at_a_full_second(7200)
    unit.tickets.tickets[TICKET] = FakeTicket({"WARN on RESOLUTION at 50 %": in_seconds(3600), "breach": breach_time})
    async with unit.waiting():
        await unit.tell(opened(), TICKET)
        await unit.begin_time_of(sla_of(TICKET))
        skipped = await line.run("skip", SLA_ID, "--reason", REASON)
    said = [line.split(maxsplit=1) for line in skipped.printed.splitlines()]
    assert [first for first, _ in said] == [SLA_ID, "begins", "next", "skip"]
    due = f"{breach_time:%Y-%m-%d %H:%M:%S} UTC"
    assert (said[1][1], said[2][1]) == (due, f"due {due}")
    assert said[3][1].endswith(f"by wei (hq): WARN on RESOLUTION at 50 %: {REASON}")


async def test_a_retried_process_asks_at_once(unit: Unit, line: Line) -> None:
    unit.tickets.tickets[TICKET] = FakeTicket({"breach": in_seconds(3600)})
    async with unit.waiting():
        await unit.tell(opened(), TICKET)
        await unit.begin_time_of(sla_of(TICKET))
        assert (await line.run("retry", TICKET)).status == 0
        await eventually(lambda: unit.tickets.request_ids)


async def test_what_has_no_process_is_an_error_that_says_when_there_is_one(line: Line) -> None:
    result = await line.run("show", "t9")
    assert (result.status, "RESOURCE_NOT_FOUND" in result.complained) == (1, True)
    assert "only while something is due" in result.complained
