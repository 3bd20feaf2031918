"""Catch-up after a cut: the loss is noticed, the first event comes soon after healing, and a policy does not wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import asyncpg

from hanse.cli.desk import Desk
from hanse.database import Database
from hanse.local.line import Line
from hanse.names import HEADQUARTERS, stream_name
from hanse_protos.policy.v1 import policy_pb2
from tests.faults import standards
from tests.faults.concluding import PATIENCE_SECONDS, conclude
from tests.faults.group import FEWER, FaultGroup
from tests.faults.quiet import look, until_quiet
from tests.faults.report import Report
from tests.faults.snapshot import FEDERATION
from tests.faults.writers import Habits, Writers, write_openings

SHANGHAI = "units/shanghai"
LAYOUT = {HEADQUARTERS: FEWER[:3], SHANGHAI: ("serve relay", "react", "federate")}
LOSS_SECONDS, FIRST_EVENT_SECONDS, POLICY_SECONDS = 15.0, 10.0, 5.0
"""What is promised: the loss is noticed, the first event is there, a policy is in force and headquarters knows it."""
LOOK_INTERVAL_SECONDS = 0.05
RATE = 20.0


@dataclass(frozen=True, slots=True)
class Size:
    """How long the line is out, and how much waits when it is back."""

    cuts_seconds: tuple[float, ...]
    backlog: int
    patience: float = 1.0
    """By how much what is promised may be exceeded: a machine that is shared proves no times."""


SHORT = Size((16.0,), 2_000, patience=6.0)
FULL = Size((10.0, 120.0), 100_000)
LONG = Size((1_800.0,), 0)


async def run(folder: Path, seed: int, size: Size) -> Report:
    """Run it once and return what it found."""
    report = Report("catch-up", seed)
    async with FaultGroup(folder, LAYOUT, witness=False) as group:
        await standards.publish(group)
        await until_quiet(group, PATIENCE_SECONDS)
        database = Database(group.database_url(SHANGHAI))
        try:
            trial = _Trial(group, report, database, seed, size)
            for seconds in size.cuts_seconds:
                await trial.cut(seconds)
            if size.backlog:
                await trial.backlog(size.backlog)
        finally:
            await database.close()
        # The relay tells a backlog on inside the unit in its own time: that is promised to nobody.
        telling_seconds = PATIENCE_SECONDS + size.backlog / 50
        await conclude(group, report, agreement_seconds=PATIENCE_SECONDS, telling_seconds=telling_seconds)
    report.save(folder)
    return report


@dataclass
class _Trial:
    group: FaultGroup
    report: Report
    database: Database
    seed: int
    size: Size

    async def cut(self, seconds: float) -> None:
        """Let the line swallow everything for a while at 20 events a second."""
        name = f"line out for {seconds:g} s"
        writers = Writers(self.database, SHANGHAI, self.seed, self.report.history, Habits(writers=2, rate=RATE))
        writing = asyncio.create_task(writers.write(int(RATE * (seconds + 5))))
        await asyncio.sleep(2)
        self.line.cut(half_open=True)
        began = time.monotonic()
        if seconds > LOSS_SECONDS:
            self._promise(f"{name}: noticed at both ends after", await self._until(self._is_noticed), LOSS_SECONDS)
        await asyncio.sleep(began + seconds - time.monotonic())
        await self._heal(name)
        await writing

    async def backlog(self, records: int) -> None:
        """Cut the line, write very much, and heal it."""
        self.line.cut()
        await write_openings(self.database, SHANGHAI, records)
        await self._heal(f"backlog of {records:,}")

    async def _heal(self, name: str) -> None:
        """Heal the line; measure until the first event is at headquarters, and a policy has gone there and back."""
        before, written = await self._sequences()

        async def has_first_event() -> bool:
            return (await self._sequences())[0] > before

        self.line.heal()
        self._promise(f"{name}: first event after", await self._until(has_first_event), FIRST_EVENT_SECONDS)
        version = await self._publish()

        async def is_in_force() -> bool:
            rows = await self._fetch(SHANGHAI, "SELECT 1 FROM ticket.policy WHERE version = $1", version)
            return bool(rows)

        async def is_acknowledged() -> bool:
            query = "SELECT 1 FROM federation.policy_acknowledgement WHERE unit = $1 AND version = $2"
            return bool(await self._fetch(HEADQUARTERS, query, SHANGHAI, version))

        in_force, acknowledged = await asyncio.gather(self._until(is_in_force), self._until(is_acknowledged))
        self._promise(f"{name}: policy in force after", in_force, POLICY_SECONDS)
        self._promise(f"{name}: policy acknowledged at headquarters after", acknowledged, POLICY_SECONDS)
        there, _ = await self._sequences()
        self.report.figures[f"{name}: behind by then"] = f"{max(0, written - there):,} of {written - before:,} events"

        async def has_caught_up() -> bool:
            return (await self._sequences())[0] >= written

        self.report.figures[f"{name}: caught up after"] = f"{await self._until(has_caught_up):.1f} s more"

    def _promise(self, name: str, seconds: float, limit: float) -> None:
        self.report.promise(name, seconds, limit * self.size.patience)

    @property
    def line(self) -> Line:
        return self.group.lines[SHANGHAI]

    async def _publish(self) -> int:
        async with Desk(self.group.settings(HEADQUARTERS), "standards") as desk:
            document = standards.document(self.group.units)
            document.title = f"Standards at {time.monotonic()}"
            request = policy_pb2.PublishPolicyRequest(document=document, request_id=str(uuid4()))
            version: int = (await desk.policies.PublishPolicy(request)).version
            return version

    async def _is_noticed(self) -> bool:
        query = "SELECT 1 FROM federation.link WHERE unit = $1 AND connected"
        return not [unit for unit in (HEADQUARTERS, SHANGHAI) if await self._fetch(unit, query, SHANGHAI)]

    async def _sequences(self) -> tuple[int, int]:
        """Return where the unit's log ends at headquarters, and here."""
        now, stream = await look(self.group, [HEADQUARTERS, SHANGHAI]), stream_name(SHANGHAI, "ticket")
        return now.head(HEADQUARTERS, FEDERATION, stream).sequence, now.head(SHANGHAI, "ticket", stream).sequence

    async def _fetch(self, unit: str, query: str, *arguments: object) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.group.database_url(unit))
        try:
            return list(await connection.fetch(query, *arguments))
        finally:
            await connection.close()

    async def _until(self, condition: Callable[[], Awaitable[bool]]) -> float:
        """Return after how long a condition holds; infinity where it does not in time."""
        began = time.monotonic()
        while time.monotonic() - began < PATIENCE_SECONDS:
            if await condition():
                return time.monotonic() - began
            await asyncio.sleep(LOOK_INTERVAL_SECONDS)
        return float("inf")
