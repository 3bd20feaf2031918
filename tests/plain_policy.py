"""What a policy makes of a ticket, worked out the plainest way there is, with nothing of the product's.

Working time is counted day by day, thresholds are looked for in the order in which they come, and who is asked is read
from a list. What-if is held against it, under a document that says the same (`write_into`).
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import TypeAlias
from zoneinfo import ZoneInfo

from hanse_protos.policy.v1.policy_pb2 import HierarchyStep, LadderStep, PolicyDocument

TOP_TIER = 3


@dataclass(frozen=True)
class Office:
    """An office that works from 8 to 17 o'clock, Monday to Friday but for its country's holidays."""

    zone: ZoneInfo
    holidays: Container[date] = frozenset()

    def _stretch(self, day: date) -> tuple[datetime, datetime] | None:
        if day.weekday() >= 5 or day in self.holidays:
            return None
        opens, closes = (datetime.combine(day, time(hour), self.zone).astimezone(UTC) for hour in (8, 17))
        return opens, closes

    def worked(self, start: datetime, end: datetime) -> timedelta:
        """Return the time that it works between two instants."""
        worked, day = timedelta(0), start.astimezone(self.zone).date()
        while day <= end.astimezone(self.zone).date():
            if stretch := self._stretch(day):
                worked += max(min(end, stretch[1]) - max(start, stretch[0]), timedelta(0))
            day += timedelta(days=1)
        return worked

    def after(self, start: datetime, needed: timedelta) -> datetime:
        """Return when it has worked so much since an instant."""
        day = start.astimezone(self.zone).date()
        while True:
            if (stretch := self._stretch(day)) and (begins := max(start, stretch[0])) < stretch[1]:
                if needed <= stretch[1] - begins:
                    return begins + needed
                needed -= stretch[1] - begins
            day += timedelta(days=1)

    def is_open(self, at: datetime) -> bool:
        stretch = self._stretch(at.astimezone(self.zone).date())
        return stretch is not None and stretch[0] <= at < stretch[1]


@dataclass(frozen=True)
class Row:
    """How a ticket stands from an instant on: who holds it, at which tier its people have it, whether time counts."""

    at: datetime
    holder: str
    tier: int
    counts: bool


@dataclass(frozen=True)
class Rung:
    """At a percent of the target a ticket of this tier climbs, or another unit is asked for, while its home has it."""

    percent: int
    tier: int
    asks: bool = False


@dataclass(frozen=True)
class Telling:
    """At a percent of the target a level is told of a ticket that has this tier or a higher one."""

    percent: int
    level: str
    tier: int


BREACH = 100
Step: TypeAlias = Rung | Telling | int


@dataclass(frozen=True)
class Routing:
    """Who is asked: of the units that can be, those that are open first, then by name."""

    units: Sequence[str]
    final_owner: str
    desk: str = ""
    desk_units: Sequence[str] = ()
    desk_priorities: Sequence[str] = ()
    returns: int = 1_000
    skips_former_holders: bool = False


@dataclass(frozen=True)
class PlainPolicy:
    """A policy of one target."""

    target: timedelta
    offices: Mapping[str, Office]
    rungs: Sequence[Rung]
    tellings: Sequence[Telling]
    routing: Routing


def write_into(document: PolicyDocument, plain: PlainPolicy) -> None:
    """Let a document say what plain rules say. Its units and calendars stay as they are."""
    routing = plain.routing
    document.targets[0].resolution.FromTimedelta(plain.target)
    for rung in plain.rungs:
        action = LadderStep.REQUEST_ENGAGEMENT if rung.asks else LadderStep.CLIMB
        document.ladder.add(at_percent=rung.percent, action=action, when=f"ticket.tier == {rung.tier}")
    for telling in plain.tellings:
        level = HierarchyStep.Level.Value(telling.level)
        document.hierarchy.add(at_percent=telling.percent, level=level, when=f"ticket.tier >= {telling.tier}")
    document.routing.eligible = f"provider.unit in {[*routing.units]}"
    document.routing.score = "open_now ? 1 : 0"
    if routing.desk:
        when = f"ticket.priority in {[*routing.desk_priorities]}"
        document.desks.add(id=routing.desk, units=routing.desk_units, when=when)
    document.return_limit.returns = routing.returns
    document.return_limit.skip_former_holders = routing.skips_former_holders


@dataclass
class Outcome:
    """What comes of a ticket."""

    tier: int
    late: bool = False
    climbs: int = 0
    told: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    desk: str = ""
    final: bool = False


@dataclass
class PlainTicket:
    """A ticket on its way, row by row."""

    policy: PlainPolicy
    home: str
    priority: str
    rows: Sequence[Row]
    left: set[str] = field(default_factory=set)
    returns: int = 0

    def outcome(self, now: datetime) -> Outcome:
        """Return what has come of it by now."""
        found, holder, worked = Outcome(self.rows[0].tier), self.home, timedelta(0)
        steps: list[Step] = sorted([*self.policy.rungs, *self.policy.tellings, BREACH], key=_percent)
        ends = [row.at for row in self.rows[1:]] + [now]
        for row, end in zip(self.rows, ends, strict=True):
            if row.holder != holder:
                self.left.add(holder)
                holder = row.holder
                self.returns += holder in self.left
            found.tier = max(found.tier, row.tier)
            office = self.policy.offices[holder]
            total = worked + (office.worked(row.at, end) if row.counts else timedelta(0))
            while steps and row.counts and self._needed(steps[0]) <= total:
                step = steps.pop(0)
                self._do(step, found, holder, office.after(row.at, self._needed(step) - worked))
            worked = total
        return found

    def _needed(self, step: Step) -> timedelta:
        return self.policy.target * _percent(step) / 100

    def _do(self, step: Step, found: Outcome, holder: str, at: datetime) -> None:
        match step:
            case Telling():
                if found.tier >= step.tier and step.level not in found.told:
                    found.told.append(step.level)
            case Rung():
                if holder == self.home and found.tier == step.tier and step.asks:
                    self._ask(found, at)
                elif holder == self.home and found.tier == step.tier < TOP_TIER:
                    found.tier, found.climbs = found.tier + 1, found.climbs + 1
            case _:
                found.late = True

    def _ask(self, found: Outcome, at: datetime) -> None:
        routing = self.policy.routing
        out = {self.home} | (self.left if routing.skips_former_holders else set())
        possible = [unit for unit in routing.units if unit not in out]
        possible.sort(key=lambda unit: (not self.policy.offices[unit].is_open(at), unit))
        at_the_desk = [unit for unit in possible if unit in routing.desk_units]
        if self.returns >= routing.returns or not possible:
            found.asked, found.final = [routing.final_owner], True
        elif at_the_desk and self.priority in routing.desk_priorities:
            found.asked, found.desk = at_the_desk, routing.desk
        else:
            found.asked = possible[:1]


def _percent(step: Step) -> int:
    return step if isinstance(step, int) else step.percent
