"""A group under test: the embedded default's servers, databases and lines, and each role in a process of its own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hanse.cli.connection import settings_of
from hanse.cli.schemas import migrate_all
from hanse.config import SETTINGS_FILE_VARIABLE, Settings
from hanse.local.group import Group, Probe
from hanse.local.line import Line
from hanse.local.ports import LOOPBACK
from hanse.local.process import ManagedProcess
from hanse.names import HEADQUARTERS, short_unit
from hanse_services.subscriptions import REACTIONS
from tests.faults.launch import BUG_VARIABLE, CLOCK_VARIABLE
from tests.faults.network import Network, is_possible
from tests.faults.parts import RolePart, ServerPart, Supervisor
from tests.faults.snapshot import Snapshot, take_snapshot
from tests.faults.witness import REACTIONS as WITNESS
from tests.faults.witness import create_tables, declare_queues

REPOSITORY = Path(__file__).parents[2]

REACT = "react"
EACH_ALONE = ("serve", "relay", "react", "federate", "gateway", "work")
"""A unit as production runs it: every role a process."""
FEWER = ("serve relay gateway", "react", "federate", "work")
"""A unit whose own roles are not what is killed."""

SERVERS = ("postgres", "temporal", "broker")


class _ServersAndLines(Group):
    """A group whose processes are started by somebody else."""

    def __init__(self, *arguments: Any, networks: bool) -> None:
        super().__init__(*arguments)
        self.networks: dict[str, Network] = {}
        self._has_networks = networks and is_possible()

    def _processes_of(self, unit: str) -> list[tuple[ManagedProcess, Probe]]:
        return []

    async def _start_line(self, unit: str) -> None:
        """Start the unit's line; it leads through a network of namespaces where that is wanted and possible."""
        port = self.file.hub_port
        if self._has_networks:
            self.networks[unit] = await self._stack.enter_async_context(Network(port))
            port = self.networks[unit].port
        line = Line(LOOPBACK, port, port=self.file.units[unit].line)
        self.lines[unit] = await self._stack.enter_async_context(line)

    async def is_serving(self, unit: str) -> bool:
        """Return whether a unit's services answer."""
        return await self._is_serving(unit)


class FaultGroup:
    """A group whose parts can be killed one by one. An async context manager.

    `layout` says which roles share a process, for each unit; a unit that is not in it has no processes. Without the
    witness, reactions take as long as they do in production.
    """

    def __init__(
        self,
        folder: Path,
        layout: Mapping[str, Sequence[str]],
        *,
        own_clocks: bool = False,
        networks: bool = False,
        witness: bool = True,
    ) -> None:
        self.folder = folder
        self.layout = dict(layout)
        self.units = list(dict.fromkeys([HEADQUARTERS, *layout]))
        self.group = _ServersAndLines(folder, self.units[1:], _migrate, lambda _text: None, networks=networks)
        self.lines, self.networks = self.group.lines, self.group.networks
        self.supervisor = Supervisor()
        self._own_clocks = own_clocks
        self._reactions = [*REACTIONS, *([WITNESS] if witness else [])]

    async def __aenter__(self) -> Self:
        await self.group.__aenter__()
        try:
            self.supervisor.watch(
                [ServerPart(name, server) for name, server in zip(SERVERS, self.group.servers, strict=True)]
            )
            for unit in self.units if WITNESS in self._reactions else ():
                await asyncio.to_thread(declare_queues, self.settings(unit).broker_url)
            await self.start(self.layout)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.supervisor.stop()
        finally:
            await self.group.__aexit__(kind, error, trace)

    async def start(self, units: Iterable[str], *, bug: str = "", roles: Sequence[str] | None = None) -> None:
        """Start the processes of units, with a bug where one is named; `roles` instead of those of the layout."""
        parts = [self.part(unit, each, bug=bug) for unit in units for each in roles or self.layout[unit]]
        await self.supervisor.start(parts)

    async def stop(self, units: Iterable[str]) -> None:
        """Stop the processes of units."""
        prefixes = tuple(f"{short_unit(unit)}." for unit in units)
        await self.supervisor.stop([name for name in self.supervisor.parts if name.startswith(prefixes)])

    def part(self, unit: str, roles: str, *, bug: str = "") -> RolePart:
        """Return a role process of a unit, not yet started; `roles` are separated by spaces."""
        name = part_name(unit, roles)
        environment = {SETTINGS_FILE_VARIABLE: str(self.group.folder.settings(unit)), "PYTHONPATH": str(REPOSITORY)}
        if bug:
            environment[BUG_VARIABLE] = bug
        if self._own_clocks:
            environment[CLOCK_VARIABLE] = str(self.clock_file(unit))
        process = ManagedProcess(
            name,
            _command(roles, self._reactions, launched=bool(bug) or self._own_clocks or WITNESS in self._reactions),
            self.group.folder.unit(unit) / f"{name}.log",
            environment=environment,
        )
        return RolePart(name, process, self._probe_of(unit, roles))

    def _probe_of(self, unit: str, roles: str) -> Probe:
        async def probe() -> bool:
            return "serve" not in roles.split() or await self.group.is_serving(unit)

        return probe

    def clock_file(self, unit: str) -> Path:
        """Return the file that says by how much a unit's clock is off."""
        return self.group.folder.unit(unit) / "clock"

    def settings(self, unit: str) -> Settings:
        """Return the settings of a unit."""
        return settings_of(self.folder, unit)

    def database_url(self, unit: str) -> str:
        """Return the URL of a unit's database."""
        return self.settings(unit).database_url

    def reacts(self, unit: str) -> bool:
        """Return whether a unit's reactions run, so that what is told there has to take effect."""
        return part_name(unit, REACT) in self.supervisor.parts

    async def snapshot(self, units: Sequence[str] | None = None) -> Snapshot:
        """Read the databases of units, of all by default; headquarters has to be among them."""
        chosen = units or self.units
        urls = {unit: self.database_url(unit) for unit in chosen}
        snapshot = await asyncio.to_thread(take_snapshot, urls, HEADQUARTERS)
        for unit in chosen:
            snapshot.units[unit].reacts = self.reacts(unit)
            if WITNESS not in self._reactions:
                snapshot.units[unit].witnessed = None
        return snapshot


def part_name(unit: str, roles: str) -> str:
    """Return "shanghai.serve" for the roles "serve relay". `federate` is the agent of a unit, headquarters' the hub."""
    role, *_ = roles.split()
    if role == "federate":
        role = "hub" if unit == HEADQUARTERS else "agent"
    return f"{short_unit(unit)}.{role}"


def _command(roles: str, reactions: Sequence[str], *, launched: bool) -> list[str]:
    names = roles.split()
    if launched:
        arguments = [REACT, *reactions] if names == [REACT] else names
        return [sys.executable, "-m", "tests.faults.launch", *arguments]
    if names == [REACT]:
        return [sys.executable, "-m", "hanse_services.react", *reactions]
    return [sys.executable, "-m", "hanse.cli.main", "run", *names]


def _migrate(database_url: str) -> None:
    migrate_all(database_url)
    create_tables(database_url)
