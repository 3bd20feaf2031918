"""The parts of a group that can die, each one alone, and the supervisor that starts them again."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import structlog

from hanse.local.group import START_DEADLINE_SECONDS, Probe
from hanse.local.process import ManagedProcess
from hanse.local.server import EmbeddedServer

RESTART_PAUSE_SECONDS = 0.2
"""Between a death and the restart: what a process manager takes to notice."""
RETRY_PAUSE_SECONDS = 1.0
STOP_GRACE_SECONDS = 10.0
LAST_WORDS_BYTES = 64 * 1024
"""What is kept of the log of a part that ended by itself: its later lives write on in the same file."""


logger = structlog.get_logger(__name__)


class Part(Protocol):
    """Something that runs, can be killed, and is started again."""

    name: str

    @property
    def log_path(self) -> Path:
        """Where it writes what it has to say."""

    async def start(self) -> None:
        """Start it, and return when it is ready."""

    async def wait(self) -> int:
        """Return its exit status once it has ended."""

    def kill(self) -> None:
        """End it with SIGKILL, without any warning."""

    async def stop(self) -> None:
        """End it in good order."""


@dataclass
class RolePart:
    """A role process of a unit."""

    name: str
    process: ManagedProcess
    probe: Probe

    @property
    def log_path(self) -> Path:
        """Where it writes what it has to say."""
        return self.process.log_path

    async def start(self) -> None:
        """Start it."""
        if not self.process.is_running:
            await self.process.start(self.probe, deadline_seconds=START_DEADLINE_SECONDS)

    async def wait(self) -> int:
        """Return its exit status once it has ended."""
        return await self.process.wait()

    def kill(self) -> None:
        """End it and whatever it has started."""
        if self.process.is_running and self.process.pid is not None:
            os.killpg(self.process.pid, signal.SIGKILL)

    async def stop(self) -> None:
        """End it in good order."""
        await self.process.stop(grace_seconds=STOP_GRACE_SECONDS)


@dataclass
class ServerPart:
    """A server of the embedded default. Stopping is the group's own task."""

    name: str
    server: EmbeddedServer

    @property
    def log_path(self) -> Path:
        """Where it writes what it has to say."""
        return self.server.log_path

    async def start(self) -> None:
        """Start it; it recovers what it had acknowledged."""
        await self.server.start()

    async def wait(self) -> int:
        """Return its exit status once it has ended."""
        return await self.server.wait()

    def kill(self) -> None:
        """End the server's main process; PostgreSQL's backends notice it and end by themselves."""
        if self.server.is_running and self.server.pid is not None:
            os.kill(self.server.pid, signal.SIGKILL)

    async def stop(self) -> None:
        """Leave it running."""


@dataclass(frozen=True, slots=True)
class Death:
    """The end of a part that nobody had asked for."""

    part: str
    exit_status: int
    """As `subprocess` has it: negative for a signal."""
    last_words: str
    """The end of its log by then."""


@dataclass
class Supervisor:
    """Starts parts, and starts again whatever ends, whoever ended it."""

    parts: dict[str, Part] = field(default_factory=dict)
    deaths: list[Death] = field(default_factory=list)
    """Which parts ended without our doing: a role that fails ends its process, and is started again whole."""
    _watches: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _killed: set[str] = field(default_factory=set)

    async def start(self, parts: Sequence[Part]) -> None:
        """Start parts side by side, and watch them."""
        await asyncio.gather(*(part.start() for part in parts))
        self.watch(parts)

    def watch(self, parts: Sequence[Part]) -> None:
        """Watch parts that run already."""
        for part in parts:
            self.parts[part.name] = part
            self._watches[part.name] = asyncio.create_task(self._watch(part), name=f"watch {part.name}")

    async def _watch(self, part: Part) -> None:
        while True:
            exit_status = await part.wait()
            if part.name not in self._killed:
                logger.warning("a part ended by itself", part=part.name, exit_status=exit_status)
                self.deaths.append(Death(part.name, exit_status, _last_words(part)))
            await asyncio.sleep(RESTART_PAUSE_SECONDS)
            # A kill meanwhile met nothing that lived: what dies next has not been killed yet.
            self._killed.discard(part.name)
            try:
                await part.start()
            except Exception as error:
                # Another fault met it while it started. Whatever it was, a supervisor tries again.
                logger.warning("a part did not start and is started again", part=part.name, problem=_first_line(error))
                self._killed.add(part.name)
                await asyncio.sleep(RETRY_PAUSE_SECONDS)

    def kill(self, name: str) -> None:
        """Kill a part. It is started again."""
        self._killed.add(name)
        self.parts[name].kill()

    async def stop(self, names: Sequence[str] | None = None) -> None:
        """Stop parts in good order, all by default, and watch them no more."""
        chosen = list(self.parts if names is None else names)
        watches = [self._watches.pop(name) for name in chosen]
        for watch in watches:
            watch.cancel()
        await asyncio.gather(*watches, return_exceptions=True)
        await asyncio.gather(*(self.parts.pop(name).stop() for name in chosen))


def _last_words(part: Part) -> str:
    with part.log_path.open("rb") as log:
        log.seek(max(0, part.log_path.stat().st_size - LAST_WORDS_BYTES))
        return log.read().decode(errors="replace")


def _first_line(error: Exception) -> str:
    """Return what happened without the end of the log that a failed start quotes: the log is kept anyway."""
    return f"{type(error).__name__}: {error}".split("\n", maxsplit=1)[0]
