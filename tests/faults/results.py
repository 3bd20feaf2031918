"""What the runs found, kept in a folder: a file for each promise, so that a long series can be gone on with."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.report import Report

PASSED, FAILED = "passed", "failed"


def machine() -> str:
    """Return what a run runs on, and what else runs there: times say little without it."""
    one, five, fifteen = os.getloadavg()
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, load {one:.1f} {five:.1f} {fifteen:.1f}"


def now() -> str:
    """Return the time by the machine's clock."""
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"


@dataclass(frozen=True, slots=True)
class Results:
    """The results of a series of runs."""

    folder: Path

    def has_passed(self, name: str) -> bool:
        """Return whether a promise was kept in an earlier run of the series."""
        path = self.path(name)
        return path.exists() and path.read_text().rstrip().endswith(PASSED)

    def keep(self, name: str, command: str, begun: str, reports: Sequence[Report]) -> None:
        """Keep what a run found, in the place of what an earlier one of the same promise did."""
        self.folder.mkdir(parents=True, exist_ok=True)
        passed = all(report.passed for report in reports)
        head = f"{command}\n{begun}\n{now()}, {machine()}\n"
        tables = "\n".join(report.text() for report in reports)
        self.path(name).write_text(f"{head}\n{tables}\n{PASSED if passed else FAILED}\n")

    def path(self, name: str) -> Path:
        """Return where the results of a promise are."""
        return self.folder / f"{name}.txt"
