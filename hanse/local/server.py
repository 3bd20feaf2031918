"""What the three embedded servers have in common: a data folder, a port, a process, and how they start and stop."""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from hanse.errors import LocalServerFailed
from hanse.local.folder import FolderClaim
from hanse.local.launcher import Guise
from hanse.local.ports import LOOPBACK, free_port, is_port_free
from hanse.local.process import ManagedProcess

# A start takes a second at most; the rest is for recovery after a crash, on a slow disk.
START_DEADLINE_SECONDS = 60.0

# Long enough for PostgreSQL to write its last checkpoint; a server that needs longer recovers at its next start.
STOP_GRACE_SECONDS = 20.0


class EmbeddedServer(ABC):
    """One server on loopback, with everything that outlives it in `data_dir`. Also an async context manager."""

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    death_signal: ClassVar[signal.Signals] = signal.SIGKILL

    def __init__(self, data_dir: Path, port: int | None = None) -> None:
        """Without a `port`, a free one is chosen and kept for as long as this object lives."""
        self.data_dir = data_dir.absolute()
        self.port = port or free_port()
        self.guise = Guise.SELF
        self._claim = FolderClaim(self.data_dir)
        self._process: ManagedProcess | None = None

    @property
    def address(self) -> str:
        """Host and port, as in `127.0.0.1:20000`."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def log_path(self) -> Path:
        return self.data_dir / "server.log"

    @property
    def pid(self) -> int | None:
        """The server's process id, also after its end; None before the first start."""
        return self._process.pid if self._process else None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.is_running

    async def start(self) -> None:
        """Start, and return once the server answers; raise LocalServerFailed if it does not."""
        if self.is_running:
            return
        self._claim.take()
        try:
            await self._prepare()
            self._require_free_port()
            process = self._managed(self.name, self._command())
            await process.start(self._is_ready, deadline_seconds=START_DEADLINE_SECONDS)
        except BaseException:
            self._claim.release()
            raise
        self._process = process

    async def stop(self) -> None:
        """Stop in good order; a server that does not comply in time is killed."""
        try:
            if self._process is not None:
                await self._process.stop(grace_seconds=STOP_GRACE_SECONDS)
        finally:
            self._claim.release()

    async def wait(self) -> int:
        """Return the exit status once the server has ended, for a supervisor to see that it died."""
        if self._process is None:
            raise LocalServerFailed(f"{self.name} was never started.", hint="Start it first.", server=self.name)
        return await self._process.wait()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    def _managed(self, name: str, command: list[str | Path]) -> ManagedProcess:
        return ManagedProcess(
            name,
            command,
            self.log_path,
            guise=self.guise,
            stop_signal=self.stop_signal,
            death_signal=self.death_signal,
        )

    def _require_free_port(self) -> None:
        # Otherwise the probe might be answered by a stranger before our own server has found the port taken.
        if not is_port_free(self.port):
            raise LocalServerFailed(
                f"{self.name} cannot listen on {self.address}: another process does.",
                hint="Stop the other process, or choose another port.",
                server=self.name,
            )

    @abstractmethod
    async def _prepare(self) -> None:
        """Bring the data folder into a state that the server can start on."""

    @abstractmethod
    def _command(self) -> list[str | Path]:
        """Return the server's program and its arguments."""

    @abstractmethod
    async def _is_ready(self) -> bool:
        """Say whether the server answers; raise nothing while it does not."""
