"""Putting 10,000 running deadlines under a new policy, against the least that it takes.

The floor is one UPDATE of as many rows of the same table, set-based and with the same values, and the calendar
arithmetic itself: the deadline of each clock and those of its steps, from segments that are in memory. Ours is the
whole way: reading the tickets in pages, comparing the policies, the same arithmetic, the rows of clocks and tickets,
one event for each ticket with its place in the log and its hash, and a commit for each page. Both run in this process
on one PostgreSQL, in turns.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from uuid import uuid4

from sqlalchemy import select, text
from sqlalchemy.orm import Session, selectinload

from hanse.cli.roles import spare_the_collector
from hanse.identity import Role
from hanse.local.postgres import EmbeddedPostgres
from hanse.log.append import Entry, append
from hanse.names import stream_name
from hanse.policy import load_yaml
from hanse.policy.clock import Segment
from hanse.policy.standards import Standards
from hanse.policy.store import PolicyStore
from hanse.runtime import Runtime
from hanse.work import Cause, CommandExecutor, Work
from hanse_protos.policy.v1.policy_pb2 import Policy
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_protos.ticket.v1.repair_pb2 import RepairOpenClocksRequest, RepairOpenClocksResponse
from hanse_services.ticket.clocks.bulk_repair import read_page, repair_open_clocks
from hanse_services.ticket.clocks.bulk_rows import storing
from hanse_services.ticket.clocks.rows import schedule_steps, steps_of
from hanse_services.ticket.clocks.segments import segments_of
from hanse_services.ticket.commands import create_ticket
from hanse_services.ticket.model import SCHEMA, Ticket
from tests.benchmarks.callers import UNIT, request
from tests.benchmarks.processors import Processors
from tests.benchmarks.report import Report
from tests.benchmarks.units import POLICY_PATH, prepare_unit

TARGET_RATIO = 2.0
TICKETS = 5_000
"""Each has two clocks that run, a response and a resolution: 10,000 deadlines."""
OPENED_AT_ONCE = 500
TURNS = 5
STANDARDS = frozenset({Role.STANDARDS})
"""The tickets go to and fro between two versions, of which a lead might choose the newer one only."""
OPENING = datetime(2026, 11, 23, 1, tzinfo=UTC)
"""A Monday at nine in Shanghai."""
SPACING = timedelta(seconds=2)
"""Between two openings, so that no two tickets share a deadline, and none is past when the last one is opened."""
LONGER = (("response: 4h", "response: 5h"), ("response: 8h", "response: 10h"),
          ("resolution: 24h", "resolution: 30h"), ("resolution: 40h", "resolution: 50h"))  # fmt: skip
"""What the second version of the policy has otherwise."""
OURS, ROWS, FLOOR = "repair --open", "its rows alone, no events", "one UPDATE and the arithmetic"
UPDATE = text("""
    UPDATE ticket.clock AS old
    SET target_duration = new.target_duration, due_time = new.due_time, steps = new.steps
    FROM unnest(CAST(:tickets AS text[]), CAST(:kinds AS text[]), CAST(:durations AS interval[]),
                CAST(:due_times AS timestamptz[]), CAST(:steps AS jsonb[]))
        AS new (ticket, kind, target_duration, due_time, steps)
    WHERE old.ticket = new.ticket AND old.kind = new.kind AND old.number = 1
""")


@dataclass(frozen=True)
class Running:
    """A clock that runs, as the floor has it in memory."""

    ticket: str
    target: str
    kind: pb.Clock.Kind.ValueType
    segments: Sequence[Segment]


@dataclass
class Desk:
    """A unit's desk with tickets, and its policies."""

    runtime: Runtime
    executor: CommandExecutor
    standards: dict[int, Standards] = field(default_factory=dict)

    async def enact(self) -> None:
        """Put two versions of the group's policy in force, of which the second promises more time."""
        first = longer = POLICY_PATH.read_text()
        for old, new in LONGER:
            longer = longer.replace(old, new)
        for version, written in ((1, first), (2, longer)):
            policy = Policy(name=f"policies/{version}", version=version, document=load_yaml(written))
            self.standards[version] = Standards(version, policy.document)
            await self.runtime.database.write(PolicyStore(SCHEMA).enact, policy)

    async def open(self, count: int) -> None:
        """Open tickets, one after the other in time."""
        for first in range(0, count, OPENED_AT_ONCE):
            numbers = range(first, min(first + OPENED_AT_ONCE, count))
            await self.runtime.database.write(self._open, numbers)
        self.executor.clock = lambda: OPENING + count * SPACING

    def _open(self, session: Session, numbers: range) -> None:
        entries: list[Entry] = []
        for number in numbers:
            work = Work(session, UNIT, Cause("benchmark"), OPENING + number * SPACING, self.executor.policies)
            asked = request()
            asked.ticket.priority = pb.P3 if number % 2 else pb.P4
            create_ticket(work, asked)
            entries += work.entries
        session.flush()
        append(session, SCHEMA.log, stream_name(UNIT, SCHEMA.name), entries)

    async def apply(self, version: int) -> int:
        """Put the tickets under a version, as who sets the standards does; return how many deadlines are new."""

        async def page(asked: RepairOpenClocksRequest) -> RepairOpenClocksResponse:
            asked.request_id = str(uuid4())
            cause = Cause("benchmark", asked.request_id, roles=STANDARDS)
            return await self.executor.execute(repair_open_clocks, asked, cause, RepairOpenClocksResponse)

        return await self._pages(version, page)

    async def apply_rows(self, version: int) -> int:
        """Do the same without telling it."""

        async def page(asked: RepairOpenClocksRequest) -> RepairOpenClocksResponse:
            return await self.runtime.database.write(self._rows, asked)

        return await self._pages(version, page)

    async def _pages(
        self, version: int, page: Callable[[RepairOpenClocksRequest], Awaitable[RepairOpenClocksResponse]]
    ) -> int:
        asked, recomputed = RepairOpenClocksRequest(parent=UNIT, policy_version=version), 0
        while True:
            answer = await page(asked)
            recomputed += answer.recomputed_count
            if not answer.next_page_token:
                return recomputed
            asked.page_token = answer.next_page_token

    def _rows(self, session: Session, asked: RepairOpenClocksRequest) -> RepairOpenClocksResponse:
        page = read_page(
            session, self.executor.policies, UNIT, self.executor.clock(), asked, roles=STANDARDS, lock=True
        )
        with storing(session, [after for _, after in page.recomputed]):
            return RepairOpenClocksResponse(recomputed_count=len(page.recomputed), next_page_token=page.next_page_token)

    async def tidy(self) -> None:
        """Clear away what the turn before left, so that all begin alike."""
        async with self.runtime.database.engine.connect() as connection:
            alone = await connection.execution_options(isolation_level="AUTOCOMMIT")
            for statement in ("VACUUM ANALYZE ticket.clock", "VACUUM ANALYZE ticket.ticket", "CHECKPOINT"):
                await alone.execute(text(statement))

    async def running(self) -> list[Running]:
        """Return the clocks that run."""
        return await self.runtime.database.read(_running)

    async def floor(self, version: int, running: Sequence[Running]) -> int:
        """Compute the deadlines of clocks, and store them with one statement."""
        await self.runtime.database.write(_floor, self.standards[version], running)
        return len(running)


def _running(session: Session) -> list[Running]:
    query = select(Ticket).options(selectinload(Ticket.clocks), selectinload(Ticket.segments))
    return [
        Running(ticket.name, ticket.target, clock.kind, list(segments_of(ticket, clock)))
        for ticket in session.scalars(query)
        for clock in ticket.clocks
    ]


def _floor(session: Session, standards: Standards, running: Sequence[Running]) -> None:
    promises = {
        (target.id, promise.kind): promise
        for target in standards.document.targets
        for promise in standards.promises(target.id)
    }
    found: dict[str, list[object]] = {name: [] for name in ("tickets", "kinds", "durations", "due_times", "steps")}
    for clock in running:
        promise = promises[clock.target, clock.kind]
        steps = steps_of(standards, promise)
        due_time = schedule_steps(standards, clock.segments, promise.duration, steps)
        values = (clock.ticket, pb.Clock.Kind.Name(clock.kind), promise.duration, due_time,
                  json.dumps([step.as_json() for step in steps]))  # fmt: skip
        for name, value in zip(found, values, strict=True):
            found[name].append(value)
    session.execute(UPDATE, found)


async def measure(folder: Path, quick: bool) -> Report:
    """Measure ours, its rows alone and the floor, in turns."""
    report = Report("recompute")
    tickets, turns = (500, 2) if quick else (TICKETS, TURNS)
    async with AsyncExitStack() as stack:
        postgres = await stack.enter_async_context(EmbeddedPostgres(folder / "postgres"))
        runtime = Runtime(await prepare_unit(UNIT, folder, postgres))
        stack.push_async_callback(runtime.close)
        executor = CommandExecutor(runtime.database, SCHEMA, UNIT)
        stack.push_async_callback(executor.close)
        desk = Desk(runtime, executor)
        await desk.enact()
        await desk.open(tickets)
        running = await desk.running()
        spare_the_collector()
        assert postgres.pid, "It runs."
        await _measure(report, desk, running, Processors({"PostgreSQL": postgres.pid}), turns)
    report.notes.append(f"{tickets:,} tickets with two clocks that run each; all in one process, PostgreSQL beside it.")
    return report


async def _measure(report: Report, desk: Desk, running: Sequence[Running], servers: Processors, turns: int) -> None:
    # Each finds the tickets under the other version, and so has something to change.
    parts: dict[str, Callable[[], Awaitable[int]]] = {
        OURS: lambda: desk.apply(2),
        ROWS: lambda: desk.apply_rows(1),
        FLOOR: lambda: desk.floor(2, running),
    }
    taken: dict[str, list[float]] = defaultdict(list)
    worked: dict[str, list[float]] = defaultdict(list)
    for turn in range(1 + turns):
        for name, part in parts.items():
            await desk.tidy()
            servers.lap()
            start, own = time.perf_counter(), time.process_time()
            await part()
            if turn:
                taken[name].append(time.perf_counter() - start)
                worked[name].append(time.process_time() - own + sum(servers.lap().values()))
    medians = {name: report.add(name, values, "s").median for name, values in taken.items()}
    for name, values in worked.items():
        report.add(f"{name}: processor", values, "s")
    report.at_most("ratio of the medians", medians[OURS] / medians[FLOOR], TARGET_RATIO)
    report.at_most("ratio without the events", medians[ROWS] / medians[FLOOR], TARGET_RATIO)
    report.at_most("ratio of processor", median(worked[OURS]) / median(worked[FLOOR]), TARGET_RATIO)
