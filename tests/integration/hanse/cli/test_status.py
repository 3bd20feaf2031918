"""`hanse status` where the environment names a unit's settings, as in production: no folder of a group is needed."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

from hanse.cli.roles import services_of
from hanse.cli.schemas import PACKAGES
from hanse.clock import utc_now
from hanse.migrations import service_migrations
from hanse_federation.link.status import save_connected, save_lost
from hanse_federation.model import End
from tests.integration.command_line import CommandLine
from tests.support import MakeRuntime, Serve


async def test_headquarters_says_how_it_is_and_how_it_sees_the_others(
    make_runtime: MakeRuntime, serve: Serve, tmp_path: Path
) -> None:
    runtime = make_runtime("units/hq", *(service_migrations(package) for package in PACKAGES))
    # Heard of until then: on a loaded machine a command may take longer to start than a link may be silent.
    heard = utc_now() + timedelta(minutes=10)
    await runtime.database.write(save_connected, End.HUB, "units/oslo", heard)
    await runtime.database.write(save_lost, End.HUB, "units/munich", "UNIT_UNREACHABLE: the line broke", utc_now())
    await serve(runtime, services_of(runtime))
    answer = await CommandLine(runtime, tmp_path).run("status", "--json")
    units = {unit["unit"]: unit for unit in json.loads(answer.printed)["units"]}
    assert (answer.status, set(units)) == (1, {"units/hq", "units/munich", "units/oslo"})
    assert (units["units/hq"]["serving"], units["units/hq"]["problems"]) == (True, [])
    assert (units["units/oslo"]["serving"], units["units/oslo"]["reachable"], units["units/oslo"]["green"]) == (
        None, True, True,
    )  # fmt: skip
    assert units["units/munich"]["last_error"] == "UNIT_UNREACHABLE: the line broke"
