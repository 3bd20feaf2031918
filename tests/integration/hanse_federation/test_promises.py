"""Headquarters knows what is due in the group, and how promises were kept, from what the units tell."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from hanse.errors import ValidationFailed
from hanse.further_clocks import further_clocks
from hanse.times import duration, put_time
from hanse_federation.headquarters.promises import get_group_attainment, list_group_queue_entries
from hanse_federation.model import GroupClock
from hanse_protos.federation.v1 import group_pb2 as pb
from hanse_protos.ticket.v1 import attainment_pb2
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as ticket
from hanse_protos.ticket.v1.queue_pb2 import QueueFilter
from tests.integration.hanse_federation.group import Group, Unit, summary
from tests.support import OCCUR_TIME

TARGET = timedelta(hours=10)
RESOLUTION = ticket.Clock.RESOLUTION


def clock(
    hours: float,
    *,
    state: ticket.Clock.State.ValueType = ticket.Clock.RUNNING,
    kind: ticket.Clock.Kind.ValueType = RESOLUTION,
    version: int = 3,
) -> ticket.ClockSummary:
    """Return a clock that runs out, stands, or has stopped after so many hours."""
    found = ticket.ClockSummary(
        kind=kind, number=1, state=state, target="every", policy_version=version, target_duration=duration(TARGET)
    )
    at = OCCUR_TIME + timedelta(hours=hours)
    if state == ticket.Clock.RUNNING:
        put_time(found.due_time, at)
    elif state in (ticket.Clock.MET, ticket.Clock.BREACHED):
        put_time(found.stop_time, at)
        found.used_duration.FromTimedelta(timedelta(hours=hours))
        found.tier = 2
        if state == ticket.Clock.BREACHED:
            put_time(found.breach_time, OCCUR_TIME + TARGET)
    return found


async def tell(
    unit: Unit, number: int, *clocks: ticket.ClockSummary, repaired: bool = False, service: str = ""
) -> None:
    """Let a unit tell where a ticket's clocks stand."""
    name = f"{unit.name}/tickets/t{number}"
    after = summary(name, clocks=clocks, service=service)
    await unit.tell((name, (told.TicketClocksRepaired if repaired else told.TicketAssigned)(ticket=after)))


async def queue(group: Group, parent: str = "units/-", *, standing: bool = False, **asked: object) -> list[str]:
    """Return the tickets in the group's queue, by their ids."""
    narrowed = QueueFilter(**asked)  # type: ignore[arg-type]
    request = pb.ListGroupQueueEntriesRequest(parent=parent, page_size=2, standing=standing, filter=narrowed)
    found = []
    while True:
        page = await group.hq.database.read(list_group_queue_entries, request)
        found += [entry.ticket.rsplit("/", 1)[-1] for entry in page.entries]
        if not (token := page.next_page_token):
            return found
        request.page_token = token


async def test_the_group_s_queue_is_ordered_by_the_time_to_breach_over_all_units(
    group: Group, munich: Unit, shanghai: Unit
) -> None:
    for unit, number, hours in ((munich, 1, 9), (shanghai, 2, 3), (munich, 3, 6), (shanghai, 4, 3)):
        await tell(unit, number, clock(hours))
    await tell(munich, 5, clock(1, state=ticket.Clock.PAUSED))
    await tell(munich, 6, clock(1, state=ticket.Clock.MET))
    await munich.caught_up()
    await shanghai.caught_up()
    assert await queue(group) == ["t2", "t4", "t3", "t1"]
    assert await queue(group, "units/munich") == ["t3", "t1"]
    assert await queue(group, standing=True) == ["t5"]
    assert await queue(group, kinds=[ticket.Clock.RESPONSE]) == []


@pytest.mark.parametrize("asked", [{"assignee": "units/munich/agents/li"}, {"team": "a"}, {"unassigned": True}])
async def test_who_in_a_unit_works_on_a_ticket_is_not_known_at_headquarters(
    group: Group, asked: dict[str, Any]
) -> None:
    with pytest.raises(ValidationFailed, match=next(iter(asked))):
        await queue(group, **asked)


async def test_a_clock_is_where_the_last_event_of_its_ticket_left_it(group: Group, munich: Unit) -> None:
    await tell(munich, 1, clock(9), clock(1, kind=ticket.Clock.RESPONSE))
    await munich.caught_up()
    await tell(munich, 1, clock(4), clock(1, kind=ticket.Clock.RESPONSE, state=ticket.Clock.MET))
    await tell(munich, 2, clock(2))
    await tell(munich, 2, clock(1, state=ticket.Clock.MET))
    await munich.caught_up()
    assert await queue(group) == ["t1"]


def reply(number: int, state: ticket.Clock.State.ValueType = ticket.Clock.MET) -> ticket.ClockSummary:
    """Return a next reply's clock: promised again and again."""
    found = clock(number, state=state, kind=ticket.Clock.NEXT_REPLY)
    found.number = number
    return found


async def test_a_clock_that_no_event_tells_of_any_more_ended_as_earlier_ones_said(group: Group, munich: Unit) -> None:
    """All in one batch: of these events only the last one is opened."""
    name = f"{munich.name}/tickets/t1"
    for number in range(1, 6):
        running, ended = reply(number, ticket.Clock.RUNNING), reply(number)
        for last in (running, ended):
            after = summary(name, clocks=[*([reply(number - 1)] if number > 1 else []), last])
            after.further_clocks.CopyFrom(further_clocks(map(reply, range(1, number - 1))))
            await munich.tell((name, told.TicketAssigned(ticket=after)))
        if number == 2:
            await munich.caught_up()
    await munich.caught_up()
    outcomes = await group.hq.database.read(lambda session: session.scalars(select(GroupClock)).all())
    assert {row.number: (row.state, row.used_microseconds) for row in outcomes} == {
        number: (ticket.Clock.MET, number * 3_600_000_000) for number in range(1, 6)
    }
    assert await queue(group) == []


async def test_after_a_repair_earlier_clocks_are_those_that_it_told(group: Group, munich: Unit) -> None:
    name = f"{munich.name}/tickets/t1"
    await tell(munich, 1, *map(reply, range(1, 5)))
    await tell(munich, 1, reply(1), reply(2, ticket.Clock.BREACHED), reply(3), repaired=True)
    after = summary(name, clocks=[reply(3), reply(4, ticket.Clock.RUNNING)])
    after.further_clocks.CopyFrom(further_clocks([reply(1), reply(2, ticket.Clock.BREACHED)]))
    await munich.tell((name, told.TicketAssigned(ticket=after)))
    await munich.caught_up()
    rows = await group.hq.database.read(lambda session: session.scalars(select(GroupClock)).all())
    states = {row.number: row.state for row in rows}
    assert states == {1: ticket.Clock.MET, 2: ticket.Clock.BREACHED, 3: ticket.Clock.MET, 4: ticket.Clock.RUNNING}


async def test_a_clock_that_a_repair_took_away_is_gone(group: Group, munich: Unit) -> None:
    await tell(munich, 1, clock(9), clock(1, kind=ticket.Clock.RESPONSE))
    await munich.caught_up()
    await tell(munich, 1, clock(4), repaired=True)
    await tell(munich, 1, clock(4))
    await munich.caught_up()
    assert await queue(group) == ["t1"]


async def test_the_group_s_attainment_by_service_and_policy_version_agrees_with_a_count_by_hand(
    group: Group, munich: Unit, shanghai: Unit
) -> None:
    chance = random.Random(5)  # noqa: S311 - a seed, not a secret.
    counted: Counter[tuple[tuple[str, int, str, int], bool]] = Counter()
    for unit in (munich, shanghai):
        for number in range(30):
            hours = chance.randrange(1, 20)
            state = ticket.Clock.BREACHED if hours > 10 else ticket.Clock.MET
            service, version = chance.choice(["displays", "parts"]), chance.choice([3, 4])
            counted[(unit.name, 2, service, version), state == ticket.Clock.MET] += 1
            await tell(unit, number, clock(hours, state=state, version=version), service=service)
        await unit.caught_up()
    columns = ("unit", "tier", "service", "policy_version")
    dimensions = [attainment_pb2.AttainmentDimension.Value(f"BY_{column.upper()}") for column in columns]
    request = pb.GetGroupAttainmentRequest(parent="units/-", group_by=dimensions)
    report = await group.hq.database.read(get_group_attainment, request)
    found = {tuple(getattr(row, column) for column in columns): (row.met, row.breached) for row in report.rows}
    assert found == {place: (counted[place, True], counted[place, False]) for place, _ in counted}
    assert report.total.met + report.total.breached == 60
