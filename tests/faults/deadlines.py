"""Deadlines hold: Temporal's store is wiped, the worker is killed again and again, and is away while they pass.

One unit with its services and its worker in processes of their own. What is promised is read from the unit's log, where
every warning, climb and breach is an event, and from Temporal's list of processes.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from temporalio.client import Client
from temporalio.service import RPCError

from hanse.database import Database
from hanse.identity import Role
from hanse.log.events import payload_of
from hanse.log.follow import START, read_after
from hanse.names import stream_name
from hanse.policy import load_yaml
from hanse.policy.store import PolicyStore
from hanse.runtime import Runtime
from hanse.temporal import connect
from hanse_protos.policy.v1.policy_pb2 import Policy
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_protos.ticket.v1.service_pb2_grpc import TicketServiceStub
from hanse_services.ticket.model import SCHEMA as TICKET
from tests.faults import escalations
from tests.faults.group import FaultGroup
from tests.faults.report import Report
from tests.faults.schedule import Fault, Kind

SHANGHAI = "units/shanghai"
LAYOUT = {SHANGHAI: ("serve", "work")}
WORKER, TEMPORAL = "shanghai.work", "temporal"
REBUILT_SECONDS = 60.0
"""What is promised: from the loss of the store until every process is there again."""
RETURN_SECONDS = 5.0
"""What is promised: from the worker's return, when it says that it is connected, until all that was due is done. What
its process needs to come up before that is a figure of its own: it is importing Python, and nobody's deadline."""
AWAY_SECONDS = 42.0
"""As long as the last deadline of that scenario is away."""
CONNECTED = "connected to Temporal"
"""What a worker writes when it is up."""
TOLERANCE = timedelta(seconds=3)
"""By how much a process may begin later than its row says: starts are told some at a time, and a busy disk is slow."""
PLENTY = 100_000
STEPS_OF_A_TICKET = 6
"""Two warnings on each clock and the breach of both."""
CALLERS = 16
LOOK_INTERVAL_SECONDS = 0.2
PATIENCE_SECONDS = 300.0

_POLICY = """
title: Deadlines of {resolution}
categories: [{{id: display, titles: {{en: Displays}}, skill: display}}]
calendars:
  - {{id: always, time_zone: Etc/UTC, shifts: [{{days: MON-SUN, start: "00:00", end: "24:00"}}]}}
units:
  - {{unit: units/hq, calendar: always, languages: [en], skills: [display]}}
  - {{unit: units/shanghai, calendar: always, languages: [en], skills: [display]}}
targets: [{{id: every, response: {response}, resolution: {resolution}, warn_percents: [50, 75]}}]
routing: {{eligible: 'true', score: 0 - load, offer_timeout: 15m, rounds: 1, final_owner: units/hq}}
rates: [{{id: every, amount: 100.00 EUR}}]
"""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is waited for, and by how much the promised times may be exceeded."""

    records: int
    """The tickets that are watched."""
    rounds: int
    """How often the worker is killed."""
    patience: float = 1.0
    pace: float = 1.0
    """How much shorter than in the full run the deadlines are that pass, and the times for which it is away."""

    def seconds(self, full: float) -> float:
        """Return what a time of the full run is here."""
        return full / self.pace


SHORT, FULL = Size(20, 2, patience=4.0, pace=4.0), Size(200, 20)


@dataclass(frozen=True)
class Stage:
    """What a scenario works with."""

    group: FaultGroup
    tickets: Any
    database: Database
    client: Client
    report: Report = field(default_factory=lambda: Report("", 0))
    """What the scenario that is played has found."""

    async def enact(self, version: int, policy: str) -> None:
        """Put a policy in force for the tickets to come."""
        enacted = Policy(name=f"policies/{version}", version=version, document=load_yaml(policy))
        await self.database.write(PolicyStore(TICKET).enact, enacted)

    async def open(self, count: int) -> list[str]:
        """Open tickets and return their names."""
        calls = asyncio.Semaphore(CALLERS)

        async def open_one() -> str:
            asked = pb.Ticket(title="Screen is dark", category="display", priority=pb.P2, language="en")
            async with calls:
                request = rpc.CreateTicketRequest(parent=SHANGHAI, ticket=asked, request_id=str(uuid4()))
                return str((await self.tickets.CreateTicket(request)).name)

        return await asyncio.gather(*(open_one() for _ in range(count)))

    async def due_times(self) -> dict[str, datetime]:
        """Return when something is due next on each ticket where anything is, as the rows in PostgreSQL have it."""
        found: dict[str, datetime] = {}
        request = rpc.ListOpenClocksRequest(page_size=1_000)
        while True:
            page = await self.tickets.ListOpenClocks(request)
            found |= {
                one.ticket: one.next_due_time.ToDatetime(tzinfo=UTC)
                for one in page.open_clocks
                if one.HasField("next_due_time")
            }
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    async def planned(self) -> dict[str, datetime]:
        """Return when the process of each ticket begins, as Temporal has it; nothing while it does not answer."""
        query = "WorkflowType = 'sla' AND ExecutionStatus = 'Running'"
        try:
            executions = [one async for one in self.client.list_workflows(query)]
        except RPCError:
            return {}
        return {one.id.removeprefix("sla:"): one.execution_time or one.start_time for one in executions}

    async def done(self, tickets: Collection[str]) -> Counter[tuple[str, str]]:
        """Return how often each step of some tickets was done, by the events in the log."""
        records = await self.database.read(read_after, TICKET.log, stream_name(SHANGHAI, "ticket"), START, PLENTY)
        payloads = [(record.resource, payload_of(record.decoded())) for record in records]
        return Counter(
            (ticket, f"{type(payload).__name__} {payload.kind} {getattr(payload, 'percent', 100)}")
            for ticket, payload in payloads
            if ticket in tickets and isinstance(payload, told.SlaWarned | told.SlaBreached)
        )

    async def are_planned(self) -> bool:
        """Return whether every ticket has a process that begins when something is due on it."""
        due_times, planned = await self.due_times(), await self.planned()
        return all(
            abs(planned.get(ticket, due_time - 2 * TOLERANCE) - due_time) <= TOLERANCE
            for ticket, due_time in due_times.items()
        )

    async def connected_times(self) -> list[datetime]:
        """Return when workers of the unit said that they were connected."""
        log = self.group.group.folder.unit(SHANGHAI) / f"{WORKER}.log"
        lines = await asyncio.to_thread(log.read_text)
        return [datetime.fromisoformat(line.split()[0]) for line in lines.splitlines() if CONNECTED in line]

    async def seconds_until(self, holds: Callable[[], Awaitable[bool]]) -> float:
        """Return how long it took until something held."""
        began = time.monotonic()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await holds():  # noqa: ASYNC110 - any condition, of servers' own state
                await asyncio.sleep(LOOK_INTERVAL_SECONDS)
        return time.monotonic() - began


async def run(folder: Path, seed: int, size: Size) -> list[Report]:
    """Wipe the store, kill the worker, and let it be away; then kill headquarters' worker amid its escalations."""
    reports = await run_of_one_unit(folder, seed, size)
    return [*reports, await escalations.run(folder / "escalations", seed, size.records, size.rounds)]


async def run_of_one_unit(folder: Path, seed: int, size: Size) -> list[Report]:
    """Wipe the store, kill the worker, and let it be away."""
    reports = []
    async with _stage(folder / "unit") as stage:
        for name, response, resolution, scenario in (
            ("Temporal's store is wiped", "4h", "8h", _wipe),
            ("the worker is killed", f"{size.seconds(20):g}s", f"{size.seconds(60):g}s", _kill),
            ("the worker is away while deadlines pass", f"{size.seconds(30):g}s", f"{size.seconds(40):g}s", _away),
        ):
            earlier_deaths = len(stage.group.supervisor.deaths)
            reports.append(Report(name, seed))
            await stage.enact(len(reports), _POLICY.format(response=response, resolution=resolution))
            await scenario(replace(stage, report=reports[-1]), seed, size)
            reports[-1].deaths = stage.group.supervisor.deaths[earlier_deaths:]
    return reports


@asynccontextmanager
async def _stage(folder: Path) -> AsyncIterator[Stage]:
    async with FaultGroup(folder, LAYOUT, witness=False) as group:
        settings = group.settings(SHANGHAI)
        database, runtime = Database(settings.database_url), Runtime(settings)
        async with runtime.channel("faults", Role.AGENT, Role.SYSTEM) as channel:
            yield Stage(group, TicketServiceStub(channel), database, await connect(settings))
        await runtime.close()
        await database.close()


async def _wipe(stage: Stage, _seed: int, size: Size) -> None:
    await stage.open(size.records)
    due_times = await stage.due_times()
    stage.report.figures["processes"] = str(len(due_times))
    stage.report.figures["planned within"] = f"{await stage.seconds_until(stage.are_planned):.1f} s"
    began = time.monotonic()
    await stage.group.supervisor.stop([TEMPORAL])
    temporal = stage.group.group.servers[1]
    await temporal.stop()
    for file in temporal.data_dir.glob("temporal.sqlite*"):
        file.unlink()
    await temporal.start()
    await stage.seconds_until(stage.are_planned)
    stage.report.promise("rebuilt after", time.monotonic() - began, REBUILT_SECONDS * size.patience)
    if await stage.due_times() != due_times:
        stage.report.misses.append("a deadline has changed")


async def _kill(stage: Stage, seed: int, size: Size) -> None:
    randomness = random.Random(seed)  # noqa: S311 - a schedule that can be repeated.
    opening = asyncio.create_task(_open_in_turns(stage, size))
    for number in range(size.rounds):
        await asyncio.sleep(randomness.uniform(2, 6))
        stage.report.faults.append(Fault(float(number), Kind.KILL, WORKER))
        stage.group.supervisor.kill(WORKER)
    tickets = await opening
    await _check_steps(stage, tickets)


async def _open_in_turns(stage: Stage, size: Size) -> list[str]:
    """Open tickets so that deadlines pass all the time."""
    tickets: list[str] = []
    for _ in range(10):
        tickets += await stage.open(size.records // 10)
        await asyncio.sleep(size.seconds(4))
    return tickets


async def _away(stage: Stage, _seed: int, size: Size) -> None:
    tickets = await stage.open(size.records)
    stage.report.figures["planned within"] = f"{await stage.seconds_until(stage.are_planned):.1f} s"
    await stage.group.supervisor.stop([WORKER])
    await asyncio.sleep(size.seconds(AWAY_SECONDS))
    stage.report.figures["done before and while it was away"] = str((await stage.done(tickets)).total())
    started_time, connections = datetime.now(UTC), len(await stage.connected_times())
    await stage.group.start([SHANGHAI], roles=["work"])

    async def all_done() -> bool:
        return (await stage.done(tickets)).total() >= STEPS_OF_A_TICKET * len(tickets)

    await stage.seconds_until(all_done)
    done_time, connected_time = datetime.now(UTC), (await stage.connected_times())[connections]
    stage.report.figures["connected after its start"] = f"{(connected_time - started_time).total_seconds():.1f} s"
    seconds = (done_time - connected_time).total_seconds()
    stage.report.promise("all done after its return", seconds, RETURN_SECONDS * size.patience)
    await _check_steps(stage, tickets)


async def _check_steps(stage: Stage, tickets: list[str]) -> None:
    """Wait until every step of every ticket is done, and see that each was done once."""

    async def all_done() -> bool:
        return len(await stage.done(tickets)) >= STEPS_OF_A_TICKET * len(tickets)

    try:
        await stage.seconds_until(all_done)
    except TimeoutError:
        stage.report.misses.append("some processes are stuck")
    done = await stage.done(tickets)
    stuck = STEPS_OF_A_TICKET * len(tickets) - len(done)
    twice = sum(times - 1 for times in done.values())
    stage.report.figures |= {"tickets": str(len(tickets)), "steps done": str(len(done))}
    stage.report.promise("steps that were not done", stuck, 0, "")
    stage.report.promise("steps that were done twice", twice, 0, "")
