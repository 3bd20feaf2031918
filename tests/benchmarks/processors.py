"""Processor time of what takes part in a benchmark: on shared cores it says more than a clock on the wall."""

from collections.abc import Mapping

import psutil

from hanse.local.postgres import EmbeddedPostgres
from hanse.local.process import ManagedProcess
from tests.benchmarks.links import Link


class Processors:
    """The processor time that some programs use, each with all of its children: a server's sessions are its own."""

    @classmethod
    def of_link(cls, link: Link) -> "Processors":
        """Watch all that takes part in a link."""
        programs: dict[str, EmbeddedPostgres | ManagedProcess] = {
            "the unit's PostgreSQL": link.near,
            "agent": link.agent,
            "hub": link.hub,
            "headquarters' PostgreSQL": link.far,
        }
        return cls({name: program.pid for name, program in programs.items() if program.pid})

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._before = self._seconds()

    def lap(self) -> dict[str, float]:
        """Return the seconds of processor time that each program used since the last lap."""
        now, before = self._seconds(), self._before
        self._before = now
        return {name: seconds - before[name] for name, seconds in now.items()}

    def _seconds(self) -> dict[str, float]:
        return {name: _tree_seconds(process) for name, process in self._processes.items()}


def _tree_seconds(process: psutil.Process) -> float:
    """Return the processor time of a process and its children, those that have ended among them."""
    seconds = 0.0
    for one in [process, *process.children(recursive=True)]:
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:  # It ended just now: its parent counts it from the next lap on.
            continue
        seconds += times.user + times.system + times.children_user + times.children_system
    return seconds
