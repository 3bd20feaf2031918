"""`hanse dead-letters`, in a process of its own, against a real server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hanse_protos.ticket.v1 import events_pb2 as events
from tests.integration.command_line import CommandLine, Result
from tests.integration.hanse.dead_letter_unit import UNIT, LetterUnit, id_of, name_of, refuse
from tests.integration.hanse.told import SCHEMA
from tests.support import MakeExecutor, MakeRuntime, Serve


@dataclass
class Line:
    """A unit, and its command line."""

    unit: LetterUnit
    commands: CommandLine

    async def run(self, *arguments: str) -> Result:
        return await self.commands.run("dead-letters", *arguments, "--as", "wei")


@pytest.fixture
async def line(
    make_runtime: MakeRuntime, make_executor: MakeExecutor, serve: Serve, tmp_path: Path
) -> AsyncIterator[Line]:
    """The command line of a unit that can't apply `TicketOpened`, and could after a correction."""
    runtime = make_runtime(UNIT)
    unit = await LetterUnit.create(runtime, make_executor(runtime, SCHEMA), serve)
    yield Line(unit, CommandLine(runtime, tmp_path))
    unit.close()


async def test_a_person_sees_a_letter_and_retries_it_by_the_beginning_of_its_id(line: Line) -> None:
    poison = await line.unit.tell(events.TicketOpened())
    listed = await line.run("list")
    assert all(
        word in listed.printed for word in (id_of(poison), "TicketOpened", "WAITING", "FailedPrecondition: the reason")
    )
    retried = await line.run("retry", id_of(poison)[:20])
    assert (retried.status, "APPLIED" in retried.printed) == (0, True)
    assert line.unit.effects() == [id_of(poison)]


async def test_a_program_reads_json_and_sees_a_retry_fail_by_the_exit_status(line: Line) -> None:
    poison = await line.unit.tell(events.TicketOpened())
    line.unit.mended[events.TicketOpened] = refuse
    retried = await line.run("retry", "--all", "--json")
    assert retried.status == 1
    assert [letter["state"] for letter in json.loads(retried.printed)["dead_letters"]] == ["WAITING"]
    shown = json.loads((await line.run("show", name_of(poison), "--json")).printed)
    payload = {"ticket": {"name": "units/shanghai/tickets/a"}}
    assert (shown["event"]["type"], shown["payload"]) == ("hanse_protos.ticket.v1.TicketOpened", payload)


async def test_a_discarded_letter_is_listed_only_with_all(line: Line) -> None:
    poison = await line.unit.tell(events.TicketOpened())
    assert (await line.run("discard", id_of(poison), "--reason", "by mistake")).status == 0
    assert id_of(poison) not in (await line.run("list", "--service", "told")).printed
    assert "DISCARDED" in (await line.run("list", "--all")).printed


async def test_an_id_that_is_not_there_is_an_error_with_a_hint(line: Line) -> None:
    result = await line.run("show", "0000")
    assert (result.status, "RESOURCE_NOT_FOUND" in result.complained) == (1, True)
