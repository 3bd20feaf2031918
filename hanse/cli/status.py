"""`hanse status`: how the group is, at a glance."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from typing import Annotated

import typer
from rich.text import Text

from hanse.cli import output
from hanse.cli.connection import DEFAULT_FOLDER, GroupOption, JsonOption
from hanse.cli.health import UnitHealth, gather, gather_as, name_of
from hanse.config import SETTINGS_FILE_VARIABLE, load_settings

NOT_GREEN = 1


def register(app: typer.Typer) -> None:
    """Add `hanse status` to the command line."""
    app.command("status")(status)


def status(
    group: GroupOption = DEFAULT_FOLDER,
    verify: Annotated[bool, typer.Option("--verify", help="Recompute every hash chain, at both ends.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show units, links, lags, policy versions, logs and workflows. Exits with 1 unless all is green.

    Of a group that `hanse up` runs it asks every unit. Where the environment names a unit's settings, it asks that
    one; headquarters also says how it sees the others.
    """
    if SETTINGS_FILE_VARIABLE in os.environ:
        healths = asyncio.run(gather_as(load_settings(), verify=verify))
    else:
        healths = asyncio.run(gather(group, verify=verify))
    if as_json:
        units = [dataclasses.asdict(health) | {"green": health.green} for health in healths]
        output.print_json({"units": units})
    else:
        show_health(healths)
    if not all(health.green for health in healths):
        raise typer.Exit(NOT_GREEN)


def show_health(healths: list[UnitHealth]) -> None:
    """Print how the units of a group are, for people."""
    columns = ["unit", "serving", "link", "lag up", "lag down", "policy", "log", "workflows", ""]
    output.table("The group", columns, (_row(health) for health in healths))
    if certificates := [f"{name_of(each)} {each.certificate_until[:10]}" for each in healths if each.certificate_until]:
        output.console.print(f"Certificates are good until: {', '.join(certificates)}", style="dim")
    for health in healths:
        for problem in health.problems:
            output.console.print(Text.assemble((name_of(health), "bold"), f": {problem}"), style="red")
        if not health.reachable and health.last_error:
            output.console.print(f"{name_of(health)}: {health.last_error}", style="dim")


def _row(health: UnitHealth) -> list[str | Text]:
    verified = "" if health.verified_records is None else f", {health.verified_records} verified"
    return [
        name_of(health),
        "?" if health.serving is None else output.yes_no(health.serving),
        _link(health),
        str(health.lag_up),
        str(health.lag_down),
        _policy(health),
        f"{health.records} in {health.streams} streams{verified}",
        "?" if health.workflows is None else f"{health.workflows} open",
        output.yes_no(health.green, "green", "not green"),
    ]


def _link(health: UnitHealth) -> str | Text:
    if health.independent:
        return "independent"
    return output.yes_no(health.reachable and health.linked, "up", f"unreachable since {health.contact[11:19]}")


def _policy(health: UnitHealth) -> str:
    here = output.policy(health.policy_version)
    if health.independent or health.acknowledged_version == health.policy_version:
        return here
    return f"{output.policy(health.acknowledged_version)} (has {here})"
