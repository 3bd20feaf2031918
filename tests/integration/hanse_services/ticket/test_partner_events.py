"""What a partner is told of its own tickets, and what nobody is told of a person."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql

from hanse.names import home_of
from hanse.rpc.paging import encode_token
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.model import SCHEMA
from tests.integration.hanse_services.ticket.desk import SHANGHAI, Desk, new_request_id, refused

ACME, OTHER = "partners/acme", "partners/other"


async def events(desk: Desk, token: str = "", size: int = 0, partner: str = ACME) -> rpc.ListPartnerEventsResponse:
    request = rpc.ListPartnerEventsRequest(parent=SHANGHAI, partner=partner, page_size=size, page_token=token)
    return await desk.system.ListPartnerEvents(request)


async def story(desk: Desk) -> str:
    name = (await desk.open(partner=ACME)).name
    await desk.open(partner=OTHER)
    await desk.do("CommentTicket", name, text="inside: he is annoying", public=False)
    await desk.do("AssignTicket", name)
    await desk.do("CommentTicket", name, text="We look into it", public=True)
    await desk.do("PauseTicket", name)
    await desk.customer_says(name, "Model 7", ACME)
    await desk.do("CommentTicket", name, text="inside: again", public=False)
    await desk.do("ResolveTicket", name)
    return name


async def test_a_partner_sees_what_the_customer_may_see_in_the_order_of_the_log(desk: Desk) -> None:
    name = await story(desk)
    answer = await events(desk)
    assert [entry.type for entry in answer.entries] == [
        "TicketOpened", "TicketCommented", "TicketPaused", "TicketCommented", "TicketResumed", "TicketResolved",
    ]  # fmt: skip
    assert {entry.resource for entry in answer.entries} == {name}


async def test_comments_inside_are_shown_to_no_partner(desk: Desk) -> None:
    await story(desk)
    assert b"inside" not in (await events(desk)).SerializeToString()


@pytest.mark.parametrize("size", [1, 2, 3])
async def test_reading_on_has_each_event_once_without_a_gap(desk: Desk, size: int) -> None:
    await story(desk)
    whole = [entry.event_id for entry in (await events(desk)).entries]
    read, token = [], ""
    for _ in range(20):
        answer = await events(desk, token, size)
        read += [entry.event_id for entry in answer.entries]
        token = answer.next_page_token
    assert read == whole


async def test_reading_goes_on_after_any_event_by_its_own_token(desk: Desk) -> None:
    await story(desk)
    whole = (await events(desk)).entries
    for number, entry in enumerate(whole, start=1):
        rest = (await events(desk, entry.page_token)).entries
        assert [later.event_id for later in rest] == [later.event_id for later in whole[number:]]


async def test_at_the_end_the_token_leads_to_what_comes_next(desk: Desk) -> None:
    name = await story(desk)
    token = (await events(desk)).next_page_token
    assert list((await events(desk, token)).entries) == []
    await desk.do("CloseTicket", name)
    assert [entry.type for entry in (await events(desk, token)).entries] == ["TicketClosed"]


async def test_a_made_up_token_is_refused(desk: Desk) -> None:
    for token in (encode_token(1, 2**63), encode_token("x", "y"), encode_token(-1, 0), "%"):
        with refused() as refusal:
            await events(desk, token)
        assert refusal.reason == "PAGE_TOKEN_INVALID"


async def test_a_partner_comments_on_its_own_tickets_only(desk: Desk) -> None:
    ticket = await desk.open(partner=OTHER)
    head = await desk.head()
    looks = []
    for name in (ticket.name, f"{SHANGHAI}/tickets/1"):
        with refused() as refusal:
            await desk.customer_says(name, "Mine!", ACME)
        assert refusal.error is not None
        looks.append((refusal.error.code, refusal.reason, str(refusal.error)))
    assert (looks[0] == looks[1], await desk.head()) == (True, head)


async def test_a_person_is_in_the_customer_table_and_nowhere_else(desk: Desk) -> None:
    person = pb.Contact(
        reference="c-4711", display_name="Xaver Unverwechselbar", email="xaver@example.org", phone="+49 89 471147"
    )
    ticket = await desk.open(contact=person, partner=ACME)
    await desk.customer_says(ticket.name, "Model 7", ACME)
    await desk.do("ResolveTicket", ticket.name)
    await desk.engage("RequestEngagement", (await desk.open(contact=person, partner=ACME)).name)
    needles = [person.display_name, person.email, person.phone, person.reference]
    found = {table for table, content in _contents(desk) if any(needle.encode() in content for needle in needles)}
    assert found == {"customer"}
    assert (home_of(ticket.customer), any(needle in ticket.customer for needle in needles)) == (SHANGHAI, False)


def _contents(desk: Desk) -> list[tuple[str, bytes]]:
    """Return everything that the schema holds, table by table, bytes as they are."""
    contents = []
    with psycopg.connect(desk.runtime.settings.database_url) as connection:
        for table in SCHEMA.metadata.sorted_tables:
            rows = connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(SCHEMA.name, table.name)))
            for value in (value for row in rows for value in row):
                contents.append((table.name, value if isinstance(value, bytes) else str(value).encode()))
    return contents


async def test_a_repeated_request_gives_the_same_ticket(desk: Desk) -> None:
    request = rpc.CreateTicketRequest(
        parent=SHANGHAI,
        ticket=pb.Ticket(title="屏幕黑了", category="display", priority=pb.P1),
        partner=ACME,
        request_id=new_request_id(),
    )
    first = await desk.system.CreateTicket(request)
    desk.clock.advance(hours=1)
    assert await desk.system.CreateTicket(request) == first
    request.ticket.title = "另一个"
    with refused() as refusal:
        await desk.system.CreateTicket(request)
    assert (refusal.reason, len(await desk.records())) == ("REQUEST_ID_REUSED", 1)
