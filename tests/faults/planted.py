"""Does the checker work? Six scenes, each played by the correct product and then with one bug planted in one process.

A scene is small and made for its bug: a load, and the faults under which the bug shows. The correct product has to
pass under the same faults, and the checker has to find something wrong with the broken one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hanse.database import Database
from hanse.names import HEADQUARTERS, short_unit
from tests.faults.bugs import BUGS
from tests.faults.checker import check
from tests.faults.clients import Clients, DeskSession
from tests.faults.group import FaultGroup, part_name
from tests.faults.history import Outcome
from tests.faults.injection import Injector
from tests.faults.quiet import look, until_quiet
from tests.faults.report import Report, summary_of
from tests.faults.schedule import Fault, Kind
from tests.faults.standards import put_in_force
from tests.faults.writers import Habits, Writers, write_openings

PATIENCE_SECONDS = 240.0
"""How long the correct product may take to come to rest on a busy machine."""
BROKEN_PATIENCE_SECONDS = 15.0
"""How long a broken one may take at least; it gets as long as the correct one took, where that was longer."""


@dataclass
class Stage:
    """What a scene is played on: a unit of a group, and what its clients were answered so far."""

    group: FaultGroup
    unit: str
    seed: int
    report: Report

    def part(self, role: str) -> str:
        """Return the name of a part of the unit."""
        return f"{short_unit(self.unit)}.{role}"

    async def write(self, transactions: int, habits: Habits | None = None) -> None:
        """Append to the unit's log."""
        database = Database(self.group.database_url(self.unit))
        try:
            writers = Writers(database, self.unit, self.seed, self.report.history, habits or Habits())
            await writers.write(transactions)
        finally:
            await database.close()

    async def write_at_once(self, records: int) -> None:
        """Append to the unit's log faster than its reactions take it, however busy the machine is."""
        database = Database(self.group.database_url(self.unit))
        try:
            await write_openings(database, self.unit, records)
        finally:
            await database.close()

    async def until_told(self) -> None:
        """Wait until the relay has told everything and moved its cursor: it will not tell it again."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await look(self.group, [self.unit])).untold([self.unit]):  # noqa: ASYNC110 - it tells nobody of that.
                await asyncio.sleep(0.02)

    async def suffer(self, *faults: Fault) -> None:
        """Let faults happen, and return when they are over."""
        injector = Injector(self.group, watch_healing=False)
        await injector.run(faults)
        self.report.faults += injector.done

    async def work_at_desk(self, *faults: Fault) -> None:
        """Let agents work, and a fault happen whenever they are well at work."""
        clients = Clients(self.report.history, self.seed, rate=60.0)
        async with asyncio.TaskGroup() as tasks:
            for number in range(4):
                session = DeskSession(clients, self.group.settings(self.unit), number)
                tasks.create_task(session.run())
            for fault in faults:
                await self._until_answered(30)
                await self.suffer(fault)
            await self._until_answered(10)
            clients.stopping.set()

    async def _until_answered(self, more: int) -> None:
        """Wait until so many more commands were acknowledged."""
        wanted = self.report.history.count(Outcome.OK) + more
        while self.report.history.count(Outcome.OK) < wanted:  # noqa: ASYNC110 - the clients are many.
            await asyncio.sleep(0.02)


async def overlapping_transactions(stage: Stage) -> None:
    """Transactions that began earlier commit later."""
    await stage.write(300, Habits(writers=4, rolled_back=0.05, lingering=0.05, linger_seconds=0.4))


async def killed_desk(stage: Stage) -> None:
    """The services are killed while they answer."""
    serve = stage.part("serve")
    await stage.work_at_desk(Fault(0.0, Kind.KILL, serve), Fault(0.0, Kind.KILL, serve))


async def told_again(stage: Stage) -> None:
    """The relay dies after the confirm."""
    await stage.write(100)
    await until_quiet(stage.group, PATIENCE_SECONDS, only=[HEADQUARTERS, stage.unit])
    await stage.suffer(Fault(0.0, Kind.REPEAT, stage.part("relay"), amount=30))


async def database_gone(stage: Stage) -> None:
    """PostgreSQL dies while the reactions have a backlog."""
    await stage.write_at_once(400)
    await stage.until_told()
    await stage.suffer(Fault(0.0, Kind.KILL, "postgres"))


async def broker_gone(stage: Stage) -> None:
    """The broker dies, and facts come in before it is back: several times: one may pass without any."""
    deaths = (Fault(after_seconds, Kind.KILL, "broker") for after_seconds in (0.5, 1.5, 2.5, 3.5))
    await asyncio.gather(stage.write(300, Habits(rate=60.0)), stage.suffer(*deaths))


async def swallowed_batches(stage: Stage) -> None:
    """The line swallows what the agent sends."""
    hole = Fault(0.0, Kind.BLACK_HOLE, stage.unit, duration_seconds=3.0)

    async def write_a_little_later() -> None:
        await asyncio.sleep(0.5)
        await stage.write(100)

    await asyncio.gather(stage.suffer(hole), write_a_little_later())


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a bug is planted, and how it shows."""

    bug: str
    unit: str
    broken: str
    """The role that is broken."""
    beside: Sequence[str]
    """The roles that the unit needs beside it."""
    play: Callable[[Stage], Awaitable[None]]


SCENES = (
    Scene("naive_cursor", "units/aachen", "relay", ("react",), overlapping_transactions),
    Scene("acknowledge_before_commit", "units/bergen", "serve", (), killed_desk),
    Scene("no_deduplication", "units/cork", "react", ("relay",), told_again),
    Scene("default_acknowledge", "units/delft", "react", ("relay",), database_gone),
    Scene("cursor_before_apply", "units/evora", "relay", ("react",), broker_gone),
    Scene("lost_acknowledgement", "units/faro", "federate", (), swallowed_batches),
)
"""Each bug with its scene, each on a unit of its own."""
HUB = "federate"

assert {scene.bug for scene in SCENES} == BUGS.keys()


def stage_for(folder: Path) -> FaultGroup:
    """Return the group that all scenes are played on, one after the other; nothing but the hub runs between them."""
    return FaultGroup(folder, {HEADQUARTERS: [HUB], **{scene.unit: () for scene in SCENES}})


async def play(group: FaultGroup, scene: Scene, seed: int, *, bug: str = "", patience_seconds: float) -> Report:
    """Play a scene once, and return what the checker finds."""
    report = Report(f"{scene.play.__name__} {bug or '(correct)'}", seed)
    await put_in_force(group, scene.unit)
    began = time.monotonic()
    federate = () if scene.broken == "federate" else ("federate",)
    group.supervisor.deaths.clear()
    await group.start([scene.unit], roles=(*scene.beside, *federate))
    await group.start([scene.unit], roles=(scene.broken,), bug=bug)
    try:
        stage = Stage(group, scene.unit, seed, report)
        # The processes have only been started: what happens before they work shows nothing.
        await stage.write(1)
        await until_quiet(group, patience_seconds, only=[HEADQUARTERS, scene.unit])
        await scene.play(stage)
        seconds, behind = await until_quiet(group, patience_seconds, only=[HEADQUARTERS, scene.unit])
        report.problems = check(report.history.operations, await group.snapshot([HEADQUARTERS, scene.unit]))
    finally:
        await group.stop([scene.unit])
    broken = part_name(scene.unit, scene.broken)
    report.deaths = [death for death in group.supervisor.deaths if death.part == broken]
    report.figures["quiet after"] = f"{seconds:.1f} s" if seconds is not None else f"not yet: {behind}"
    report.figures["took"] = f"{time.monotonic() - began:.1f} s"
    return report


async def prove(group: FaultGroup, scene: Scene, seed: int) -> tuple[Report, Report]:
    """Play a scene with the correct product and then with the bug; return what the checker found each time."""
    began = time.monotonic()
    correct = await play(group, scene, seed, patience_seconds=PATIENCE_SECONDS)
    patience_seconds = max(BROKEN_PATIENCE_SECONDS, time.monotonic() - began)
    return correct, await play(group, scene, seed, bug=scene.bug, patience_seconds=patience_seconds)


def verdict(correct: Report, broken: Report) -> str:
    """Return what came of a scene in one line; empty where all is as it should be."""
    if correct.problems:
        return f"{correct.name} does not pass: {summary_of(correct.problems)}"
    if broken.deaths:
        [death, *_] = broken.deaths
        return f"{broken.name} could not be played: {death.part} ended by itself, so the bug may not be planted"
    if not broken.problems:
        return f"the checker has not found {broken.name}"
    return ""


async def run(folder: Path, seed: int) -> list[Report]:
    """Play every scene, and return one report of what was found."""
    report = Report("planted bugs", seed)
    async with stage_for(folder) as group:
        for scene in SCENES:
            correct, broken = await prove(group, scene, seed)
            report.faults += [*correct.faults, *broken.faults]
            report.figures[scene.bug] = f"found: {summary_of(broken.problems)}" if broken.problems else "not found"
            if missed := verdict(correct, broken):
                report.misses.append(missed)
    found = sum(text.startswith("found") for text in report.figures.values())
    report.figures["found in all"] = f"{found} of {len(SCENES)}"
    return [report]
