"""PostgreSQL processes that a killed supervisor left behind on a cluster.

On Linux the death signal ends them, but not everywhere and not within an instant, and two servers on one cluster would
ruin it. PostgreSQL guards against that with `postmaster.pid`, though after a reboot the number in it may belong to
somebody else, which keeps PostgreSQL from starting. So nothing is believed about a process but what it is and where it
runs: every server process, the postmaster and its backends alike, is called `postgres` and has the cluster as its
current folder.
"""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil

from hanse.errors import LocalServerFailed

# SIGINT is the fast shutdown, SIGQUIT the immediate one, which recovers at the next start. PostgreSQL itself turns to
# SIGKILL five seconds after SIGQUIT, so ours comes a little later than that.
_FAST_SHUTDOWN_SECONDS = 10.0
_IMMEDIATE_SHUTDOWN_SECONDS = 7.0
_KILL_SECONDS = 5.0
_POLL_INTERVAL_SECONDS = 0.05


async def stop_leftovers(cluster: Path) -> None:
    """Stop whatever still runs on this cluster, and remove the lock file that it leaves.

    The caller holds the cluster's folder (see `folder`), so what runs there is not another supervisor's.
    """
    postmaster = [process for process in _running_on(cluster) if process.pid == _recorded_pid(cluster)]
    await _stop(cluster, postmaster, signal.SIGINT, _FAST_SHUTDOWN_SECONDS)
    await _stop(cluster, _running_on(cluster), signal.SIGQUIT, _IMMEDIATE_SHUTDOWN_SECONDS)
    await _stop(cluster, _running_on(cluster), signal.SIGKILL, _KILL_SECONDS)
    if survivors := _running_on(cluster):
        raise LocalServerFailed(
            f"An older PostgreSQL still runs on {cluster} and cannot be stopped.",
            hint=f"End the processes {', '.join(str(process.pid) for process in survivors)}, and start Hanse again.",
        )
    (cluster / "postmaster.pid").unlink(missing_ok=True)


async def _stop(cluster: Path, processes: list[psutil.Process], how: signal.Signals, patience_seconds: float) -> None:
    for process in processes:
        with suppress(psutil.Error):
            # psutil compares start times first, so a number that has passed to another process is left alone.
            process.send_signal(how)
    deadline = time.monotonic() + patience_seconds
    while processes and time.monotonic() < deadline:
        if not _running_on(cluster):
            return
        await asyncio.sleep(_POLL_INTERVAL_SECONDS)


def _running_on(cluster: Path) -> list[psutil.Process]:
    place = str(cluster.resolve())
    return [process for process in psutil.process_iter() if _is_postgres_in(place, process)]


def _is_postgres_in(place: str, process: psutil.Process) -> bool:
    try:
        return process.name() == "postgres" and process.cwd() == place
    except psutil.Error:
        # It has just ended, or it belongs to another user: either way it is not ours to stop.
        return False


def _recorded_pid(cluster: Path) -> int | None:
    try:
        return int((cluster / "postmaster.pid").read_text().split(maxsplit=1)[0])
    except (FileNotFoundError, IndexError, ValueError):
        return None
