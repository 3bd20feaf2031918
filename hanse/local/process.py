"""A child process that is watched: started until it is ready, stopped until it is gone, and never left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from hanse.errors import LocalServerFailed
from hanse.local import launcher
from hanse.local.launcher import Guise

Probe = Callable[[], Awaitable[bool]]

# Servers take some 100 ms to start; looking this often adds little to that, and costs nothing that can be measured.
_POLL_INTERVAL_SECONDS = 0.02
# Watching for a death may be more leisurely.
_WATCH_INTERVAL_SECONDS = 0.2
# A probe that hangs must not hide the death of the process that it probes.
_PROBE_TIMEOUT_SECONDS = 2.0
# A process in an uninterruptible system call outlives even SIGKILL for a while.
_KILL_PATIENCE_SECONDS = 10.0

# What an error quotes from the log: enough for the reason, and little enough to read.
_TAIL_LINES = 20
_TAIL_BYTES = 4096
# At a start, a log that has grown beyond this becomes `….log.1`, so that restarts never pile up more than two.
_MAXIMUM_LOG_BYTES = 10 * 1024 * 1024


class ManagedProcess:
    """One child process, in a session of its own, with its output in a log file.

    It may be started again after it has ended. Start it from the main thread: the kernel ties a child's life to the
    thread that made it, and would end the child when a mere worker thread ends.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        log_path: Path,
        *,
        environment: Mapping[str, str] | None = None,
        guise: Guise = Guise.SELF,
        stop_signal: signal.Signals = signal.SIGTERM,
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        """`environment` is added to ours; `stop_signal` asks it to stop; the kernel sends `death_signal` if we die."""
        self.name = name
        self.log_path = log_path
        self._command = [str(part) for part in command]
        self._environment = dict(environment or {})
        self._guise = guise
        self._stop_signal = stop_signal
        self._death_signal = death_signal
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id, also after the end; None before the first start."""
        return self._process.pid if self._process else None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    async def start(self, is_ready: Probe, *, deadline_seconds: float) -> None:
        """Start, and return once `is_ready` says so; raise LocalServerFailed on a death or a passed deadline."""
        self._spawn()
        deadline = time.monotonic() + deadline_seconds
        try:
            while not await _probe(is_ready):
                self._require_alive()
                if time.monotonic() > deadline:
                    raise self._failure(f"was not ready after {deadline_seconds:g} seconds")
                await asyncio.sleep(_POLL_INTERVAL_SECONDS)
            # It may have been somebody else's server that answered the probe.
            self._require_alive()
        except BaseException:
            # Also when we are cancelled: a start that did not succeed leaves nothing running.
            await self.stop(grace_seconds=0)
            raise

    async def run(self, *, deadline_seconds: float) -> None:
        """Run to the end; raise LocalServerFailed unless it ends well and in time."""
        self._spawn()
        try:
            await asyncio.wait_for(self._ended(_POLL_INTERVAL_SECONDS), deadline_seconds)
        except TimeoutError:
            raise self._failure(f"was not done after {deadline_seconds:g} seconds") from None
        finally:
            await self.stop(grace_seconds=0)
        if self._process and self._process.returncode != 0:
            raise self._failure(f"failed with {_describe(self._process.returncode)}")

    async def wait(self) -> int:
        """Return the exit status once the process has ended: negative for a signal, as in `subprocess`."""
        return await self._ended(_WATCH_INTERVAL_SECONDS)

    async def stop(self, *, grace_seconds: float) -> None:
        """Ask the process to stop, and end its whole group with SIGKILL when the grace is over."""
        if not self.is_running or self._process is None:
            return
        if grace_seconds > 0:
            self._process.send_signal(self._stop_signal)
            # One that does not heed the signal is ended below, with its group.
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended(_POLL_INTERVAL_SECONDS), grace_seconds)
                return
        self._kill_group()
        await asyncio.wait_for(self._ended(_POLL_INTERVAL_SECONDS), _KILL_PATIENCE_SECONDS)

    def log_tail(self) -> str:
        """Return the last lines of the log."""
        try:
            with self.log_path.open("rb") as log:
                log.seek(max(0, self.log_path.stat().st_size - _TAIL_BYTES))
                lines = log.read().decode(errors="replace").splitlines()
        except FileNotFoundError:
            return ""
        return "\n".join(lines[-_TAIL_LINES:])

    def _spawn(self) -> None:
        if self.is_running:
            raise LocalServerFailed(f"{self.name} is already running.", hint="Stop it first.", server=self.name)
        if threading.current_thread() is not threading.main_thread():
            raise LocalServerFailed(
                f"{self.name} was started outside the main thread, whose end would be its own.",
                hint="Run the event loop in the main thread.",
                server=self.name,
            )
        tether = [self._guise, str(os.getpid()), str(int(self._death_signal))]
        with _open_log(self.log_path) as log:
            # Popen and not asyncio's own subprocess: a server may outlive the event loop that started it.
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", launcher.__file__, *tether, *self._command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # A locale that is set but not installed must not keep a server from starting.
                env=os.environ | {"LC_ALL": "C"} | self._environment,
            )

    async def _ended(self, interval_seconds: float) -> int:
        if self._process is None:
            raise LocalServerFailed(f"{self.name} was never started.", hint="Start it first.", server=self.name)
        while True:
            exit_status = self._process.poll()
            if exit_status is not None:
                return exit_status
            await asyncio.sleep(interval_seconds)

    def _kill_group(self) -> None:
        # The child leads its group and has not been waited for yet, so the number cannot belong to anybody else.
        if self.is_running and self.pid is not None:
            os.killpg(self.pid, signal.SIGKILL)

    def _require_alive(self) -> None:
        if self._process and self._process.poll() is not None:
            raise self._failure(f"died while it was starting, with {_describe(self._process.returncode)}")

    def _failure(self, what: str) -> LocalServerFailed:
        return LocalServerFailed(
            f"{self.name} {what}. The end of its log, {self.log_path}:\n{self.log_tail()}", server=self.name
        )


async def _probe(is_ready: Probe) -> bool:
    try:
        return await asyncio.wait_for(is_ready(), _PROBE_TIMEOUT_SECONDS)
    except TimeoutError:
        return False


def _open_log(path: Path) -> IO[bytes]:
    if path.exists() and path.stat().st_size > _MAXIMUM_LOG_BYTES:
        path.replace(path.with_name(f"{path.name}.1"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def _describe(exit_status: int) -> str:
    return signal.Signals(-exit_status).name if exit_status < 0 else f"exit status {exit_status}"
