"""The short run: Temporal's store is wiped, the worker is killed twice, and is away while all deadlines pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.deadlines import SHORT, run_of_one_unit

SEED = 1


@pytest.mark.timeout(600)
async def test_every_deadline_is_done_once_whatever_happens_to_temporal_and_its_worker(tmp_path: Path) -> None:
    reports = await run_of_one_unit(tmp_path, SEED, SHORT)
    for report in reports:
        report.show()
    assert all(report.passed for report in reports), "repeat it with: python -m tests.faults deadlines --short"
