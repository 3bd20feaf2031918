"""Where the command line finds a unit: in the group's folder, or in the settings that the environment names."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from hanse.cli.desk import Desk
from hanse.config import SETTINGS_FILE_VARIABLE, Settings, load_settings
from hanse.local.group import GroupFolder, GroupNotFound

DEFAULT_FOLDER = Path(".hanse")
GROUP_VARIABLE = "HANSE_GROUP"

GroupOption = Annotated[Path, typer.Option("--group", envvar=GROUP_VARIABLE, help="The folder of the group.")]
UnitOption = Annotated[str, typer.Option("--unit", "-u", help="The unit to ask, for example shanghai.")]
PersonOption = Annotated[str, typer.Option("--as", help="Who you are, for example li.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def settings_of(group: Path, unit: str) -> Settings:
    """Return the settings of a unit of a group. Raises GroupNotFound."""
    if SETTINGS_FILE_VARIABLE in os.environ:
        return load_settings()
    file = GroupFolder(group.absolute()).settings(resource_name(unit))
    if not file.exists():
        raise GroupNotFound(f"there is no unit {unit} in {group}")
    os.environ[SETTINGS_FILE_VARIABLE] = str(file)
    try:
        return load_settings()
    finally:
        del os.environ[SETTINGS_FILE_VARIABLE]


def resource_name(unit: str) -> str:
    """Return "units/shanghai" for "shanghai", and for itself."""
    return unit if unit.startswith("units/") else f"units/{unit}"


def desk_of(group: Path, unit: str, person: str) -> Desk:
    """Return the desk of somebody at a unit."""
    return Desk(settings_of(group, unit), person)


def ticket_name(unit: str, ticket: str) -> str:
    """Return a ticket's full name; a bare id is one of the unit's own."""
    return ticket if "/" in ticket else f"{resource_name(unit)}/tickets/{ticket}"


def ask(group: Path, unit: str, person: str, call: Callable[[Desk], Awaitable[Any]]) -> Any:
    """Call a unit as somebody, once, and return the answer."""

    async def call_once() -> Any:
        async with desk_of(group, unit, person) as desk:
            return await call(desk)

    return asyncio.run(call_once())
