"""The command: `python -m tests.benchmarks [name …] [--json] [--quick]`."""

import argparse
import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.benchmarks import catch_up, memory, open_ticket
from tests.benchmarks.report import Report

Benchmark = Callable[[Path, bool], Awaitable[Report]]

BENCHMARKS: dict[str, Benchmark] = {
    "open_ticket": open_ticket.measure,
    "catch_up": catch_up.measure,
    "memory": memory.measure,
}


def main() -> None:
    """Measure what was asked for, all by default."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="Measure Hanse against its floors.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"{', '.join(BENCHMARKS)}; all by default")
    parser.add_argument("--json", action="store_true", help="one line of JSON for each benchmark")
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, to see that it works; the numbers mean little"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - BENCHMARKS.keys():
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    for name in arguments.names or BENCHMARKS:
        with tempfile.TemporaryDirectory(prefix=f"hanse-{name}-") as folder:
            report = asyncio.run(BENCHMARKS[name](Path(folder), arguments.quick))
        report.show(as_json=arguments.json)


if __name__ == "__main__":
    main()
