"""A whole group on one machine: headquarters and some units, each with its own database, certificate and processes.

The group lives in one folder. What a unit needs to know is in its own `settings.toml`, exactly as a production unit
would be configured; nothing in a unit's processes knows that headquarters is next door. Each unit reaches headquarters
through a `Line` that can be cut and healed.

    .hanse/
      group.json      which units there are, and their ports: they stay the same from start to start
      authority/      the group's certificate authority
      servers/        PostgreSQL (one database for each unit), Temporal (one namespace), Valkey (one index)
      units/munich/   settings.toml, certificate, keys, logs

Starting is idempotent: what is there is used again. Stopping ends every process; so does the death of the supervisor.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pydantic import BaseModel

from hanse.config import SETTINGS_FILE_VARIABLE, Mode
from hanse.errors import FailedPrecondition, LocalServerFailed
from hanse.identity import CertificateAuthority, create_signing_key
from hanse.local.broker import EmbeddedBroker
from hanse.local.line import Line
from hanse.local.ports import LOOPBACK, free_ports
from hanse.local.postgres import EmbeddedPostgres
from hanse.local.process import ManagedProcess
from hanse.local.server import EmbeddedServer
from hanse.local.temporal import EmbeddedTemporal
from hanse.names import HEADQUARTERS, short_unit

START_DEADLINE_SECONDS = 60.0
"""How long a unit's processes may take to answer: imports take seconds on a small machine under load."""
STOP_GRACE_SECONDS = 10.0
PROBE_TIMEOUT_SECONDS = 2.0

Progress = Callable[[str], None]
"""Is told what the group is doing now, for people."""
Probe = Callable[[], Awaitable[bool]]
Migrate = Callable[[str], None]
"""Brings the database of a URL to the newest version of every schema."""


class GroupNotFound(FailedPrecondition):
    """There is no group in the folder."""

    reason = "GROUP_NOT_FOUND"
    message = "There is no group here."
    hint = "Start one with `hanse up`, or name its folder with --group."


class UnitPorts(BaseModel):
    """The ports of one unit."""

    serve: int
    gateway: int
    line: int
    peer: int = 0
    """Where it listens to its peers; 0 in a group that was made before there were any."""


class GroupFile(BaseModel):
    """What a group remembers from start to start."""

    units: dict[str, UnitPorts]
    """By the unit's resource name, headquarters first."""
    hub_port: int
    postgres_port: int
    temporal_port: int
    broker_port: int

    @classmethod
    def load_or_create(cls, path: Path, units: Sequence[str]) -> GroupFile:
        """Return what is remembered, with ports for units that are new."""
        if path.exists():
            group = cls.model_validate_json(path.read_text())
        else:
            hub, postgres, temporal, broker = free_ports(4)
            group = cls(units={}, hub_port=hub, postgres_port=postgres, temporal_port=temporal, broker_port=broker)
        for unit in units:
            if unit not in group.units:
                serve, gateway, line = free_ports(3)
                group.units[unit] = UnitPorts(serve=serve, gateway=gateway, line=line)
            if not group.units[unit].peer:
                [group.units[unit].peer] = free_ports(1)
        path.write_text(group.model_dump_json(indent=2))
        return group


@dataclass(frozen=True, slots=True)
class GroupFolder:
    """Where a group keeps what."""

    path: Path

    @property
    def file(self) -> Path:
        """The group file."""
        return self.path / "group.json"

    @property
    def control_socket(self) -> Path:
        """Where the supervisor takes requests to cut and heal lines."""
        return self.path / "control.sock"

    def unit(self, unit: str) -> Path:
        """The folder of a unit."""
        return self.path / "units" / short_unit(unit)

    def settings(self, unit: str) -> Path:
        """The settings file of a unit."""
        return self.unit(unit) / "settings.toml"

    def read(self) -> GroupFile:
        """Return what the group remembers. Raises GroupNotFound."""
        if not self.file.exists():
            raise GroupNotFound(f"there is no group in {self.path}")
        return GroupFile.model_validate_json(self.file.read_text())


class Group:
    """Starts and stops a group."""

    def __init__(
        self,
        folder: Path,
        units: Sequence[str],
        migrate: Migrate,
        progress: Progress,
        modes: Mapping[str, Mode] | None = None,
    ) -> None:
        self.folder = GroupFolder(folder.absolute())
        folder.mkdir(parents=True, exist_ok=True)
        self.file = GroupFile.load_or_create(self.folder.file, [HEADQUARTERS, *units])
        self.units = [HEADQUARTERS, *units]
        self.lines: dict[str, Line] = {}
        self.processes: dict[str, ManagedProcess] = {}
        self.servers: list[EmbeddedServer] = []
        self._migrate = migrate
        self._progress = progress
        self._modes = modes or {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Group:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_exception: object) -> None:
        self._progress("stopping")
        await self._stack.aclose()

    async def wait(self) -> None:
        """Wait until a part of the group ends, which it should not. Raises LocalServerFailed, which names its log."""
        parts: list[ManagedProcess | EmbeddedServer] = [*self.processes.values(), *self.servers]
        watched = {asyncio.ensure_future(part.wait()): part for part in parts}
        try:
            done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for future in watched:
                future.cancel()
        ended = watched[done.pop()]
        raise LocalServerFailed(f"{ended.name} ended; its log is {ended.log_path}", server=ended.name)

    async def _start(self) -> None:
        servers = self.folder.path / "servers"
        self._progress("starting PostgreSQL, Temporal and Valkey")
        postgres = EmbeddedPostgres(servers / "postgres", self.file.postgres_port)
        temporal = EmbeddedTemporal(
            servers / "temporal", self.file.temporal_port, namespaces=[namespace_of(unit) for unit in self.units]
        )
        broker = EmbeddedBroker(servers / "broker", self.file.broker_port)
        self.servers = [postgres, temporal, broker]
        for server in self.servers:
            await self._stack.enter_async_context(server)
        for index, unit in enumerate(self.file.units):
            if unit in self.units:
                await self._prepare(unit, postgres, temporal.address, broker.url(index))
        for unit in self.units:
            if self._mode_of(unit) is not Mode.INDEPENDENT:
                await self._start_line(unit)
        self._progress(f"starting the roles and the reactions of {len(self.units)} units")
        pairs = [pair for unit in self.units for pair in self._processes_of(unit)]
        self.processes = {process.name: process for process, _ in pairs}
        self._stack.push_async_callback(self._stop_processes)
        starts = (process.start(probe, deadline_seconds=START_DEADLINE_SECONDS) for process, probe in pairs)
        await asyncio.gather(*starts)

    async def _prepare(self, unit: str, postgres: EmbeddedPostgres, temporal_address: str, broker_url: str) -> None:
        """Give a unit its database, its certificate and its settings."""
        self._progress(f"preparing the database of {short_unit(unit)}")
        folder = self.folder.unit(unit)
        folder.mkdir(parents=True, exist_ok=True)
        database_url = await postgres.ensure_database(f"hanse_{short_unit(unit).replace('-', '_')}")
        await asyncio.to_thread(self._migrate, database_url)
        self._write_identity(unit, folder)
        ports = self.file.units[unit]
        settings: dict[str, str | list[str]] = {
            "unit": unit,
            "mode": self._mode_of(unit),
            "folder": str(folder),
            "database_url": database_url,
            "broker_url": broker_url,
            "temporal_address": temporal_address,
            "temporal_namespace": namespace_of(unit),
            "serve_address": f"{LOOPBACK}:{ports.serve}",
            "gateway_address": f"{LOOPBACK}:{ports.gateway}",
        }
        if self._mode_of(unit) is not Mode.INDEPENDENT:
            settings["hub_address"] = f"{LOOPBACK}:{ports.line}"
        if unit == HEADQUARTERS:
            settings["hub_listen_address"] = f"{LOOPBACK}:{self.file.hub_port}"
            settings["authority_folder"] = str(self.folder.path / "authority")
            settings["founding_units"] = [name for name in self.file.units if name != HEADQUARTERS]
        # What JSON writes for texts and lists of texts is TOML too.
        lines = [f"{name} = {json.dumps(value)}\n" for name, value in settings.items()] + self._peer_settings(unit)
        self.folder.settings(unit).write_text("".join(lines))

    def _peer_settings(self, unit: str) -> list[str]:
        """Return where a peer listens and dials: here all peers know each other, and the policy says who may."""
        if self._mode_of(unit) is not Mode.PEER:
            return []
        others = [other for other in self.units if other != unit and self._mode_of(other) is Mode.PEER]
        addresses = (f'"{other}" = "{LOOPBACK}:{self.file.units[other].peer}"' for other in others)
        listen = f'peer_listen_address = "{LOOPBACK}:{self.file.units[unit].peer}"\n'
        return [listen, f"peers = {{{', '.join(addresses)}}}\n"]

    def _mode_of(self, unit: str) -> Mode:
        return self._modes.get(unit, Mode.SUBORDINATE)

    def _write_identity(self, unit: str, folder: Path) -> None:
        """Issue the unit's certificate and its key for tokens, unless they are there."""
        create_signing_key(folder)
        if not (folder / "unit.crt").exists():
            CertificateAuthority.load_or_create(self.folder.path / "authority").issue(unit, folder)

    async def _start_line(self, unit: str) -> None:
        line = Line(LOOPBACK, self.file.hub_port, port=self.file.units[unit].line)
        await line.start()
        self._stack.push_async_callback(line.stop)
        self.lines[unit] = line

    def _processes_of(self, unit: str) -> list[tuple[ManagedProcess, Probe]]:
        """Return a unit's two processes: asyncio's with every role, and nameko's with the reactions."""
        folder, environment = self.folder.unit(unit), {SETTINGS_FILE_VARIABLE: str(self.folder.settings(unit))}
        name = short_unit(unit)
        roles = ManagedProcess(
            f"the roles of {name}",
            [sys.executable, "-m", "hanse.cli.main", "run"],
            folder / "roles.log",
            environment=environment,
        )
        reactions = ManagedProcess(
            f"the reactions of {name}",
            [sys.executable, "-m", "hanse_services.react"],
            folder / "reactions.log",
            environment=environment,
        )
        return [(reactions, _always_ready), (roles, lambda: self._is_serving(unit))]

    async def _is_serving(self, unit: str) -> bool:
        authority = (self.folder.unit(unit) / "authority.crt").read_bytes()
        address = f"{LOOPBACK}:{self.file.units[unit].serve}"
        async with grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(authority)) as channel:
            request = health_pb2.HealthCheckRequest()
            try:
                answer = await health_pb2_grpc.HealthStub(channel).Check(request, timeout=PROBE_TIMEOUT_SECONDS)
            except grpc.aio.AioRpcError:
                return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    async def _stop_processes(self) -> None:
        stops = (process.stop(grace_seconds=STOP_GRACE_SECONDS) for process in self.processes.values())
        await asyncio.gather(*stops)


async def _always_ready() -> bool:
    """The reactions listen to the broker only; messages wait for them there."""
    return True


def namespace_of(unit: str) -> str:
    """Return the Temporal namespace of a unit."""
    return f"hanse-{short_unit(unit)}"
