"""Many units at headquarters: what 20 of them cost, against 20 times what one costs.

The units are simulated: one process speaks for all of them, each with a certificate and a stream of its own, and says
what an agent says: Hello, a batch for every event, a heartbeat every two seconds. The hub and its PostgreSQL are real,
and only their processor time counts. If units were in each other's way, or woke each other, 20 would cost more than
20 times one; what headquarters needs anyway, and commits that share a disk's turn, make them cost less.

Memory: how much the hub's resident memory grows from one connected unit to 20, for each that came.
"""

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import grpc
import psutil

from hanse.config import Settings
from hanse.identity import CertificateAuthority
from hanse.local.postgres import EmbeddedPostgres
from hanse.log.append import EMPTY_HEAD, Head
from hanse.names import HEADQUARTERS, short_unit, stream_name
from hanse_federation.link.batches import batch_after
from hanse_federation.link.dialling import DIAL_OPTIONS
from hanse_federation.link.frames import CREDIT_RECORDS, PROTOCOL_VERSION, stream_head
from hanse_protos.federation.v1.link_pb2 import Heartbeat, Hello, HubFrame, RecordBatch, UnitFrame
from hanse_protos.federation.v1.link_pb2_grpc import FederationServiceStub
from tests.benchmarks import history
from tests.benchmarks.links import prepare_headquarters, start
from tests.benchmarks.memory import MEGABYTE
from tests.benchmarks.processors import Processors
from tests.benchmarks.report import Report
from tests.benchmarks.units import roles_process

TARGET_RATIO = 1.0
TARGET_MEGABYTES = 5.0
UNITS = 20
EVENTS_PER_SECOND = 5
"""Of each unit: a busy desk."""
ROUNDS = 3
ROUND_SECONDS = 12.0
HEARTBEAT_SECONDS = 2.0
MAX_WAIT_SECONDS = 60.0


@dataclass
class SimulatedUnit:
    """A unit's end of a link, without a unit behind it."""

    unit: str
    certificate: Path
    hub_address: str
    head: Head = EMPTY_HEAD
    acknowledged: int = 0

    @asynccontextmanager
    async def linked(self) -> AsyncIterator["SimulatedUnit"]:
        """Open the link, and keep it alive for the length of a block."""
        names = ("authority.crt", "unit.key", "unit.crt")
        credentials = grpc.ssl_channel_credentials(*((self.certificate / name).read_bytes() for name in names))
        self._outgoing: asyncio.Queue[UnitFrame] = asyncio.Queue()
        async with grpc.aio.secure_channel(self.hub_address, credentials, DIAL_OPTIONS) as channel:
            call = FederationServiceStub(channel).Exchange(self._frames())
            try:
                await self._wait_for(call, "welcome")
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(self._hear(call)), group.create_task(self._beat())]
                    yield self
                    for task in tasks:
                        task.cancel()
            finally:
                call.cancel()

    async def tell(self, batches: Sequence[RecordBatch], per_second: float) -> None:
        """Send batches at a rate, and wait until the last one is acknowledged."""
        begin = time.perf_counter()
        for number, batch in enumerate(batches):
            await asyncio.sleep(begin + number / per_second - time.perf_counter())
            self._outgoing.put_nowait(UnitFrame(unit=self.unit, batch=batch))
        async with asyncio.timeout(MAX_WAIT_SECONDS):
            while self.acknowledged < self.head.sequence:
                await self._heard.wait()
                self._heard.clear()

    def batches(self, count: int) -> list[RecordBatch]:
        """Return the next events of the unit's desk, in a batch each."""
        stream, before = stream_name(self.unit, "ticket"), self.head
        rows, self.head = history.rows(stream, before, history.entries(self.unit, count))
        return list(_one_by_one(stream, before, rows))

    async def _frames(self) -> AsyncIterator[UnitFrame]:
        self._heard = asyncio.Event()
        yield UnitFrame(unit=self.unit, hello=Hello(protocol_version=PROTOCOL_VERSION, credit=CREDIT_RECORDS))
        while True:
            yield await self._outgoing.get()

    async def _wait_for(self, call: AsyncIterable[HubFrame], kind: str) -> None:
        async with asyncio.timeout(MAX_WAIT_SECONDS):
            async for frame in call:
                if frame.WhichOneof("frame") == kind:
                    return

    async def _hear(self, call: AsyncIterable[HubFrame]) -> None:
        async for frame in call:
            if frame.WhichOneof("frame") == "acknowledgement":
                self.acknowledged = frame.acknowledgement.head.sequence
                self._heard.set()

    async def _beat(self) -> None:
        stream = stream_name(self.unit, "ticket")
        while True:
            heads = [stream_head(stream, self.head)]
            self._outgoing.put_nowait(UnitFrame(unit=self.unit, heartbeat=Heartbeat(heads=heads)))
            await asyncio.sleep(HEARTBEAT_SECONDS)


def _one_by_one(stream: str, head: Head, rows: Sequence[tuple[Any, ...]]) -> Iterator[RecordBatch]:
    previous = head.hash
    for _, epoch, sequence, digest, *_, event, _ in rows:
        yield batch_after(stream, Head(epoch, sequence - 1, previous), [event], [digest], {})
        previous = digest


async def measure(folder: Path, quick: bool) -> Report:
    """Let one unit tell, then all of them, in turns."""
    report = Report("many_units")
    rounds, seconds = (1, 3.0) if quick else (ROUNDS, ROUND_SECONDS)
    names = [f"units/u{number:02}" for number in range(1, UNITS + 1)]
    async with AsyncExitStack() as stack:
        postgres = await stack.enter_async_context(EmbeddedPostgres(folder / "postgres"))
        headquarters = await prepare_headquarters(folder, postgres, *names)
        hub = roles_process(headquarters, ["federate"])
        await start(stack, hub, headquarters, HEADQUARTERS)
        units = _units(folder, headquarters, names)
        process = psutil.Process(hub.pid)
        processors = Processors({"hub": process.pid, "PostgreSQL": postgres.pid or 0})
        # Memory first: what 20 units once needed stays with the process.
        for _ in range(2):
            await _tell(units[:1], seconds, processors)
        before = process.memory_info().rss
        await _tell(units, seconds, processors)
        growth = (process.memory_info().rss - before) / MEGABYTE / (UNITS - 1)
        ones, alls = [], []
        for _ in range(rounds):
            ones.append(await _tell(units[:1], seconds, processors))
            alls.append(await _tell(units, seconds, processors))
    report.add("one unit", ones, "s of processor")
    report.add(f"{UNITS} units", alls, "s of processor")
    ratios = [many / (UNITS * one) for one, many in zip(ones, alls, strict=True)]
    report.at_most(f"{UNITS} units / {UNITS} x one, median of the rounds", median(ratios), TARGET_RATIO)
    report.at_most("growth of the hub for each unit, MB", growth, TARGET_MEGABYTES)
    report.notes.append(
        f"{EVENTS_PER_SECOND} events a second and unit, in batches of one, for {seconds:g} s; hub and PostgreSQL."
    )
    return report


def _units(folder: Path, headquarters: Settings, names: Sequence[str]) -> list[SimulatedUnit]:
    authority = CertificateAuthority.load_or_create(folder / "authority")
    units = []
    for name in names:
        authority.issue(name, folder / short_unit(name))
        units.append(SimulatedUnit(name, folder / short_unit(name), headquarters.hub_address))
    return units


async def _tell(units: Sequence[SimulatedUnit], seconds: float, processors: Processors) -> float:
    """Let units tell at the same time; return the seconds of processor time that headquarters used."""
    told = [unit.batches(int(seconds * EVENTS_PER_SECOND)) for unit in units]
    async with AsyncExitStack() as stack:
        for unit in units:
            await stack.enter_async_context(unit.linked())
        processors.lap()
        await asyncio.gather(
            *(unit.tell(batches, EVENTS_PER_SECOND) for unit, batches in zip(units, told, strict=True))
        )
        return sum(processors.lap().values())
