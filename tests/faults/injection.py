"""Carries a schedule out on a group, and measures how long each fault takes to heal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import asyncpg

from hanse.local.line import Line
from hanse.names import HEADQUARTERS
from tests.faults.checker import own_streams
from tests.faults.group import FaultGroup
from tests.faults.quiet import NOT_THERE, Look, look
from tests.faults.schedule import Fault, Kind
from tests.faults.snapshot import FEDERATION

HEALING_PATIENCE_SECONDS = 90.0
"""How long the healing of one fault is watched; others may come meanwhile."""
LOOK_INTERVAL_SECONDS = 0.5


@dataclass
class Injector:
    """Lets things go wrong as a schedule says."""

    group: FaultGroup
    watch_healing: bool = True
    done: list[Fault] = field(default_factory=list)
    healed_seconds: dict[Fault, float] = field(default_factory=dict)
    _watches: list[asyncio.Task[None]] = field(default_factory=list)

    async def run(self, faults: Sequence[Fault]) -> None:
        """Carry out every fault at its time, and return when all are over and healed, or given up on."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for fault in faults:
                tasks.create_task(self._carry_out(fault, began))
        await asyncio.gather(*self._watches)

    async def _carry_out(self, fault: Fault, began: float) -> None:
        await asyncio.sleep(began + fault.at_seconds - time.monotonic())
        await self._begin(fault)
        self.done.append(fault)
        await asyncio.sleep(fault.duration_seconds)
        await self._end(fault)
        if self.watch_healing:
            self._watches.append(asyncio.create_task(self._watch(fault)))

    async def _begin(self, fault: Fault) -> None:
        match fault.kind:
            case Kind.KILL:
                self.group.supervisor.kill(fault.target)
            case Kind.REPEAT:
                await self._tell_again(fault.target, int(fault.amount))
            case Kind.CLOCK:
                self.group.clock_file(fault.target).write_text(str(fault.amount))
            case Kind.PARTITION if network := self.group.networks.get(fault.target):
                await asyncio.to_thread(network.partition)
            case _:
                _damage(self.group.lines[fault.target], fault)

    async def _end(self, fault: Fault) -> None:
        match fault.kind:
            case Kind.KILL | Kind.REPEAT:
                return
            case Kind.CLOCK:
                self.group.clock_file(fault.target).write_text("0")
            case Kind.PARTITION if network := self.group.networks.get(fault.target):
                await asyncio.to_thread(network.heal)
            case _:
                _repair(self.group.lines[fault.target], fault)

    async def _tell_again(self, relay: str, facts: int) -> None:
        """Kill a relay, and set its cursor back: it dies after the confirm and before its cursor has moved."""
        unit = f"units/{relay.split('.', maxsplit=1)[0]}"
        self.group.supervisor.kill(relay)
        statement = "UPDATE {}.log_cursor SET sequence = greatest(0, sequence - $1) WHERE follower = 'relay'"
        try:
            connection = await asyncpg.connect(self.group.database_url(unit), timeout=5)
        except NOT_THERE:
            # PostgreSQL is away too, so the relay could not have moved its cursor anyway.
            return
        try:
            await connection.execute(statement.format("ticket"), facts)
        finally:
            await connection.close()

    async def _watch(self, fault: Fault) -> None:
        """Measure until headquarters has everything, and the relays have told everything, of when the fault ended."""
        began = time.monotonic()
        wanted: Look | None = None
        while time.monotonic() - began < HEALING_PATIENCE_SECONDS:
            try:
                now = await look(self.group)
            except NOT_THERE:
                now = None
            if now is not None:
                wanted = wanted or now
                if _has(now, wanted):
                    self.healed_seconds[fault] = time.monotonic() - began
                    return
            await asyncio.sleep(LOOK_INTERVAL_SECONDS)


def _has(now: Look, wanted: Look) -> bool:
    """Return whether headquarters and the relays have come to where the units' logs ended earlier."""
    for unit in wanted.heads:
        for key in own_streams(unit):
            place = wanted.head(unit, *key)[:2]
            if now.head(HEADQUARTERS, FEDERATION, key[1])[:2] < place:
                return False
            if now.cursors[unit] and now.cursors[unit].get(key, (1, 0)) < place:
                return False
    return True


def _damage(line: Line, fault: Fault) -> None:
    match fault.kind:
        case Kind.CUT:
            line.cut()
        case Kind.BLACK_HOLE | Kind.PARTITION:
            line.cut(half_open=True)
        case Kind.RESET:
            line.cut()
            line.heal()
        case Kind.SLOW:
            line.delay_seconds = fault.amount
        case Kind.NARROW:
            line.bytes_per_second = fault.amount


def _repair(line: Line, fault: Fault) -> None:
    match fault.kind:
        case Kind.SLOW:
            line.delay_seconds = 0.0
        case Kind.NARROW:
            line.bytes_per_second = None
        case _:
            line.heal()
