"""The live queue: what runs out first comes first, and nothing is listed twice or missed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.orm import Session

from hanse.identity import Role
from hanse_protos.ticket.v1 import queue_pb2 as rpc
from hanse_protos.ticket.v1 import queue_pb2_grpc as stubs
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.clocks.queue import entries_query
from tests.integration.hanse_services.ticket.desk import MONDAY, SHANGHAI, Desk, refused
from tests.integration.hanse_services.ticket.test_teams import set_team

MANY = 10_000
PAGE = 50


async def queue(
    desk: Desk, *, page_size: int = 0, standing: bool = False, **asked: Any
) -> rpc.ListQueueEntriesResponse:
    """Return the first page of a desk's queue, narrowed down."""
    request = rpc.ListQueueEntriesRequest(
        parent=desk.unit, page_size=page_size, standing=standing, filter=rpc.QueueFilter(**asked)
    )
    return await stub(desk).ListQueueEntries(request)


def stub(desk: Desk) -> stubs.QueueServiceAsyncStub:
    return stubs.QueueServiceStub(desk.caller.channel(Role.AGENT))


def places(found: rpc.ListQueueEntriesResponse) -> list[tuple[str, pb.Clock.Kind.ValueType]]:
    return [(entry.ticket, entry.clock.kind) for entry in found.entries]


async def test_what_runs_out_first_comes_first(desk: Desk) -> None:
    older = (await desk.open()).name
    desk.clock.advance(minutes=30)
    newer = (await desk.open()).name
    expected = [(older, pb.Clock.RESPONSE), (newer, pb.Clock.RESPONSE), (older, pb.Clock.RESOLUTION)]
    assert places(await queue(desk)) == [*expected, (newer, pb.Clock.RESOLUTION)]


async def test_an_entry_says_what_a_desk_needs_to_know(desk: Desk) -> None:
    name = (await desk.open(title="Dark", language="zh-CN")).name
    await desk.do("AssignTicket", name)
    [entry, _] = (await queue(desk)).entries
    assert (entry.title, entry.assignee, entry.tier, entry.priority) == ("Dark", "units/shanghai/agents/li", 1, pb.P2)
    assert (entry.holder, entry.category, entry.language) == (SHANGHAI, "display", "zh-CN")
    assert entry.clock.due_time.ToDatetime(MONDAY.tzinfo) == MONDAY + timedelta(hours=1)
    assert entry.clock.target_duration.ToTimedelta() == timedelta(hours=1)


async def test_a_team_sees_its_own_tickets(desk: Desk) -> None:
    await desk.open()
    await set_team(desk, "displays", "li")
    mine = (await desk.open()).name
    found = await queue(desk, team=f"{SHANGHAI}/teams/displays")
    assert {entry.ticket for entry in found.entries} == {mine}
    assert {entry.team for entry in found.entries} == {f"{SHANGHAI}/teams/displays"}
    assert found.count.running == 2


async def test_what_stands_is_listed_apart_and_what_has_stopped_nowhere(desk: Desk) -> None:
    waiting, solved = (await desk.open()).name, (await desk.open()).name
    await desk.do("PauseTicket", waiting, waiting_for="vendor")
    await desk.do("ResolveTicket", solved)
    assert places(await queue(desk)) == []
    standing = await queue(desk, standing=True)
    assert places(standing) == [(waiting, pb.Clock.RESOLUTION), (waiting, pb.Clock.RESPONSE)]
    assert {(entry.clock.state, entry.waiting_for) for entry in standing.entries} == {(pb.Clock.PAUSED, "vendor")}


@pytest.mark.parametrize("standing", [False, True])
async def test_pages_hold_each_clock_once_also_where_many_are_due_at_one_instant(desk: Desk, standing: bool) -> None:
    for _ in range(4):
        name = (await desk.open()).name
        if standing:
            await desk.do("PauseTicket", name)
    request = rpc.ListQueueEntriesRequest(parent=desk.unit, page_size=3, standing=standing)
    seen, counts = [], 0
    while True:
        page = await stub(desk).ListQueueEntries(request)
        seen += places(page)
        counts += page.HasField("count")
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert len(seen) == len(set(seen)) == 8
    assert counts == 1


async def test_a_queue_is_narrowed_down(desk: Desk) -> None:
    taken, other = (await desk.open(priority=pb.P1)).name, (await desk.open()).name
    await desk.do("EscalateTicket", taken)
    await desk.do("AssignTicket", taken)

    async def names(**asked: Any) -> set[str]:
        return {name for name, _ in places(await queue(desk, **asked))}

    assert await names(tiers=[2]) == await names(priorities=[pb.P1]) == {taken}
    assert await names(assignee="units/shanghai/agents/li") == {taken}
    assert await names(unassigned=True) == {other}
    assert await names(holder=SHANGHAI, category="display") == {taken, other}
    assert await names(holder="units/munich") == await names(category="cables") == set()
    assert {kind for _, kind in places(await queue(desk, kinds=[pb.Clock.RESPONSE]))} == {pb.Clock.RESPONSE}


async def test_the_first_page_counts_what_runs_what_is_overdue_and_what_stands(desk: Desk) -> None:
    await desk.open()
    await desk.do("PauseTicket", (await desk.open()).name)
    # The desk's clock is Monday's in 2026, the database's is the present one.
    count = (await queue(desk, page_size=1)).count
    assert (count.running + count.overdue, count.standing) == (2, 2)


async def test_another_unit_s_queue_is_not_found(desk: Desk) -> None:
    with refused() as refusal:
        await stub(desk).ListQueueEntries(rpc.ListQueueEntriesRequest(parent="units/munich"))
    assert refusal.reason == "RESOURCE_NOT_FOUND"


async def test_a_page_of_ten_thousand_open_clocks_is_read_from_the_index(desk: Desk) -> None:
    example = (await desk.open()).name
    plan = await desk.runtime.database.write(_plan_among_many, example)
    assert "Index Scan using clock_open_by_due_time" in plan
    assert "Seq Scan" not in plan


def _plan_among_many(session: Session, example: str) -> str:
    """Copy a ticket until there are many clocks, and explain how the second page is found."""
    copies = {"example": example, "count": MANY // 2}
    for table, row in (("ticket", "name"), ("clock", "ticket")):
        columns = ", ".join(
            session.scalars(
                text(
                    "SELECT column_name FROM information_schema.columns WHERE table_schema = 'ticket' "
                    "AND table_name = :table AND column_name <> :row ORDER BY 1"
                ),
                {"table": table, "row": row},
            )
        )
        later = columns.replace("due_time", "due_time + n * interval '1 second'")
        session.execute(
            text(
                f"INSERT INTO ticket.{table} ({row}, {columns}) SELECT {row} || n, {later} "  # noqa: S608 - no input.
                f"FROM ticket.{table}, generate_series(1, :count) AS n WHERE {row} = :example"
            ),
            copies,
        )
    session.execute(text("ANALYZE ticket.clock"))
    session.execute(text("ANALYZE ticket.ticket"))
    query = entries_query(rpc.ListQueueEntriesRequest(), PAGE)
    written = query.compile(dialect=PGDialect(), compile_kwargs={"literal_binds": True})  # type: ignore[no-untyped-call]
    return "\n".join(session.scalars(text(f"EXPLAIN {written}")))
