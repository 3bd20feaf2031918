"""What goes wrong, when: a pure function of a seed and a plan. The same seed gives the same schedule, always."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random


class Kind(StrEnum):
    """The kinds of faults."""

    KILL = "kill"
    """SIGKILL to a part, which its supervisor starts again."""
    CUT = "cut"
    """A line resets and refuses connections."""
    BLACK_HOLE = "black hole"
    """A line keeps its connections and swallows their bytes; only silence tells."""
    PARTITION = "partition"
    """A router drops every packet: connections stay, and TCP sends again what was lost when the router is back. Where
    the machine has no namespaces, this is a black hole too."""
    RESET = "reset"
    """A line resets its connections once, and takes new ones at once."""
    SLOW = "slow"
    """A line holds every byte back for `amount` seconds."""
    NARROW = "narrow"
    """A line passes `amount` bytes a second in each direction."""
    CLOCK = "clock"
    """A unit's wall clock is off by `amount` seconds while it lasts, and jumps back afterwards."""
    REPEAT = "repeat"
    """The relay dies after the broker's confirm and before it has moved its cursor: the last facts are told again."""


LINE_KINDS = (Kind.CUT, Kind.BLACK_HOLE, Kind.PARTITION, Kind.RESET, Kind.SLOW, Kind.NARROW)

SLOW_SECONDS = (0.05, 0.5)
NARROW_BYTES = (4_000, 40_000)
CLOCK_SECONDS = (60, 300)
REPEATED_FACTS = (1, 50)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong."""

    at_seconds: float
    """After the start of the run."""
    kind: Kind
    target: str
    """A part, "shanghai.serve" or "postgres"; or a unit, for its line and for its clock."""
    duration_seconds: float = 0.0
    """How long it lasts; nothing for what is over at once."""
    amount: float = 0.0
    """How much, by the kind's own measure."""

    @property
    def end_seconds(self) -> float:
        """When it is over, after the start of the run."""
        return self.at_seconds + self.duration_seconds


@dataclass(frozen=True, slots=True)
class Plan:
    """What may go wrong, and how often."""

    parts: Sequence[str] = ()
    """What is killed."""
    units: Sequence[str] = ()
    """Whose lines fail."""
    line_failures: int = 1
    """How often each line fails in a round."""
    clocks: Sequence[str] = ()
    """Whose wall clocks jump."""
    relays: Sequence[str] = ()
    """Whose last facts are told again, by the names of the relays."""
    rounds: int = 1
    """How often each part is killed, and each line, clock and relay fails in one way or another."""
    pause_seconds: float = 3.0
    """Between the beginnings of two faults, on average."""
    longest_seconds: float = 15.0
    """How long a line is out at most: beyond the silence after which both ends give a link up."""


def in_turn(seed: int, plan: Plan) -> tuple[Fault, ...]:
    """Return faults one after the other: in each round everything fails once, in an order by the seed.

    A later fault may begin while a line is still out or a killed part still starts: faults meet, as they do.
    """
    random = Random(seed)  # noqa: S311 - here a sequence that can be repeated is the point.
    faults: list[Fault] = []
    times: Counter[tuple[str, str]] = Counter()
    now = 0.0
    for _ in range(plan.rounds):
        victims = _victims(plan)
        random.shuffle(victims)
        for victim in victims:
            now = round(now + random.uniform(0.5, 1.5) * plan.pause_seconds, 3)
            # Each line fails in every way before it fails in one of them again.
            faults.append(_fault(random, plan, times[victim], victim, now))
            times[victim] += 1
    return tuple(faults)


def at_random(seed: int, plan: Plan, seconds: float) -> tuple[Fault, ...]:
    """Return faults of any kind for so long, each on whatever the seed says."""
    random = Random(seed)  # noqa: S311 - as above.
    faults, now = [], 0.0
    while (now := round(now + random.uniform(0.2, 1.8) * plan.pause_seconds, 3)) < seconds:
        faults.append(_fault(random, plan, random.randrange(len(LINE_KINDS)), random.choice(_victims(plan)), now))
    return tuple(faults)


def _victims(plan: Plan) -> list[tuple[str, str]]:
    """Return everything that may fail: what it is, and its name."""
    lines = [unit for unit in plan.units for _ in range(plan.line_failures)]
    named = (("kill", plan.parts), ("line", lines), ("clock", plan.clocks), ("relay", plan.relays))
    return [(what, name) for what, names in named for name in names]


def _fault(random: Random, plan: Plan, time: int, victim: tuple[str, str], now: float) -> Fault:
    what, target = victim
    duration = round(random.uniform(1.0, plan.longest_seconds), 3)
    if what == "kill":
        return Fault(now, Kind.KILL, target)
    if what == "relay":
        return Fault(now, Kind.REPEAT, target, amount=random.randint(*REPEATED_FACTS))
    if what == "clock":
        return Fault(now, Kind.CLOCK, target, duration, random.choice((-1, 1)) * random.randint(*CLOCK_SECONDS))
    kind = LINE_KINDS[(time + plan.units.index(target)) % len(LINE_KINDS)]
    return Fault(now, kind, target, 0.0 if kind is Kind.RESET else duration, _amount(random, kind))


def _amount(random: Random, kind: Kind) -> float:
    if kind is Kind.SLOW:
        return round(random.uniform(*SLOW_SECONDS), 3)
    return random.randint(*NARROW_BYTES) if kind is Kind.NARROW else 0.0


def length_seconds(faults: Sequence[Fault]) -> float:
    """Return when the last fault is over."""
    return max((fault.end_seconds for fault in faults), default=0.0)
