"""`hanse stream` and `hanse link`, in processes of their own, against a unit and headquarters that have a link."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from hanse_federation.model import SCHEMA
from hanse_federation.servicer import served
from tests.integration.command_line import CommandLine
from tests.integration.hanse_federation.group import Unit
from tests.integration.hanse_federation.test_quarantine import TICKETS
from tests.integration.hanse_federation.test_recovery import compared, healed, proposed, restored
from tests.support import MakeExecutor, Serve


@dataclass(frozen=True)
class Ends:
    """Both ends of Munich's link, each with its command line."""

    munich: Unit
    here: CommandLine
    headquarters: CommandLine


@pytest.fixture
async def ends(munich: Unit, make_executor: MakeExecutor, serve: Serve, tmp_path: Path) -> Ends:
    """Munich and headquarters, served."""
    for runtime in (munich.runtime, munich.hq):
        await serve(runtime, served(runtime, make_executor(runtime, SCHEMA)))
    return Ends(munich, CommandLine(munich.runtime, tmp_path), CommandLine(munich.hq, tmp_path))


async def test_a_person_finds_a_quarantine_and_ends_it_by_what_each_command_says(ends: Ends) -> None:
    await restored(ends.munich, lost=4, since=1)
    await compared(ends.munich.runtime, TICKETS)
    listed = await ends.here.run("stream", "list", "--unit", "munich")
    assert all(word in listed.printed for word in (TICKETS, "LOG_FORK", "1/7", "1/3", "start-epoch"))
    shown = await ends.here.run("link", "--unit", "munich")
    assert (shown.status, "QUARANTINED" in shown.printed) == (1, True)
    started = await ends.here.run("stream", "start-epoch", TICKETS, "--unit", "munich")
    assert f"epoch 2 of {TICKETS} follows 1/3, with 1 record taken along" in started.printed
    await proposed(ends.munich.hq, TICKETS)
    accepted = await ends.headquarters.run("stream", "accept-epoch", TICKETS)
    assert f"{TICKETS} goes on after 1/3, without 4 records that its writer has lost" in accepted.printed
    await healed(ends.munich, TICKETS)
    orphans = await ends.headquarters.run("stream", "orphans", TICKETS)
    assert ["units/munich/tickets/t4" in line for line in orphans.printed.splitlines()].count(True) == 1
    assert "none" in (await ends.here.run("stream", "list", "--unit", "munich")).printed


async def test_a_person_gets_a_streams_records_back(ends: Ends) -> None:
    await restored(ends.munich, lost=2)
    await compared(ends.munich.runtime, TICKETS)
    reseeded = await ends.here.run("stream", "reseed", TICKETS, "--unit", "munich")
    assert f"{TICKETS} has 2 records back" in reseeded.printed
    assert all(name in reseeded.printed for name in ("units/munich/tickets/t4", "units/munich/tickets/t5", "restored"))
    await healed(ends.munich, TICKETS)
    refused = await ends.here.run("stream", "release", TICKETS, "--unit", "munich")
    assert (refused.status, "not in quarantine" in refused.complained) == (1, True)


async def test_a_link_is_a_row_for_each_stream_or_json_with_the_contracts_names(ends: Ends) -> None:
    await ends.munich.open_tickets(3)
    await ends.munich.caught_up()
    shown = await ends.headquarters.run("link")
    rows = {line.split()[1]: line.split() for line in shown.printed.splitlines()[2:] if line.startswith("munich")}
    assert set(rows) == {"policy", "ticket", "knowledge", "settlement", "to-munich"}
    assert (shown.status, rows["ticket"][2:4], rows["ticket"][-1]) == (0, ["takes", "1/3"], "OK")
    [report] = json.loads((await ends.here.run("link", "--unit", "munich", "--json")).printed)["links"]
    streams = {stream["stream"]: stream for stream in report["streams"]}
    assert (report["health"], streams[TICKETS]["sent"], streams[TICKETS]["position"]["sequence"]) == ("OK", True, "3")
