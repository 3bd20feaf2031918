"""The log tail misses nothing: overlapping, lingering and rolled back transactions, followed by everybody."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hanse.database import Database
from hanse.names import HEADQUARTERS
from tests.faults.concluding import PATIENCE_SECONDS, conclude
from tests.faults.group import FaultGroup
from tests.faults.report import Report
from tests.faults.writers import Habits, Writers

SHANGHAI = "units/shanghai"
LAYOUT = {HEADQUARTERS: ("federate",), SHANGHAI: ("federate", "relay", "react")}


@dataclass(frozen=True, slots=True)
class Size:
    """How much is written."""

    transactions: int
    habits: Habits


SHORT = Size(600, Habits(writers=8, rolled_back=0.05, lingering=0.02, linger_seconds=0.5, holding=0.01))
FULL = Size(50_000, Habits(writers=8, rolled_back=0.05, lingering=0.01, linger_seconds=2.0, holding=0.001))


async def run(folder: Path, seed: int, size: Size) -> Report:
    """Run it once and return what it found."""
    report = Report("log tail", seed)
    async with FaultGroup(folder, LAYOUT) as group:
        database = Database(group.database_url(SHANGHAI))
        try:
            await Writers(database, SHANGHAI, seed, report.history, size.habits).write(size.transactions)
        finally:
            await database.close()
        # The witness applies one fact in one transaction, and there may be tens of thousands of them.
        await conclude(group, report, telling_seconds=PATIENCE_SECONDS + size.transactions / 20)
    report.save(folder)
    return report
