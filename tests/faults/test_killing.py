"""The short run: every process of a unit is killed once, and the line, the clock and the telling fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.killing import SHORT, run

SEED = 2


@pytest.mark.timeout(900)
async def test_nothing_acknowledged_is_lost_or_doubled_while_every_process_is_killed(tmp_path: Path) -> None:
    report = await run(tmp_path, SEED, SHORT)
    report.show()
    assert report.passed, f"repeat it with: python -m tests.faults killing --short --seed {SEED}"
