"""What a unit says in words that only a newer version knows is kept, shown and passed on as it is."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select, text

from hanse.columns import name_known_values
from hanse.times import duration
from hanse_federation.headquarters.promises import get_group_attainment, list_group_queue_entries
from hanse_federation.headquarters.views import list_group_tickets
from hanse_federation.model import SCHEMA, GroupClock, GroupEngagement
from hanse_protos.federation.v1 import group_pb2 as pb
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as ticket
from tests.integration.hanse_federation.group import Group, Unit, engagement_summary, summary
from tests.support import OCCUR_TIME

NEWER = 1_017
"""A value of any enum that this version does not know."""
TICKET = "units/munich/tickets/t1"


def from_a_newer_unit() -> ticket.TicketSummary:
    """Return a ticket of which every enum has a value that this version does not know."""
    newer = summary(TICKET, state=NEWER, priority=NEWER)
    clock = newer.clocks.add(kind=NEWER, number=1, state=NEWER, towards=NEWER)
    clock.due_time.FromDatetime(OCCUR_TIME)
    return newer


async def test_headquarters_shows_values_of_a_newer_unit_as_they_are(group: Group, munich: Unit) -> None:
    await munich.tell((TICKET, told.TicketOpened(ticket=from_a_newer_unit())))
    await munich.caught_up()
    tickets = await group.hq.database.read(list_group_tickets, pb.ListGroupTicketsRequest(parent="units/-"))
    queue = await group.hq.database.read(list_group_queue_entries, pb.ListGroupQueueEntriesRequest(parent="units/-"))
    assert [shown.ticket.priority for shown in tickets.tickets] == [NEWER]
    assert [(entry.clock.kind, entry.clock.state, entry.priority) for entry in queue.entries] == [(NEWER,) * 3]


async def test_an_engagement_in_a_state_of_a_newer_unit_is_kept_as_it_is(group: Group, munich: Unit) -> None:
    name = f"{TICKET}/engagements/e1"
    asked = engagement_summary(name, state=NEWER)
    await munich.tell((name, told.EngagementImported(engagement=asked)))
    await munich.caught_up()
    async with group.hq.database.engine.connect() as connection:
        assert await connection.scalar(select(GroupEngagement.state)) == NEWER


async def test_an_upgrade_names_what_was_stored_by_its_number(group: Group, munich: Unit) -> None:
    known = summary(TICKET)
    for number in (1, 2):
        known.clocks.add(kind=ticket.Clock.RESOLUTION, number=number, state=ticket.Clock.RUNNING)
    await munich.tell((TICKET, told.TicketOpened(ticket=known)))
    await munich.caught_up()
    # As a version would have stored them that does not know this kind; of the second one a newer row is here already.
    doubled = """
        INSERT INTO federation.group_clock SELECT (jsonb_populate_record(clock, '{"kind": "2", "tier": 3}')).*
        FROM federation.group_clock AS clock WHERE number = 2
    """
    async with group.hq.database.engine.begin() as connection:
        await connection.execute(text("UPDATE federation.group_clock SET kind = '2' WHERE number = 1"))
        await connection.execute(text(doubled))
        await connection.run_sync(name_known_values, SCHEMA.metadata)
        stored: Any = await connection.execute(text("SELECT kind, number, tier FROM federation.group_clock ORDER BY 2"))
        assert [tuple(row) for row in stored] == [("RESOLUTION", 1, 1), ("RESOLUTION", 2, 1)]


async def test_a_target_of_no_length_fails_no_report(group: Group, munich: Unit) -> None:
    odd = summary(TICKET)
    met = odd.clocks.add(kind=ticket.Clock.RESOLUTION, number=1, state=ticket.Clock.MET)
    met.stop_time.FromDatetime(OCCUR_TIME)
    met.used_duration.CopyFrom(duration(OCCUR_TIME - OCCUR_TIME))
    await munich.tell((TICKET, told.TicketOpened(ticket=odd)))
    await munich.caught_up()
    report = await group.hq.database.read(get_group_attainment, pb.GetGroupAttainmentRequest(parent="units/-"))
    assert report.total.met == 1
    async with group.hq.database.engine.connect() as connection:
        assert await connection.scalar(select(GroupClock.target_microseconds)) == 0
