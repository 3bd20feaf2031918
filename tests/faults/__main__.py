"""The command: `python -m tests.faults [name …]`. `--help` says what there is, and how long each takes."""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from tests.faults import agreement, catch_up, deadlines, killing, log_tail, planted, restoring
from tests.faults.report import Report
from tests.faults.results import Results, machine, now

Size = TypeVar(
    "Size", killing.Size, log_tail.Size, catch_up.Size, agreement.Size, restoring.Size, deadlines.Size, "_Games"
)

AMOUNTS = frozenset({"commands", "rounds", "transactions", "backlog", "seconds", "records", "games"})
"""The fields of the sizes that say how much is to be done, and not how fast or for how long a thing may last."""


@dataclass(frozen=True, slots=True)
class _Games:
    games: int


@dataclass(frozen=True, slots=True)
class Choice:
    """How much of a promise is to be tried."""

    short: bool
    share: float

    def of(self, short: Size, full: Size) -> Size:
        """Return the short size, or the share of the full one."""
        if self.short:
            return short
        chosen = {field.name: getattr(full, field.name) for field in fields(full) if field.name in AMOUNTS}
        return replace(full, **{name: math.ceil(amount * self.share) for name, amount in chosen.items()})


Run = Callable[[Path, int, Choice], Coroutine[Any, Any, list[Report]]]


class Row(NamedTuple):
    """One promise."""

    run: Run
    takes: str
    """How long, on two quiet cores: the short and the full run."""
    promise: str


async def _killing(folder: Path, seed: int, choice: Choice) -> list[Report]:
    return [await killing.run(folder, seed, choice.of(killing.SHORT, killing.FULL))]


async def _planted(folder: Path, seed: int, _choice: Choice) -> list[Report]:
    return await planted.run(folder, seed)


async def _log_tail(folder: Path, seed: int, choice: Choice) -> list[Report]:
    return [await log_tail.run(folder, seed, choice.of(log_tail.SHORT, log_tail.FULL))]


async def _catch_up(folder: Path, seed: int, choice: Choice) -> list[Report]:
    return [await catch_up.run(folder, seed, choice.of(catch_up.SHORT, catch_up.FULL))]


async def _long_cut(folder: Path, seed: int, choice: Choice) -> list[Report]:
    return [await catch_up.run(folder, seed, choice.of(catch_up.SHORT, catch_up.LONG))]


async def _agreement(folder: Path, seed: int, choice: Choice) -> list[Report]:
    return [await agreement.run(folder, seed, choice.of(agreement.SHORT, agreement.FULL))]


async def _restore(folder: Path, seed: int, choice: Choice) -> list[Report]:
    return await restoring.run(folder, seed, choice.of(restoring.SHORT, restoring.FULL))


async def _deadlines(folder: Path, seed: int, choice: Choice) -> list[Report]:
    return await deadlines.run(folder, seed, choice.of(deadlines.SHORT, deadlines.FULL))


async def _ledger(_folder: Path, seed: int, choice: Choice) -> list[Report]:
    """Hypothesis plays the ledger as a test, since fixtures make its databases."""
    report = Report("ledgers", seed)
    report.figures["games"] = str(choice.of(_Games(8), _Games(200)).games)
    test = [sys.executable, "-m", "pytest", "-q", str(Path(__file__).parent / "test_ledger.py")]
    process = await asyncio.create_subprocess_exec(
        *test, env=os.environ | {"HANSE_FAULTS_EXAMPLES": report.figures["games"]}
    )
    if await process.wait():
        report.misses.append("the ledgers do not agree; Hypothesis has printed the steps")
    return [report]


ROWS: dict[str, Row] = {
    "killing": Row(_killing, "2 min, 30 min", "20,000 commands, every process killed 20 times: 0 lost, 0 doubled"),
    "planted": Row(_planted, "3 min, 3 min", "the checker finds 6 of 6 planted bugs"),
    "log_tail": Row(_log_tail, "1 min, 15 min", "50,000 transactions of 8 writers: all at headquarters, in order"),
    "catch_up": Row(_catch_up, "2 min, 6 min", "cuts of 10 s and 2 min, backlog of 100,000: back in time"),
    "agreement": Row(_agreement, "2 min, 10 min", "5 units, 5 minutes of chaos, then quiet: identical within 60 s"),
    "restore": Row(_restore, "1 min, 2 min", "a unit 5,000 events behind: alarmed in 10 s, nothing lost"),
    "deadlines": Row(_deadlines, "3 min, 8 min", "200 processes: Temporal's store wiped, the worker killed 20 times"),
    "ledger": Row(_ledger, "1 min, 10 min", "debits = credits, headquarters = the sum of the units, whatever fails"),
    "long_cut": Row(_long_cut, "2 min, 35 min", "catch-up after a cut of 30 min"),
}
ONLY_BY_NAME = frozenset({"long_cut"})
"""What is run only where it is asked for: it waits most of the time."""


def main() -> None:
    """Run what was asked for, all by default; exit with 1 where a promise is not kept."""
    listed = "\n".join(f"  {name:<10} {row.takes:<15} {row.promise}" for name, row in ROWS.items())
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description=f"Let things go wrong, and check what is promised.\n\n  name       short, full\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="name", help="which promises; all but long_cut by default")
    parser.add_argument("--short", action="store_true", help="small sizes, as in `make test`")
    parser.add_argument("--seed", type=int, help="the seed of the schedule; a random one by default")
    parser.add_argument("--share", type=_share, default=1.0, help="less than the full figure, for a busy machine: 0.2")
    parser.add_argument("--results", type=Path, help="a folder for the tables; what has passed there is not run again")
    parser.add_argument("--keep", action="store_true", help="keep the group's folder also after a pass")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - ROWS.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    seed = random.randrange(1_000_000) if arguments.seed is None else arguments.seed  # noqa: S311 - it is printed.
    chosen = [name for name in ROWS if name not in ONLY_BY_NAME]
    choice = Choice(arguments.short, arguments.share)
    results = Results(arguments.results) if arguments.results else None
    passed = [_run(name, seed, choice, results, arguments.keep) for name in arguments.names or chosen]
    sys.exit(0 if all(passed) else 1)


def _share(text: str) -> float:
    share = float(text)
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError("a share is above 0, and 1 at most")
    return share


def _run(name: str, seed: int, choice: Choice, results: Results | None, keep: bool) -> bool:
    if results and results.has_passed(name):
        print(f"{name} has passed already: {results.path(name)}")
        return True
    command = f"python -m tests.faults {name} --seed {seed}{' --short' if choice.short else ''}"
    command += f" --share {choice.share:g}" if choice.share < 1 else ""
    folder, begun = Path(tempfile.mkdtemp(prefix=f"hanse-faults-{name}-")), f"{now()}, {machine()}"
    reports = asyncio.run(ROWS[name].run(folder, seed, choice))
    for report in reports:
        report.show()
    if results:
        results.keep(name, command, begun, reports)
    passed = all(report.passed for report in reports)
    # A part that ended by itself breaks no promise, but its last words are worth reading.
    if passed and not keep and not any(report.deaths for report in reports):
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"The group's folder, with its logs, is {folder}")
    if not passed:
        print(f"Repeat it with: {command}")
    return passed


if __name__ == "__main__":
    main()
