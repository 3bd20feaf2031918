"""Importing history from a legacy system."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from hanse.times import timestamp
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from tests.integration.hanse_services.ticket.desk import HEADQUARTERS, MONDAY, MUNICH, SHANGHAI, Desk, refused
from tests.integration.hanse_services.ticket.test_shifts import give_out, next_assignment
from tests.integration.hanse_services.ticket.test_teams import set_team

LONG_AGO = MONDAY - timedelta(days=5_000)


def change(hours: float, state: pb.TicketState.ValueType, **fields: Any) -> rpc.HistoricChange:
    values: dict[str, Any] = {"holder": SHANGHAI, "tier": 1} | fields
    return rpc.HistoricChange(occur_time=timestamp(LONG_AGO + timedelta(hours=hours)), state=state, **values)


def historic(*changes: rpc.HistoricChange, external_id: str = "1-36428") -> rpc.HistoricTicket:
    return rpc.HistoricTicket(external_id=external_id, title="Old", category="display", priority=pb.P3, changes=changes)


NAME = f"{SHANGHAI}/tickets/1-36428"


async def imported(desk: Desk, *changes: rpc.HistoricChange) -> pb.Ticket:
    answer = await desk.import_tickets(historic(*changes))
    assert (answer.imported, list(answer.failures)) == (1, [])
    return await desk.get(NAME)


def hours_of(ticket: pb.Ticket) -> float:
    return ticket.waiting_duration.ToTimedelta() / timedelta(hours=1)


async def test_an_imported_ticket_keeps_its_historic_times(desk: Desk) -> None:
    ticket = await imported(desk, change(0, pb.IN_PROGRESS), change(3, pb.RESOLVED), change(9, pb.CLOSED))
    times = [time.ToDatetime(LONG_AGO.tzinfo) for time in (ticket.open_time, ticket.resolve_time, ticket.close_time)]
    assert times == [LONG_AGO + timedelta(hours=hours) for hours in (0, 3, 9)]
    assert [record.decoded().occur_time.ToDatetime(LONG_AGO.tzinfo) for record in await desk.records()] == [
        LONG_AGO, LONG_AGO + timedelta(hours=3), LONG_AGO + timedelta(hours=9),
    ]  # fmt: skip


async def test_waits_add_up_whoever_they_were_for(desk: Desk) -> None:
    ticket = await imported(
        desk,
        change(0, pb.WAITING, waiting_for="user"),
        change(1, pb.WAITING, waiting_for="vendor"),
        change(3, pb.IN_PROGRESS),
        change(5, pb.WAITING),
        change(6, pb.RESOLVED),
        change(9, pb.CLOSED),
    )
    assert hours_of(ticket) == 4


async def test_a_wait_that_has_not_ended_is_not_counted_yet(desk: Desk) -> None:
    ticket = await imported(desk, change(0, pb.IN_PROGRESS), change(1, pb.WAITING))
    assert (hours_of(ticket), ticket.state) == (0, pb.WAITING)


async def test_each_change_of_holder_is_an_engagement_and_a_hand_over(desk: Desk) -> None:
    ticket = await imported(
        desk,
        change(0, pb.IN_PROGRESS),
        change(1, pb.IN_PROGRESS, holder=MUNICH),
        change(2, pb.IN_PROGRESS, holder=HEADQUARTERS),
        change(3, pb.IN_PROGRESS),
        change(4, pb.IN_PROGRESS, holder=MUNICH),
    )
    reply = await desk.engagements.ListEngagements(rpc.ListEngagementsRequest(parent=NAME))
    legs = [(leg.name[-2:], leg.provider, leg.state) for leg in reversed(reply.engagements)]
    assert legs == [
        ("e1", MUNICH, pb.CONFIRMED), ("e2", HEADQUARTERS, pb.CONFIRMED), ("e3", MUNICH, pb.ACCEPTED),
    ]  # fmt: skip
    told = await desk.told_types()
    assert (told.count("TicketHandedOver"), told.count("EngagementImported"), ticket.holder) == (4, 3, MUNICH)


async def test_each_change_of_tier_is_told_with_the_tier_before(desk: Desk) -> None:
    ticket = await imported(
        desk, change(0, pb.IN_PROGRESS), change(1, pb.IN_PROGRESS, tier=3), change(2, pb.IN_PROGRESS, tier=2)
    )
    assert (ticket.tier, (await desk.told_types()).count("TicketEscalated")) == (2, 2)


async def test_a_reopened_ticket_has_no_times_of_its_end(desk: Desk) -> None:
    ticket = await imported(desk, change(0, pb.CLOSED), change(1, pb.IN_PROGRESS))
    assert (ticket.HasField("resolve_time"), ticket.HasField("close_time")) == (False, False)
    assert (await desk.told_types())[-1] == "TicketReopened"


async def test_a_ticket_that_went_from_closed_back_to_resolved_is_not_closed(desk: Desk) -> None:
    ticket = await imported(desk, change(0, pb.CLOSED), change(1, pb.RESOLVED))
    assert (ticket.state, ticket.HasField("close_time"), ticket.HasField("resolve_time")) == (pb.RESOLVED, False, True)


async def test_a_ticket_that_went_from_resolved_to_a_wait_was_reopened_and_paused(desk: Desk) -> None:
    await imported(desk, change(0, pb.RESOLVED), change(1, pb.WAITING))
    assert (await desk.told_types())[-2:] == ["TicketReopened", "TicketPaused"]


async def test_an_imported_ticket_has_no_clocks(desk: Desk) -> None:
    ticket = await imported(desk, change(0, pb.NEW))
    assert (list(ticket.clocks), (await desk.evaluate(NAME)).ended) == ([], True)


async def test_an_imported_ticket_goes_on_like_any_other(desk: Desk) -> None:
    await imported(desk, change(0, pb.IN_PROGRESS), change(1, pb.WAITING))
    states = [(await desk.do(verb, NAME)).state for verb in ("ResumeTicket", "ResolveTicket", "CloseTicket")]
    assert states == [pb.IN_PROGRESS, pb.RESOLVED, pb.CLOSED]


async def test_importing_twice_is_importing_once(desk: Desk) -> None:
    await imported(desk, change(0, pb.NEW))
    head = await desk.head()
    again = await desk.import_tickets(historic(change(0, pb.NEW)))
    assert (again.imported, again.skipped, await desk.head()) == (0, 1, head)


async def test_a_ticket_that_is_there_twice_in_one_batch_is_imported_once(desk: Desk) -> None:
    answer = await desk.import_tickets(
        historic(change(0, pb.NEW), external_id="A-1"), historic(change(0, pb.NEW), external_id="a-1")
    )
    assert (answer.imported, answer.skipped) == (1, 1)


async def test_histories_that_can_not_be_are_named_and_the_others_are_imported(desk: Desk) -> None:
    forever = rpc.HistoricChange(occur_time=Timestamp(seconds=2**62), state=pb.NEW, holder=SHANGHAI, tier=1)
    answer = await desk.import_tickets(
        historic(change(1, pb.NEW), change(0, pb.CLOSED), external_id="backwards"),
        historic(change(0, pb.NEW, holder=MUNICH), external_id="elsewhere"),
        historic(forever, external_id="forever"),
        historic(change(0, pb.NEW), external_id="good"),
    )
    assert [failure.external_id for failure in answer.failures] == ["backwards", "elsewhere", "forever"]
    assert all(failure.external_id in failure.message for failure in answer.failures)
    assert (await desk.get(f"{SHANGHAI}/tickets/good")).state == pb.NEW


async def test_only_operations_import(desk: Desk) -> None:
    request = rpc.ImportTicketsRequest(parent=SHANGHAI, tickets=[historic(change(0, pb.NEW))], request_id="x")
    with refused() as refusal:
        await desk.tickets.ImportTickets(request)
    assert refusal.reason == "ROLE_MISSING"


async def test_a_change_without_a_time_is_refused_by_its_place(desk: Desk) -> None:
    broken = rpc.HistoricChange(state=pb.NEW, holder=SHANGHAI, tier=1)
    with refused() as refusal:
        await desk.import_tickets(historic(change(0, pb.NEW)), historic(change(0, pb.NEW), broken, external_id="b"))
    assert refusal.error is not None
    assert refusal.error.metadata["fields"] == "tickets[1].changes[1].occur_time"


async def test_an_imported_ticket_that_no_team_has_is_given_to_nobody(desk: Desk) -> None:
    await imported(desk, change(0, pb.IN_PROGRESS))
    await set_team(desk, "displays", "li")
    assert ((await next_assignment(desk))[0], await give_out(desk)) == (False, [])
