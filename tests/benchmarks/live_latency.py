"""Live latency: from a unit's commit until headquarters shows it, against a bare insert-and-notify over one stream.

A desk commits 200 events a second, one by one. For each the clock runs from the return of its COMMIT in the unit until
a reader at headquarters, woken by PostgreSQL's notification, reads that it is there. The floor does the least that
brings a row from one database to another at once: a process is notified, reads the row and sends it over one gRPC
stream with TLS; a second one inserts it, notifies, and commits.

Both use the same two servers and take turns. Late is what counts, so it is the 99th percentiles that are compared.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from hanse.local.ports import LOOPBACK, free_port
from hanse.local.process import ManagedProcess
from hanse.log.append import EMPTY_HEAD
from hanse.log.tables import NOTIFY_CHANNEL
from tests.benchmarks import floor_link, history
from tests.benchmarks.callers import UNIT
from tests.benchmarks.floor_link import FloorLink
from tests.benchmarks.links import STREAM, Link, append, connect, until
from tests.benchmarks.report import Report
from tests.benchmarks.units import READY_SECONDS, STOP_SECONDS, is_listening

TARGET_RATIO = 5.0
EVENTS_PER_SECOND = 200
ROUNDS = 5
ROUND_SECONDS = 8.0


@dataclass
class Course:
    """One way from the unit's database to headquarters', and how long events took on it."""

    commit: Callable[[int], Awaitable[None]]
    """Commits the event of a number, from 1."""
    read_last: Callable[[], Awaitable[int]]
    """Returns the number of the last event that is there."""
    notified: asyncio.Event
    count: int = 0
    shown: int = 0
    commit_times: dict[int, float] = field(default_factory=dict)

    async def run(self, events: int) -> list[float]:
        """Commit events at the rate of the desk; return how many milliseconds each took to be shown."""
        last = self.count + events
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch(last))
            start = time.perf_counter()
            for number in range(events):
                await asyncio.sleep(start + number / EVENTS_PER_SECOND - time.perf_counter())
                self.count += 1
                await self.commit(self.count)
                self.commit_times[self.count] = time.perf_counter()
        return watching.result()

    async def _watch(self, last: int) -> list[float]:
        """Note when each event is shown, up to the last. One may be shown before its writer hears of its commit."""
        shown_times: dict[int, float] = {}
        while self.shown < last:
            await self.notified.wait()
            self.notified.clear()
            there = await self.read_last()
            now = time.perf_counter()
            shown_times.update(dict.fromkeys(range(self.shown + 1, there + 1), now))
            self.shown = max(self.shown, there)
        await until(lambda: self._is_committed(last))
        return [max(0.0, shown - self.commit_times.pop(number)) * 1_000 for number, shown in shown_times.items()]

    async def _is_committed(self, number: int) -> bool:
        return number in self.commit_times


async def measure(folder: Path, quick: bool) -> Report:
    """Measure both, in turns."""
    report = Report("live_latency")
    rounds, seconds = (2, 2.0) if quick else (ROUNDS, ROUND_SECONDS)
    events = int(seconds * EVENTS_PER_SECOND)
    async with AsyncExitStack() as stack:
        link = await Link.prepare(stack, folder)
        await link.start_hub(stack)
        await link.start_agent(stack)
        courses = {
            "Hanse": await _over_the_link(stack, link, events * (rounds + 1)),
            "floor": await _over_the_floor(stack, link, folder),
        }
        took: dict[str, list[list[float]]] = {name: [] for name in courses}
        for number in range(rounds + 1):
            for name, course in courses.items():
                milliseconds = await course.run(events)
                # The first round warms up.
                if number:
                    took[name].append(milliseconds)
    for name, turns in took.items():
        report.add(f"{name}, median", [median(turn) for turn in turns], "ms")
        report.add(f"{name}, 99th percentile", [_p99(turn) for turn in turns], "ms")
    ratios = [_p99(hanse) / _p99(floor) for hanse, floor in zip(took["Hanse"], took["floor"], strict=True)]
    report.at_most("ratio of the 99th percentiles, median of the rounds", median(ratios), TARGET_RATIO)
    report.notes.append(f"{EVENTS_PER_SECOND} events a second, {events:,} a round, a transaction each, TLS, fsync on.")
    return report


def _p99(values: list[float]) -> float:
    return quantiles(values, n=100)[98]


async def _over_the_link(stack: AsyncExitStack, link: Link, events: int) -> Course:
    """Return the way over the link: from the unit's log to headquarters' copy of it."""
    unit = await connect(stack, link.unit.database_url)
    headquarters = await connect(stack, link.headquarters.database_url)
    rows, _ = history.rows(STREAM, EMPTY_HEAD, await asyncio.to_thread(history.entries, UNIT, events))
    query = await headquarters.prepare("SELECT sequence FROM federation.log_head WHERE stream = $1")
    return Course(
        commit=lambda number: append(unit, rows[number - 1 : number]),
        read_last=lambda: _number(query, STREAM),
        notified=await _listen(stack, link.headquarters.database_url, NOTIFY_CHANNEL, STREAM),
    )


async def _over_the_floor(stack: AsyncExitStack, link: Link, folder: Path) -> Course:
    """Return the floor's way, between databases of its own on the same servers."""
    near_url, far_url = await link.near.ensure_database("floor"), await link.far.ensure_database("floor")
    near, far = await connect(stack, near_url), await connect(stack, far_url)
    for connection in (near, far):
        await connection.execute(floor_link.CREATE_TABLE)
    tls = link.headquarters.tls
    address = f"{LOOPBACK}:{free_port()}"
    settings = folder / "floor.json"
    FloorLink(address, near_url, far_url, str(tls.key), str(tls.certificate), str(tls.authority)).write(settings)
    for end, is_ready in (("far", lambda: is_listening(link.headquarters, address)), ("near", _at_once)):
        module = ["tests.benchmarks.floor_link", end, str(settings)]
        process = ManagedProcess(f"floor's {end} end", [sys.executable, "-m", *module], folder / f"floor-{end}.log")
        await process.start(is_ready, deadline_seconds=READY_SECONDS)
        stack.push_async_callback(process.stop, grace_seconds=STOP_SECONDS)
    query = await far.prepare("SELECT id FROM floor ORDER BY id DESC LIMIT 1")
    content = history.entries(UNIT, 1)[0].event

    async def commit(number: int) -> None:
        async with near.transaction():
            await near.execute(floor_link.INSERT, number, content)
            await near.execute(floor_link.NOTIFY, floor_link.CHANNEL)

    return Course(commit, lambda: _number(query), await _listen(stack, far_url, floor_link.CHANNEL, ""))


async def _number(query: Any, *parameters: str) -> int:
    return int(await query.fetchval(*parameters) or 0)


async def _at_once() -> bool:
    return True


async def _listen(stack: AsyncExitStack, url: str, channel: str, payload: str) -> asyncio.Event:
    """Return what is set at every notification with a payload."""
    connection = await connect(stack, url)
    notified = asyncio.Event()

    def hear(_connection: object, _pid: int, _channel: str, heard: str) -> None:
        if heard == payload:
            notified.set()

    await connection.add_listener(channel, hear)
    return notified
