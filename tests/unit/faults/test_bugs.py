"""The planted bugs follow the product: each still finds the piece that it breaks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
PLANT = "from tests.faults.bugs import BUGS\nfor plant in BUGS.values():\n    plant()"


def test_each_bug_finds_the_piece_that_it_breaks() -> None:
    # In a process of its own, which stays broken.
    command = [sys.executable, "-W", "ignore", "-c", PLANT]
    planting = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert planting.returncode == 0, planting.stderr
