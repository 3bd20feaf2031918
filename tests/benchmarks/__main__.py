"""The command: `python -m tests.benchmarks [name …] [--json] [--quick]`."""

import argparse
import asyncio
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from tests.benchmarks import (
    catch_up,
    idle_clocks,
    live_latency,
    long_backlog,
    many_units,
    memory,
    open_ticket,
    recompute,
    waiting,
)
from tests.benchmarks.report import Report

Benchmark = Callable[[Path, bool], Coroutine[Any, Any, Report]]

BENCHMARKS: dict[str, Benchmark] = {
    "open_ticket": open_ticket.measure,
    "catch_up": catch_up.measure,
    "live_latency": live_latency.measure,
    "many_units": many_units.measure,
    "memory": memory.measure,
    "waiting": waiting.measure,
    "recompute": recompute.measure,
    "idle_clocks": idle_clocks.measure,
    "long_backlog": long_backlog.measure,
}
LONG = frozenset({"long_backlog"})
"""What takes so long that it runs only where it is named."""


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="Measure Hanse against its floors.")
    parser.add_argument(
        "names", nargs="*", metavar="name", help=f"{', '.join(BENCHMARKS)}; by default all but {', '.join(LONG)}"
    )
    parser.add_argument("--json", action="store_true", help="one line of JSON for each benchmark")
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, to see that it works; the numbers mean little"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - BENCHMARKS.keys():
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    for name in arguments.names or [name for name in BENCHMARKS if name not in LONG]:
        with tempfile.TemporaryDirectory(prefix=f"hanse-{name}-") as folder:
            report = asyncio.run(BENCHMARKS[name](Path(folder), arguments.quick))
        report.show(as_json=arguments.json)


if __name__ == "__main__":
    main()
