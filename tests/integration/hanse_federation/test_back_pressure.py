"""An end that stops reading costs the other one nothing but time: bounded memory, no more than the credit under way.

CI stalls for some seconds; `make back-pressure` for the minute that is promised.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from google.protobuf.wrappers_pb2 import StringValue

from hanse.config import SETTINGS_FILE_VARIABLE
from hanse.database import Database
from hanse.local.process import ManagedProcess
from hanse.log.append import Entry, append
from hanse.log.events import Origin, new_event
from hanse.log.tables import LogTables
from hanse.names import HEADQUARTERS, downstream_name, stream_name
from hanse.schema import ServiceSchema
from hanse_federation.link.end import Timing
from hanse_federation.link.frames import CREDIT_BYTES, CREDIT_RECORDS, PROTOCOL_VERSION
from hanse_federation.model import LOG
from hanse_protos.federation.v1.link_pb2 import (
    Acknowledgement,
    Heartbeat,
    Hello,
    HubFrame,
    RecordBatch,
    UnitFrame,
    Welcome,
)
from hanse_protos.log.v1.log_pb2 import StreamHead
from tests.batches import last_hash
from tests.integration.hanse_federation.group import Group, Unit
from tests.integration.hanse_federation.scripted import scripted_hub, speak_as
from tests.support import OCCUR_TIME, MakeUnitFolder

STALL_SECONDS = float(os.environ.get("HANSE_STALL_SECONDS", "8"))
MAX_GROWTH_BYTES = 50 * 1024 * 1024
BACKLOG_RECORDS = 16_000
RECORD_BYTES = 4_000
"""The backlog is larger than what an end may grow by: who read it all into memory would be found out."""
MAX_UNDER_WAY = CREDIT_BYTES // RECORD_BYTES
"""How many records may be under way: of large ones fewer than the credit."""
PIECE_RECORDS = 500
HEARTBEAT_SECONDS = 1.0
PATIENCE_SECONDS = 120.0
MUNICH = "units/munich"
TICKET_LOG = ServiceSchema("ticket").log
REPOSITORY = Path(__file__).parents[3]


@dataclass
class Reader:
    """An end that reads nothing for a while, then reads without acknowledging, and then does both."""

    received: list[int] = field(default_factory=list)
    acknowledged: int = 0
    reads: asyncio.Event = field(default_factory=asyncio.Event)
    acknowledges: asyncio.Event = field(default_factory=asyncio.Event)
    most_under_way: int = 0
    answers: asyncio.Queue[Acknowledgement] = field(default_factory=asyncio.Queue)

    def take(self, batch: RecordBatch) -> None:
        self.received += range(batch.first_sequence, batch.first_sequence + len(batch.events))
        self.most_under_way = max(self.most_under_way, len(self.received) - self.acknowledged)
        self._end = StreamHead(stream=batch.stream, epoch=1, sequence=self.received[-1], hash=last_hash(batch))
        if self.acknowledges.is_set():
            self.acknowledge()

    def acknowledge(self) -> None:
        self.acknowledged = self._end.sequence
        self.answers.put_nowait(Acknowledgement(head=self._end))

    async def next_answer(self) -> Acknowledgement | None:
        """Return the next acknowledgement, or None when it is time for a heartbeat."""
        with suppress(TimeoutError):
            async with asyncio.timeout(HEARTBEAT_SECONDS):
                return await self.answers.get()
        return None

    async def has(self, count: int) -> None:
        """Wait until so many records were read."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.received) < count:  # noqa: ASYNC110 - the other end is another process.
                await asyncio.sleep(0.05)

    async def is_left_alone(self) -> None:
        """Read on without acknowledging, and see that the other end stops within what may be under way."""
        self.reads.set()
        await self.has(1)
        before = 0
        while before < len(self.received):
            before = len(self.received)
            await asyncio.sleep(2)
        assert 0 < self.most_under_way <= MAX_UNDER_WAY

    async def reads_the_rest(self) -> None:
        """Read and acknowledge everything, and see that it comes once and in order."""
        self.acknowledges.set()
        self.acknowledge()
        await self.has(BACKLOG_RECORDS)
        assert self.received == list(range(1, BACKLOG_RECORDS + 1))
        assert self.most_under_way <= MAX_UNDER_WAY


def backlog(unit: str) -> list[Entry]:
    """Return more than an end may hold in memory."""
    payload = StringValue(value="x" * RECORD_BYTES)
    return [new_event(Origin(unit, "tests"), f"{unit}/tickets/t", payload, OCCUR_TIME) for _ in range(BACKLOG_RECORDS)]


async def write(database: Database, log: LogTables, stream: str, entries: list[Entry]) -> None:
    """Append entries piece by piece: the loop has heartbeats to send meanwhile, which a busy machine makes slow."""
    for begun in range(0, len(entries), PIECE_RECORDS):
        await database.write(append, log, stream, entries[begun : begun + PIECE_RECORDS])


async def growth_of(pid: int) -> int:
    """Return by how much a process grows at most while the other end stalls, in bytes."""
    process = psutil.Process(pid)
    before = most = process.memory_info().rss
    async with asyncio.timeout(STALL_SECONDS + PATIENCE_SECONDS):
        end = asyncio.get_running_loop().time() + STALL_SECONDS
        while asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.1)
            most = max(most, process.memory_info().rss)
    return most - before


@asynccontextmanager
async def agent_process(unit: Unit, hub_address: str, folder: Path) -> AsyncIterator[ManagedProcess]:
    """Run a unit's agent in a process of its own."""
    settings = unit.runtime.settings.model_dump(mode="json", exclude_none=True) | {"hub_address": hub_address}
    file = folder / "settings.toml"
    file.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items()))
    process = ManagedProcess(
        "agent",
        [
            "/usr/bin/env", f"{SETTINGS_FILE_VARIABLE}={file}", f"PYTHONPATH={REPOSITORY}",
            sys.executable, "-m", "tests.integration.hanse_federation.agent_process",
        ],
        folder / "agent.log",
    )  # fmt: skip

    async def is_running() -> bool:
        return process.is_running

    await process.start(is_running, deadline_seconds=30)
    try:
        yield process
    finally:
        await process.stop(grace_seconds=0)


@pytest.mark.timeout(STALL_SECONDS + 300)
async def test_an_agent_stays_small_and_loses_nothing_while_headquarters_does_not_read(
    group: Group, unit_folder: MakeUnitFolder, tmp_path: Path
) -> None:
    munich, reader, greeted = await group.unit(MUNICH, agent=False), Reader(), asyncio.Event()

    async def exchange(requests: AsyncIterator[bytes], _context: Any) -> AsyncIterator[bytes]:
        await anext(requests)
        welcome = Welcome(credit=CREDIT_RECORDS, downstream=downstream_name(MUNICH))
        yield HubFrame(welcome=welcome).SerializeToString()
        greeted.set()
        reading = asyncio.create_task(read(requests))
        try:
            while True:
                answer = await reader.next_answer()
                frame = HubFrame(acknowledgement=answer) if answer else HubFrame(heartbeat=Heartbeat())
                yield frame.SerializeToString()
        finally:
            reading.cancel()

    async def read(requests: AsyncIterator[bytes]) -> None:
        await reader.reads.wait()
        async for content in requests:
            frame = UnitFrame.FromString(content)
            if frame.HasField("batch"):
                reader.take(frame.batch)

    async with scripted_hub(unit_folder, exchange) as address, agent_process(munich, address, tmp_path) as agent:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await greeted.wait()
        await asyncio.sleep(1)
        assert agent.pid is not None
        entries, measuring = backlog(MUNICH), asyncio.create_task(growth_of(agent.pid))
        await write(munich.runtime.database, TICKET_LOG, stream_name(MUNICH, "ticket"), entries)
        growth = await measuring
        await reader.is_left_alone()
        await reader.reads_the_rest()
    print(f"the agent grew by {growth / 2**20:.1f} MB in {STALL_SECONDS:g} s")
    assert growth <= MAX_GROWTH_BYTES


@pytest.mark.timeout(STALL_SECONDS + 300)
async def test_the_hub_stays_small_and_loses_nothing_while_a_unit_does_not_read(
    group: Group, unit_folder: MakeUnitFolder
) -> None:
    reader = Reader()
    await group.unit(MUNICH, agent=False)
    # The production's patience: a machine that is busy is silent for some seconds, too.
    await group.hub.stop()
    await group.start_hub(Timing())

    async def speak() -> AsyncIterator[bytes]:
        hello = Hello(protocol_version=PROTOCOL_VERSION, credit=CREDIT_RECORDS)
        yield UnitFrame(unit=MUNICH, hello=hello).SerializeToString()
        while True:
            answer = await reader.next_answer()
            frame = (
                UnitFrame(unit=MUNICH, acknowledgement=answer)
                if answer
                else UnitFrame(unit=MUNICH, heartbeat=Heartbeat())
            )
            yield frame.SerializeToString()

    async def read(frames: AsyncIterator[bytes]) -> None:
        await reader.reads.wait()
        async for content in frames:
            frame = HubFrame.FromString(content)
            if frame.HasField("batch"):
                reader.take(frame.batch)

    entries = backlog(HEADQUARTERS)
    async with speak_as(unit_folder(MUNICH), group.hub.port) as exchange:
        call = exchange(speak())
        frames = call.__aiter__()
        await anext(frames)
        measuring = asyncio.create_task(growth_of(os.getpid()))
        await write(group.hq.database, LOG, stream_name(HEADQUARTERS, "to-munich"), entries)
        growth = await measuring
        reading = asyncio.create_task(read(frames))
        try:
            await reader.is_left_alone()
            await reader.reads_the_rest()
        finally:
            reading.cancel()
            call.cancel()
    print(f"the hub, and the test around it, grew by {growth / 2**20:.1f} MB in {STALL_SECONDS:g} s")
    assert growth <= MAX_GROWTH_BYTES
