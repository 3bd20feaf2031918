"""What a run found, as a table for people."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from tests.faults.checker import Problem, What
from tests.faults.history import History, Outcome
from tests.faults.parts import Death
from tests.faults.schedule import Fault

MAX_SHOWN_PROBLEMS = 20
MIN_WIDTH = 120


@dataclass
class Report:
    """What one run did and found."""

    name: str
    seed: int
    history: History = field(default_factory=History)
    faults: list[Fault] = field(default_factory=list)
    healed_seconds: dict[Fault, float] = field(default_factory=dict)
    """From the end of each fault until headquarters and the reactions had all that had been committed by then."""
    deaths: list[Death] = field(default_factory=list)
    """The parts that ended by themselves: no promise, but each one wants an explanation."""
    problems: list[Problem] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)
    """What else was measured, in words."""
    misses: list[str] = field(default_factory=list)
    """The figures that are not as promised."""

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems and not self.misses

    def count(self, what: What) -> int:
        """Return how many problems are of a kind."""
        return sum(problem.what is what for problem in self.problems)

    def promise(self, name: str, value: float, limit: float, unit: str = "s") -> None:
        """Keep a figure, and whether it is within its limit."""
        self.figures[name] = f"{value:.1f} {unit} (at most {limit:g})"
        if value > limit:
            self.misses.append(f"{name}: {value:.1f} {unit}, more than {limit:g}")

    def save(self, folder: Path) -> None:
        """Keep what was asked for and answered, and what the parts said that ended by themselves."""
        self.history.save(folder / "history.jsonl")
        for number, death in enumerate(self.deaths, 1):
            path = folder / "deaths" / f"{number}-{death.part}.log"
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"{death.last_words}\n{death.part} ended with {death.exit_status}\n")

    def show(self) -> None:
        """Print it."""
        # Wide enough for a line of the table also where no terminal is, as in CI.
        self._print(Console(width=MIN_WIDTH) if not sys.stdout.isatty() else Console())

    def text(self) -> str:
        """Return what `show` prints, without colours."""
        buffer = StringIO()
        self._print(Console(file=buffer, width=MIN_WIDTH))
        return buffer.getvalue()

    def _print(self, console: Console) -> None:
        console.print(self._table())
        if self.history.reasons():
            reasons = ", ".join(f"{reason} {count}" for reason, count in self.history.reasons().most_common(8))
            console.print(f"no good answer because of: {reasons}", style="dim")
        for problem in self.problems[:MAX_SHOWN_PROBLEMS]:
            console.print(f"[red]{problem.what}[/]: {problem.text}")
        for miss in self.misses:
            console.print(f"[red]missed[/]: {miss}")
        verdict = "[green]passed[/]" if self.passed else "[red]failed[/]"
        console.print(f"{self.name}, seed {self.seed}: {verdict}\n")

    def _table(self) -> Table:
        title = f"{self.name}, seed {self.seed}"
        table = Table("", "", "heals within (median, longest)", title=title, title_justify="left")
        for name, faults in self._faults_by_name().items():
            table.add_row(f"fault: {name}", str(len(faults)), self._healing(faults))
        for outcome in Outcome:
            if self.history.operations:
                table.add_row(f"commands {outcome}", str(self.history.count(outcome)), "")
        for what in What:
            table.add_row(str(what), str(self.count(what)), "")
        for part, times in Counter(death.part for death in self.deaths).items():
            table.add_row(f"ended by itself: {part}", str(times), "")
        for name, text in self.figures.items():
            table.add_row(name, text, "")
        return table

    def _faults_by_name(self) -> dict[str, list[Fault]]:
        named: dict[str, list[Fault]] = {}
        for fault in self.faults:
            named.setdefault(f"{fault.kind} {fault.target}", []).append(fault)
        return dict(sorted(named.items()))

    def _healing(self, faults: Sequence[Fault]) -> str:
        times = [self.healed_seconds[fault] for fault in faults if fault in self.healed_seconds]
        return f"{median(times):.1f} s, {max(times):.1f} s" if times else ""


def summary_of(problems: Sequence[Problem]) -> str:
    """Return problems by kind, in one line."""
    return ", ".join(f"{what} {count}" for what, count in Counter(problem.what for problem in problems).items())
