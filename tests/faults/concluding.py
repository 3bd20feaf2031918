"""The end of a run: wait for quiet, read the databases, and hold them against the history."""

from __future__ import annotations

from tests.faults.checker import check
from tests.faults.group import FaultGroup
from tests.faults.quiet import until_quiet
from tests.faults.report import Report

AGREEMENT_SECONDS = 60.0
"""What is promised: identical streams at both ends within this time of quiet."""
PATIENCE_SECONDS = 300.0
"""How long agreement is waited for, so that the checker can say what is wrong beside its being late."""


async def conclude(
    group: FaultGroup,
    report: Report,
    *,
    agreement_seconds: float = AGREEMENT_SECONDS,
    telling_seconds: float = PATIENCE_SECONDS,
) -> None:
    """Check a group that is left alone. Both ends have to agree in time; telling inside the units may take longer."""
    seconds, behind = await until_quiet(group, PATIENCE_SECONDS, told=False)
    if seconds is None:
        report.misses.append(f"no agreement after {PATIENCE_SECONDS:g} s of quiet: {behind}")
    else:
        report.promise("both ends agree after", seconds, agreement_seconds)
    seconds, behind = await until_quiet(group, telling_seconds)
    if seconds is None:
        report.misses.append(f"not everything is told after {telling_seconds:g} s: {behind}")
    else:
        report.figures["everything is told after"] = f"{seconds:.1f} s more"
    snapshot = await group.snapshot()
    report.problems = check(report.history.operations, snapshot)
    report.deaths = list(group.supervisor.deaths)
    records = sum(len(records) for unit in snapshot.units.values() for records in unit.streams.values())
    report.figures["records checked"] = f"{records:,}"
