"""What a benchmark reports: series of measurements, the ratios between them, and the targets."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Series:
    """Measurements of one thing."""

    name: str
    values: Sequence[float]
    unit: str

    @property
    def median(self) -> float:
        """The middle one."""
        return median(self.values)


@dataclass(frozen=True)
class Goal:
    """A number with its target."""

    name: str
    value: float
    target: str
    is_met: bool


@dataclass
class Report:
    """What one benchmark found."""

    name: str
    series: list[Series] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, values: Sequence[float], unit: str) -> Series:
        """Add a series and return it."""
        series = Series(name, values, unit)
        self.series.append(series)
        return series

    def at_least(self, name: str, value: float, target: float) -> None:
        """Add a number that should be no less than its target."""
        self.goals.append(Goal(name, value, f">= {target:g}", value >= target))

    def at_most(self, name: str, value: float, target: float) -> None:
        """Add a number that should be no more than its target."""
        self.goals.append(Goal(name, value, f"<= {target:g}", value <= target))

    def show(self, *, as_json: bool) -> None:
        """Print it, for people or for programs."""
        if as_json:
            print(json.dumps(self._as_dict()))
            return
        console = Console()
        console.print(self._table())
        for goal in self.goals:
            verdict = "[green]met[/]" if goal.is_met else "[yellow]missed[/]"
            console.print(f"{goal.name}: [bold]{goal.value:.2f}[/]  (target {goal.target}, {verdict})")
        for note in self.notes:
            console.print(note, style="dim")
        console.print()

    def _table(self) -> Table:
        table = Table("", "median", "min–max", "unit", "rounds", title=self.name, title_justify="left")
        for series in self.series:
            extent = f"{min(series.values):,.1f}–{max(series.values):,.1f}"
            table.add_row(series.name, f"{series.median:,.1f}", extent, series.unit, str(len(series.values)))
        return table

    def _as_dict(self) -> dict[str, object]:
        return {
            "benchmark": self.name,
            "series": [
                {"name": one.name, "unit": one.unit, "median": one.median, "values": list(one.values)}
                for one in self.series
            ],
            "goals": [
                {"name": goal.name, "value": goal.value, "target": goal.target, "met": goal.is_met}
                for goal in self.goals
            ],
            "notes": self.notes,
        }
