"""A partner follows what happens to its own tickets, and goes on where it was."""

from __future__ import annotations

import asyncio
import time

from hanse.rpc.server import DRAIN_SECONDS
from hanse_gateway.partner.events import MAX_STREAMS_PER_PARTNER
from hanse_protos.gateway.v1 import gateway_pb2 as pb
from tests.integration.hanse_gateway.partner.support import Unit, refused

LIVE_WITHIN_SECONDS = 1.0


async def test_the_steps_of_a_ticket_are_told_in_order(unit: Unit) -> None:
    partner = await unit.partner()
    ticket = await partner.open(description="黑屏")
    await unit.comment(ticket.name, "请重启", public=True)
    await partner.comment(ticket.name, "没用")
    events = await partner.follow(3)
    assert [(event.type, event.text) for event in events] == [
        ("TicketOpened", "黑屏"),
        ("TicketCommented", "请重启"),
        ("TicketCommented", "没用"),
    ]


async def test_what_is_said_inside_is_not_told(unit: Unit) -> None:
    partner = await unit.partner()
    ticket = await partner.open()
    await unit.comment(ticket.name, "电源有问题？", public=False)
    await unit.comment(ticket.name, "请稍候", public=True)
    assert [event.text for event in await partner.follow(2)] == ["", "请稍候"]


async def test_a_partner_is_told_of_its_own_tickets_only(unit: Unit) -> None:
    acme, apex = await unit.partner("acme"), await unit.partner("apex")
    await apex.open()
    own = await acme.open()
    assert [event.ticket for event in await acme.follow(1)] == [own.name]


async def test_from_any_cursor_the_stream_goes_on_without_gap_or_repeat(unit: Unit) -> None:
    partner = await unit.partner()
    ticket = await partner.open()
    for number in range(7):
        await unit.comment(ticket.name, f"内部 {number}", public=False)
        await partner.comment(ticket.name, f"第 {number} 条")
    everything = await partner.follow(8)
    for seen in range(8):
        rest = await partner.follow(7 - seen, everything[seen].cursor)
        assert everything[: seen + 1] + rest == everything


async def test_more_events_than_a_page_are_all_told(unit: Unit) -> None:
    partner = await unit.partner()
    tickets = [(await partner.open()).name for _ in range(120)]
    assert [event.ticket for event in await partner.follow(120)] == tickets


async def test_an_event_is_told_live(unit: Unit) -> None:
    partner = await unit.partner()
    ticket = await partner.open()
    call = partner.tickets.WatchEvents(pb.WatchEventsRequest())
    await call.read()
    await asyncio.sleep(0.5)
    seconds = []
    for text in ("请重启", "再试一次", "好了吗？"):
        await unit.comment(ticket.name, text, public=True)
        said = time.monotonic()
        assert (await call.read()).text == text
        seconds.append(time.monotonic() - said)
    # The machine may stall, but not each time.
    assert min(seconds) < LIVE_WITHIN_SECONDS
    call.cancel()


async def test_a_garbled_cursor_is_refused(unit: Unit) -> None:
    partner = await unit.partner()
    call = partner.tickets.WatchEvents(pb.WatchEventsRequest(cursor="garbled"))
    assert (await refused(call.read)).reason == "PAGE_TOKEN_INVALID"


async def test_a_partner_has_so_many_streams_and_no_more(unit: Unit) -> None:
    partner = await unit.partner()
    await partner.open()
    calls = [partner.tickets.WatchEvents(pb.WatchEventsRequest()) for _ in range(MAX_STREAMS_PER_PARTNER)]
    for call in calls:
        await call.read()
    one_more = partner.tickets.WatchEvents(pb.WatchEventsRequest())
    assert (await refused(one_more.read)).reason == "RESOURCE_EXHAUSTED"
    for call in calls:
        call.cancel()


async def test_a_stream_that_its_partner_left_makes_room(unit: Unit) -> None:
    partner = await unit.partner()
    await partner.open()
    for _ in range(MAX_STREAMS_PER_PARTNER + 1):
        assert len(await partner.follow(1)) == 1
        await asyncio.sleep(0.05)


async def test_when_the_gateway_stops_its_streams_end_at_once_and_say_so(unit: Unit) -> None:
    partner = await unit.partner()
    await partner.open()
    call = partner.tickets.WatchEvents(pb.WatchEventsRequest())
    await call.read()
    stopping = asyncio.create_task(unit.gateway.stop())
    # Otherwise it would end when calls have had their time to finish.
    async with asyncio.timeout(DRAIN_SECONDS / 2):
        assert (await refused(call.read)).reason == "UNAVAILABLE"
    await stopping
