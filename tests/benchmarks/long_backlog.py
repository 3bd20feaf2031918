"""A long backlog: 1,000,000 events pass over one link, and neither end grows.

The unit was cut off and wrote on; then its agent starts. While headquarters takes the events, the resident memory of
both ends is read twice a second. Flat means: what either end has at the end is no more than what it had at a tenth of
the way, but for a few megabytes, since by then every buffer and cache has been filled once.
"""

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import psutil

from hanse.log.append import EMPTY_HEAD
from tests.benchmarks import history
from tests.benchmarks.callers import UNIT
from tests.benchmarks.links import STREAM, Link, append, connect
from tests.benchmarks.memory import MEGABYTE
from tests.benchmarks.report import Report

TARGET_GROWTH_MEGABYTES = 16.0
"""Two times the credit of a link, about: what is under way comes and goes."""
EVENTS = 1_000_000
QUICK_EVENTS = 100_000
EVENTS_PER_CHUNK = 10_000
EVENTS_PER_TRANSACTION = 50
SAMPLE_SECONDS = 0.5
MAX_WAIT_SECONDS = 1_800.0
WARM_SHARE = 0.1


async def measure(folder: Path, quick: bool) -> Report:
    """Write the backlog, let it pass, and watch both ends."""
    report = Report("long_backlog")
    events = QUICK_EVENTS if quick else EVENTS
    async with AsyncExitStack() as stack:
        link = await Link.prepare(stack, folder)
        await _write(await connect(stack, link.unit.database_url), events)
        await link.start_hub(stack)
        await link.start_agent(stack)
        start = time.perf_counter()
        samples = await _watch(link, await connect(stack, link.headquarters.database_url), events)
        seconds = time.perf_counter() - start
    report.add("rate, with projections", [events / seconds], "events/s")
    for end, megabytes in samples.items():
        report.add(f"{end}: RSS from {WARM_SHARE:.0%} to 100 %", megabytes, "MB")
    for end, megabytes in samples.items():
        report.at_most(f"growth of the {end}, MB", megabytes[-1] - megabytes[0], TARGET_GROWTH_MEGABYTES)
    report.notes.append(f"{events:,} events, {len(samples['hub'])} samples of each end.")
    return report


async def _write(unit: Any, events: int) -> None:
    """Write the unit's log, in pieces that fit into memory."""
    await unit.execute("SET synchronous_commit = off")
    head = EMPTY_HEAD
    for _ in range(0, events, EVENTS_PER_CHUNK):
        entries = await asyncio.to_thread(history.entries, UNIT, EVENTS_PER_CHUNK)
        rows, head = history.rows(STREAM, head, entries)
        for first in range(0, len(rows), EVENTS_PER_TRANSACTION):
            await append(unit, rows[first : first + EVENTS_PER_TRANSACTION])


async def _watch(link: Link, headquarters: Any, events: int) -> dict[str, list[float]]:
    """Return the resident memory of both ends, from a tenth of the way to its end."""
    ends = {"agent": psutil.Process(link.agent.pid), "hub": psutil.Process(link.hub.pid)}
    samples: dict[str, list[float]] = {end: [] for end in ends}
    query = "SELECT sequence FROM federation.log_head WHERE stream = $1"
    reached = 0
    async with asyncio.timeout(MAX_WAIT_SECONDS):
        while reached < events:
            await asyncio.sleep(SAMPLE_SECONDS)
            reached = await headquarters.fetchval(query, STREAM) or 0
            if reached >= events * WARM_SHARE:
                for end, process in ends.items():
                    samples[end].append(process.memory_info().rss / MEGABYTE)
    return samples
