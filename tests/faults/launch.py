"""Starts a role process as production does, but with a clock of its own, or with one piece broken on purpose.

    python -m tests.faults.launch serve [relay …]     `hanse run serve relay …`
    python -m tests.faults.launch react module:Class …

Two variables of the environment say what is different; without them nothing is:

- HANSE_FAULTS_CLOCK names a file with a number of seconds by which this process's wall clock is off. Everything in
  Hanse takes its time from `hanse.clock`, so it is replaced there, before anybody has imported it. PostgreSQL's and
  Temporal's own clocks are the machine's.
- HANSE_FAULTS_BUG names one of `bugs`, which is planted in this process.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

CLOCK_VARIABLE = "HANSE_FAULTS_CLOCK"
BUG_VARIABLE = "HANSE_FAULTS_BUG"
LOOK_INTERVAL_SECONDS = 0.2
"""How soon a process notices that its clock has jumped."""


def shifted_clock(file: Path) -> Callable[[], datetime]:
    """Return a clock that is off by what a file says."""
    offset, fresh_until = timedelta(0), 0.0

    def now() -> datetime:
        nonlocal offset, fresh_until
        if time.monotonic() >= fresh_until:
            text = file.read_text() if file.exists() else ""
            offset = timedelta(seconds=float(text or 0))
            fresh_until = time.monotonic() + LOOK_INTERVAL_SECONDS
        return datetime.now(UTC) + offset

    return now


def main() -> None:
    """Become a role process."""
    if file := os.environ.get(CLOCK_VARIABLE):
        import hanse.clock  # noqa: PLC0415 - before everything else of Hanse.

        hanse.clock.utc_now = shifted_clock(Path(file))
    role, *arguments = sys.argv[1:]
    if role == "react":
        from hanse_services import react  # noqa: PLC0415 - it patches the standard library, so it comes first.

        _plant()
        react.main(arguments)
    else:
        from hanse.cli.main import main as hanse_main  # noqa: PLC0415 - after the clock.
        from hanse_services import subscriptions  # noqa: PLC0415
        from tests.faults import witness  # noqa: PLC0415

        # The relay lets go of queues that nobody is subscribed to: the witness has to be one of its subscribers.
        everybody = (*subscriptions.SUBSCRIPTIONS, *witness.SUBSCRIPTIONS)
        setattr(subscriptions, "SUBSCRIPTIONS", everybody)  # noqa: B010 - its type says how many there are.
        _plant()
        sys.argv = ["hanse", "run", role, *arguments]
        hanse_main()


def _plant() -> None:
    if name := os.environ.get(BUG_VARIABLE):
        from tests.faults.bugs import BUGS  # noqa: PLC0415 - what it breaks is imported only in its own process.

        BUGS[name]()


if __name__ == "__main__":
    main()
