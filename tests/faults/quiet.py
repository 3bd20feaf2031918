"""When is a group quiet: both ends of every link agree, and everything that is to be told has been told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
from redis.asyncio import Redis
from redis.exceptions import RedisError

from hanse.database import DRIVER_ERRORS
from hanse.names import HEADQUARTERS
from tests.faults.checker import downstream, own_streams
from tests.faults.group import FaultGroup
from tests.faults.snapshot import FEDERATION, NOWHERE, OWN_SCHEMAS, Place

LOOK_INTERVAL_SECONDS = 0.25
SAME_LOOKS = 4
"""How often in a row a look has to show the same quiet group: what is told may make a reaction tell something."""

# The names of the schemas are ours.
_HEADS = " UNION ALL ".join(
    f"SELECT '{schema}', stream, epoch, sequence, hash FROM {schema}.log_head"  # noqa: S608
    for schema in (*OWN_SCHEMAS, FEDERATION)
)
_CURSORS = " UNION ALL ".join(
    f"SELECT '{schema}', stream, epoch, sequence FROM {schema}.log_cursor WHERE follower = 'relay'"  # noqa: S608
    for schema in (*OWN_SCHEMAS, FEDERATION)
)

NOT_THERE = (*DRIVER_ERRORS, TimeoutError, RedisError)
"""What a look raises while PostgreSQL or the broker is away."""


@dataclass
class Look:
    """Where every stream ends, and how far the relays are."""

    heads: dict[str, dict[tuple[str, str], Place]]
    cursors: dict[str, dict[tuple[str, str], tuple[int, int]]]

    def head(self, unit: str, schema: str, stream: str) -> Place:
        """Return where a stream ends in a unit's database."""
        return self.heads[unit].get((schema, stream), NOWHERE)

    def behind(self) -> list[str]:
        """Return which streams are not the same at both ends, or not told on, in words."""
        lagging = []
        for unit in self.heads:
            pairs = [
                (name, self.head(unit, schema, name), self.head(HEADQUARTERS, FEDERATION, name))
                for schema, name in own_streams(unit)
            ]
            name = downstream(unit)
            pairs.append((name, self.head(HEADQUARTERS, FEDERATION, name), self.head(unit, FEDERATION, name)))
            lagging += [f"{name}: {one.sequence} and {other.sequence}" for name, one, other in pairs if one != other]
        return lagging

    def untold(self, units: Sequence[str]) -> list[str]:
        """Return which streams the relays of some units have not told on to their ends."""
        lagging = []
        for unit in units:
            for key in [*own_streams(unit), (FEDERATION, downstream(unit))]:
                place, told = self.heads[unit].get(key, NOWHERE), self.cursors[unit].get(key, NOWHERE[:2])
                if told < place[:2]:
                    lagging.append(f"{key[1]} is told up to {told[1]} of {place.sequence} in {unit}")
        return lagging


async def look(group: FaultGroup, units: Sequence[str] | None = None) -> Look:
    """Look at the databases of units, of all by default. Raises one of NOT_THERE."""
    heads, cursors = {}, {}
    for unit in units or group.units:
        connection = await asyncpg.connect(group.database_url(unit), timeout=5)
        try:
            rows = await connection.fetch(_HEADS)
            heads[unit] = {(row[0], row[1]): Place(row[2], row[3], row[4]) for row in rows}
            rows = await connection.fetch(_CURSORS)
            cursors[unit] = {(row[0], row[1]): (row[2], row[3]) for row in rows}
        finally:
            await connection.close()
    return Look(heads, cursors)


async def waiting_messages(group: FaultGroup, unit: str) -> int:
    """Return how many messages wait in a unit's queues."""
    async with Redis.from_url(group.settings(unit).broker_url) as client:
        queues: list[Any] = [key async for key in client.scan_iter("evt-*")]
        return sum([await client.llen(queue) for queue in queues])


async def until_quiet(
    group: FaultGroup, patience_seconds: float, *, only: Sequence[str] | None = None, told: bool = True
) -> tuple[float | None, str]:
    """Wait until the group, or some units of it, is quiet; return how long that took, or None and what is behind.

    With `told` the relays and the reactions are done too, where they run.
    """
    began, seen, same = time.monotonic(), None, 0
    quiet_since, behind = began, "nobody has looked"
    while time.monotonic() - began < patience_seconds or same:
        try:
            now, behind = await _look_for_quiet(group, only or group.units, told=told)
        except NOT_THERE as error:
            now, behind = None, f"a database is away: {error}"
        if behind:
            seen, same = None, 0
        elif now == seen:
            same += 1
            if same == SAME_LOOKS:
                return quiet_since - began, ""
        else:
            seen, same, quiet_since = now, 1, time.monotonic()
        await asyncio.sleep(LOOK_INTERVAL_SECONDS)
    return None, behind


async def _look_for_quiet(group: FaultGroup, units: Sequence[str], *, told: bool) -> tuple[Look, str]:
    now = await look(group, units)
    tellers = [unit for unit in units if told and group.reacts(unit)]
    behind = [*now.behind(), *now.untold(tellers)]
    behind += [f"{count} messages wait in {unit}" for unit in tellers if (count := await waiting_messages(group, unit))]
    # How far the relays are is no part of the agreement of both ends.
    return (now if told else Look(now.heads, {})), "; ".join(behind[:5])
