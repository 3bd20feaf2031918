"""`hanse up`, `hanse demo`, `hanse line`, `hanse run`, `hanse migrate`: a group, and a unit's processes."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import tempfile
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop
from rich.rule import Rule
from rich.text import Text

import hanse
from hanse.cli import output
from hanse.cli.connection import DEFAULT_FOLDER, GroupOption, resource_name
from hanse.cli.ledger import show_statement
from hanse.cli.stage import StoryResult
from hanse.cli.status import show_health
from hanse.cli.story import Story
from hanse.cli.ticket import show_timeline
from hanse.config import Mode, load_settings
from hanse.local.control import ControlServer, request_control
from hanse.local.group import Group, GroupFolder
from hanse.names import short_unit

DEMO_UNITS = ("units/shanghai", "units/munich")


def policies() -> Path:
    """Return the folder of the policies that come with Hanse: in the package, or beside it in a checkout."""
    package = Path(hanse.__file__).parent
    return next(folder for folder in (package / "policies", package.parent / "policies") if folder.exists())


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command("demo")(demo)
    app.command("up")(up)
    app.command("line")(line)
    app.command("run")(run_roles)
    app.command("migrate")(migrate_database)


class ConsoleNarrator:
    """Tells the story on the terminal."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def chapter(self, number: int, title: str) -> None:
        """Begin a chapter."""
        output.console.print(Rule(f"{number}. {title}", align="left", style="cyan"))

    def say(self, text: str) -> None:
        """Say what happened."""
        elapsed = f"{time.monotonic() - self._start:5.1f} s  "
        output.console.print(Text.assemble((elapsed, "dim"), text))

    @contextlib.contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Show a spinner while the story waits."""
        with output.console.status(f"waiting: {text}"):
            yield


def _interruptible(main: Any) -> Any:
    """Run a coroutine; SIGTERM ends it as Ctrl-C does, so that nothing is left behind either way."""

    async def supervised() -> Any:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - there is one inside a coroutine.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await main

    try:
        return asyncio.run(supervised())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Keep the group's folder afterwards.")] = False,
) -> None:
    """Start headquarters, Shanghai and Munich, and show the whole job on them."""
    folder = Path(tempfile.mkdtemp(prefix="hanse-demo-"))
    try:
        result = _interruptible(_demo(folder))
        _show_result(result)
    finally:
        if keep:
            output.console.print(f"The group's folder is {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


async def _demo(folder: Path) -> StoryResult:
    from hanse.cli.schemas import migrate_all  # noqa: PLC0415 - it brings every part; `hanse --help` needs none of them.

    narrator = ConsoleNarrator()
    narrator.chapter(0, "A group starts: headquarters, Shanghai, Munich")
    with output.console.status("starting") as spinner:

        def progress(text: str) -> None:
            spinner.update(text)
            narrator.say(text)

        group = Group(folder, DEMO_UNITS, migrate_all, progress)
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(group)
            spinner.stop()
            result = await _unless_it_ends(group, Story(group, policies() / "demo.yaml", narrator).tell())
            spinner.start()
        return result


async def _unless_it_ends(group: Group, story: Coroutine[Any, Any, StoryResult]) -> StoryResult:
    """Return the story's result; raise at once where a process of the group ends meanwhile."""
    told, ended = asyncio.ensure_future(story), asyncio.ensure_future(group.wait())
    try:
        done, _ = await asyncio.wait((told, ended), return_when=asyncio.FIRST_COMPLETED)
        if ended in done:
            ended.result()
        return await told
    finally:
        for task in (told, ended):
            task.cancel()
        await asyncio.gather(told, ended, return_exceptions=True)


def _show_result(result: StoryResult) -> None:
    output.console.print(Rule("What came of it", align="left", style="cyan"))
    show_timeline(result.timeline)
    for statement in result.statements:
        show_statement(statement)
    show_health(result.health)
    output.console.print("\nNext: `make up` keeps such a group running; `hanse --help` shows what to do with it.")


def up(
    units: Annotated[str, typer.Option(help="The units beside headquarters, separated by commas.")] = "shanghai,munich",
    mode: Annotated[
        list[str] | None, typer.Option(help="A unit's mode, oslo=independent; subordinate where not said. Repeatable.")
    ] = None,
    group: GroupOption = DEFAULT_FOLDER,
) -> None:
    """Keep a group running, until Ctrl-C. What it knows stays in its folder."""
    names = [resource_name(name.strip()) for name in units.split(",")]
    _interruptible(_up(group, names, _modes(names, mode or [])))


def _modes(units: list[str], written: list[str]) -> dict[str, Mode]:
    """Read "oslo=independent". Raises typer.BadParameter that says what to write."""
    modes = {}
    for text in written:
        name, _, mode = text.partition("=")
        unit = resource_name(name.strip())
        if unit not in units or mode not in list(Mode):
            choice = f"a unit of --units, '=', and one of {', '.join(Mode)}"
            raise typer.BadParameter(f"{text!r} is no unit's mode: write {choice}")
        modes[unit] = Mode(mode)
    return modes


async def _up(folder: Path, units: list[str], modes: dict[str, Mode]) -> None:
    from hanse.cli.schemas import migrate_all  # noqa: PLC0415 - as above.

    def progress(text: str) -> None:
        output.console.print(text, style="dim")

    async with (
        Group(folder, units, migrate_all, progress, modes) as group,
        ControlServer(group.folder.control_socket, group.lines),
    ):
        _show_addresses(group)
        await group.wait()


def _show_addresses(group: Group) -> None:
    rows = (
        (short_unit(unit), f"127.0.0.1:{ports.serve}", f"127.0.0.1:{ports.gateway}", str(group.folder.unit(unit)))
        for unit, ports in group.file.units.items()
        if unit in group.units
    )
    output.table("The group is up", ["unit", "services", "partner gateway", "folder"], rows)
    output.console.print("In another terminal: hanse status; hanse policy publish policies/demo.yaml; hanse --help")
    output.console.print("Ctrl-C stops it.")


def line(
    action: Annotated[str, typer.Argument(help="cut, silence or heal")],
    unit: Annotated[str, typer.Argument(help="The unit whose line to headquarters it is, for example munich.")],
    group: GroupOption = DEFAULT_FOLDER,
) -> None:
    """Cut, silence (half-open) or heal the line between a unit and headquarters of a group that is up."""
    answer = asyncio.run(request_control(GroupFolder(group.absolute()).control_socket, action, unit))
    output.console.print(answer)


def run_roles(
    roles: Annotated[
        list[str] | None, typer.Argument(help="serve, relay, work, federate, gateway; all of the mode by default.")
    ] = None,
) -> None:
    """Run roles of one unit, as its settings say. This is what a Deployment runs."""
    from hanse.cli.roles import Role, roles_of, run  # noqa: PLC0415 - as above.

    settings = load_settings()
    uvloop.run(run(settings, [Role(role) for role in roles] if roles else roles_of(settings)))


def migrate_database() -> None:
    """Bring the unit's database to the newest version, as its settings say. Idempotent."""
    from hanse.cli.schemas import migrate_all  # noqa: PLC0415 - as above.

    migrate_all(load_settings().database_url)
    output.console.print("The database is at the newest version.")
