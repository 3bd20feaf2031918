"""The timeline: every step in every unit, in one order."""

from __future__ import annotations

from datetime import timedelta

from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from tests.integration.hanse_services.ticket.desk import HEADQUARTERS, MONDAY, MUNICH, SHANGHAI, Desk, refused
from tests.integration.hanse_services.ticket.engaged import Engaged, engaged_at
from tests.support import record_of


async def page(desk: Desk, ticket: str, size: int = 0, token: str = "") -> rpc.ListTimelineEntriesResponse:
    request = rpc.ListTimelineEntriesRequest(parent=ticket, page_size=size, page_token=token)
    return await desk.tickets.ListTimelineEntries(request)


async def timeline(desk: Desk, ticket: str) -> list[pb.TimelineEntry]:
    return list((await page(desk, ticket)).entries)


async def solved_in_munich(desk: Desk) -> Engaged:
    """Have Munich work on a ticket of Shanghai's; each step takes a minute."""
    engaged = await engaged_at(desk, pb.REQUESTED)
    await desk.is_told(engaged.offered(at=desk.clock.advance(minutes=1)))
    await desk.is_told(engaged.accepted(at=desk.clock.advance(minutes=1)))
    await desk.is_told(engaged.work_noted("Ordered a board", at=desk.clock.advance(minutes=1)))
    await desk.is_told(engaged.delivered(at=desk.clock.advance(minutes=1)))
    desk.clock.advance(minutes=1)
    await desk.engage("ConfirmEngagement", engaged.name)
    return engaged


async def test_the_steps_of_all_units_are_in_one_order(desk: Desk) -> None:
    engaged = await solved_in_munich(desk)
    assert [(entry.unit, entry.type) for entry in await timeline(desk, engaged.ticket)] == [
        (SHANGHAI, "TicketOpened"),
        (SHANGHAI, "EngagementRequested"),
        (HEADQUARTERS, "EngagementOffered"),
        (MUNICH, "EngagementAccepted"),
        (SHANGHAI, "TicketHandedOver"),
        (MUNICH, "EngagementWorkNoted"),
        (MUNICH, "EngagementDelivered"),
        (SHANGHAI, "TicketHandedOver"),
        (SHANGHAI, "EngagementConfirmed"),
    ]


async def test_what_is_anothers_to_tell_is_no_step(desk: Desk) -> None:
    engaged = await engaged_at(desk, pb.ACCEPTED)
    before = await timeline(desk, engaged.ticket)
    comment = told.TicketCommented(ticket=pb.TicketSummary(name=engaged.ticket), public=True)
    await desk.is_told(record_of(comment, engaged.ticket, unit="units/vienna", sealed={"text": "Send us the password"}))
    await desk.is_told(engaged.work_noted("Not mine", by="units/vienna"))
    assert await timeline(desk, engaged.ticket) == before


async def test_what_arrives_late_stands_where_it_happened(desk: Desk) -> None:
    engaged = await engaged_at(desk, pb.ACCEPTED)
    desk.clock.advance(hours=2)
    await desk.do("CommentTicket", engaged.ticket)
    await desk.is_told(engaged.work_noted("Ordered a board", at=MONDAY + timedelta(hours=1)))
    assert [entry.type for entry in await timeline(desk, engaged.ticket)][-2:] == [
        "EngagementWorkNoted", "TicketCommented",
    ]  # fmt: skip


async def test_each_step_says_who_under_which_policy_and_what(desk: Desk) -> None:
    name = (await desk.open()).name
    await desk.do("CommentTicket", name, text="我们在看", public=True)
    entry = (await timeline(desk, name))[-1]
    assert (entry.actor, entry.policy_version, entry.text, entry.summary) == (
        f"{SHANGHAI}/agents/li", 1, "我们在看", "commented, for the customer to see",
    )  # fmt: skip


async def test_a_step_of_another_unit_says_its_text_where_it_was_shared(desk: Desk) -> None:
    engaged = await engaged_at(desk, pb.ACCEPTED)
    withheld = engaged.work_noted("Secret", at=MONDAY + timedelta(hours=2))
    withheld.ClearField("sealed")
    await desk.is_told(engaged.work_noted("Ordered a board", at=MONDAY + timedelta(hours=1)))
    await desk.is_told(withheld)
    assert [entry.text for entry in await timeline(desk, engaged.ticket)][-2:] == ["Ordered a board", ""]


async def test_every_step_is_described_in_words(desk: Desk) -> None:
    engaged = await solved_in_munich(desk)
    await desk.evaluate(engaged.ticket)
    for verb in ("AssignTicket", "EscalateTicket", "PauseTicket", "ResumeTicket", "ResolveTicket", "ReopenTicket"):
        await desk.do(verb, engaged.ticket)
    assert [entry.type for entry in await timeline(desk, engaged.ticket) if entry.summary == entry.type] == []


async def test_pages_have_each_step_once_in_order(desk: Desk) -> None:
    engaged = await solved_in_munich(desk)
    whole = await timeline(desk, engaged.ticket)
    for size in (1, 2, 4):
        paged: list[pb.TimelineEntry] = []
        token = ""
        while True:
            answer = await page(desk, engaged.ticket, size, token)
            paged += answer.entries
            if not (token := answer.next_page_token):
                break
        assert paged == whole


async def test_a_step_that_arrives_between_two_pages_repeats_none(desk: Desk) -> None:
    engaged = await solved_in_munich(desk)
    first = await page(desk, engaged.ticket, 4)
    await desk.is_told(engaged.work_noted("Late", at=MONDAY + timedelta(seconds=30)))
    second = await page(desk, engaged.ticket, 100, first.next_page_token)
    assert {entry.event_id for entry in first.entries} & {entry.event_id for entry in second.entries} == set()


async def test_a_ticket_s_timeline_holds_nothing_of_a_ticket_whose_name_begins_alike(desk: Desk) -> None:
    name = (await desk.open()).name
    record = Engaged(f"{name}-2/engagements/e1").accepted()
    await desk.is_told(record)
    assert len(await timeline(desk, name)) == 1


async def test_a_unit_that_was_never_asked_has_no_step_in_the_timeline(desk: Desk) -> None:
    engaged = await engaged_at(desk, pb.ACCEPTED)
    before = len(await timeline(desk, engaged.ticket))
    stranger = Engaged(engaged.name, "units/vienna")
    assert await desk.is_told(stranger.work_noted("Send me the password"))
    assert len(await timeline(desk, engaged.ticket)) == before
    assert await desk.is_told(engaged.work_noted("Ordered a board"))
    assert len(await timeline(desk, engaged.ticket)) == before + 1


async def test_the_provider_sees_the_steps_that_it_was_told(munich: Desk) -> None:
    engaged = await engaged_at(munich, pb.ACCEPTED)
    types = {entry.type for entry in await timeline(munich, engaged.ticket)}
    assert types == {"EngagementRequested", "EngagementOffered", "EngagementAccepted"}


async def test_the_timeline_of_a_ticket_that_is_not_shared_is_not_found(desk: Desk) -> None:
    with refused() as refusal:
        await timeline(desk, f"{MUNICH}/tickets/1")
    assert refusal.reason == "RESOURCE_NOT_FOUND"


async def test_a_made_up_page_token_is_refused(desk: Desk) -> None:
    name = (await desk.open()).name
    for token in ("Wy0xXQ==", "WyJ4IiwgMSwgInkiXQ=="):
        with refused() as refusal:
            await page(desk, name, 1, token)
        assert refusal.reason == "PAGE_TOKEN_INVALID"
