"""Where the command line finds a unit: in the group's folder, or in the settings that the environment names."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from hanse.cli.desk import Desk
from hanse.config import SETTINGS_FILE_VARIABLE, Settings, load_settings
from hanse.local.group import GroupFolder, GroupNotFound

DEFAULT_FOLDER = Path(".hanse")
GROUP_VARIABLE = "HANSE_GROUP"

GroupOption = Annotated[Path, typer.Option("--group", envvar=GROUP_VARIABLE, help="The folder of the group.")]
UnitOption = Annotated[str, typer.Option("--unit", "-u", help="The unit to ask, for example shanghai.")]
PersonOption = Annotated[str, typer.Option("--as", help="Who you are, for example li.")]
Function = TypeVar("Function", bound=Callable[..., None])
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


@dataclass(frozen=True, slots=True)
class At:
    """Where, and as whom, a command is done, and how it answers: what the options of every command make up."""

    unit: str
    person: str
    group: Path
    as_json: bool

    @property
    def parent(self) -> str:
        """The unit's resource name."""
        return resource_name(self.unit)

    def ticket(self, ticket: str) -> str:
        """Return a ticket's full name; a bare id is one of the unit's own."""
        return ticket if "/" in ticket else f"{self.parent}/tickets/{ticket}"

    def ask(self, call: Callable[[Desk], Awaitable[Any]]) -> Any:
        """Call the unit once, and return the answer."""

        async def call_once() -> Any:
            async with Desk(settings_of(self.group, self.unit), self.person) as desk:
                return await call(desk)

        return asyncio.run(call_once())


def inside(collection: str, example: str) -> Any:
    """Return an argument for the full name of something that is inside a ticket; what is none is refused."""
    form = f"units/…/tickets/…/{collection}/{example}"

    def checked(name: str) -> str:
        if f"/{collection}/" not in name:
            raise typer.BadParameter(f"{name!r} is none: write the full name, {form}")
        return name

    return typer.Argument(help=form, callback=checked)


def command(app: typer.Typer, name: str, *, unit: str, person: str = "operator") -> Callable[[Function], Function]:
    """Add a function to an app as a command that also has the options --unit, --as, --group and --json.

    The function's first parameter is an `At`; `unit` and `person` are the defaults.
    """
    options = {
        "unit": (UnitOption, unit),
        "person": (PersonOption, person),
        "group": (GroupOption, DEFAULT_FOLDER),
        "as_json": (JsonOption, False),
    }

    def add(function: Function) -> Function:
        signature = inspect.signature(function, eval_str=True)
        own = list(signature.parameters.values())[1:]
        shared = [
            inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
            for option, (annotation, default) in options.items()
        ]

        def run(**arguments: Any) -> None:
            at = At(**{option: arguments.pop(option) for option in options})
            function(at, **arguments)

        run.__doc__ = function.__doc__
        # Typer reads a command's parameters from its signature and its annotations.
        run.__signature__ = signature.replace(parameters=[*own, *shared])  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, *shared)}
        app.command(name)(run)
        return function

    return add
