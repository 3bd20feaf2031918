"""The life of a ticket, over gRPC, as people with roles."""

from __future__ import annotations

import asyncio

import grpc

from hanse.identity import Role
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import service_pb2_grpc as stubs
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from tests.integration.hanse_services.ticket.desk import Desk, new_request_id, refused


async def test_a_ticket_lives_from_open_to_closed_under_one_name(desk: Desk) -> None:
    name = (await desk.open()).name
    steps = [
        ("CommentTicket", pb.NEW),
        ("AssignTicket", pb.IN_PROGRESS),
        ("PauseTicket", pb.WAITING),
        ("ResumeTicket", pb.IN_PROGRESS),
        ("EscalateTicket", pb.IN_PROGRESS),
        ("ResolveTicket", pb.RESOLVED),
        ("ReopenTicket", pb.IN_PROGRESS),
        ("ResolveTicket", pb.RESOLVED),
        ("CloseTicket", pb.CLOSED),
    ]
    answers = [await desk.do(verb, name) for verb, _ in steps]
    assert [(answer.name, answer.state) for answer in answers] == [(name, state) for _, state in steps]


async def test_every_step_changes_the_etag(desk: Desk) -> None:
    ticket = await desk.open()
    etags = [ticket.etag]
    for verb in ("CommentTicket", "AssignTicket", "PauseTicket", "ResumeTicket", "EscalateTicket", "ResolveTicket"):
        etags.append((await desk.do(verb, ticket.name)).etag)
    assert len(set(etags)) == len(etags)


async def test_what_a_step_answers_is_what_is_read_afterwards(desk: Desk) -> None:
    answer = await desk.do("ResolveTicket", (await desk.open()).name)
    read = await desk.get(answer.name)
    for message in (answer, read):
        message.ClearField("clocks")
    assert read == answer


async def test_each_step_tells_one_event(desk: Desk) -> None:
    name = (await desk.open()).name
    for verb in ("CommentTicket", "AssignTicket", "PauseTicket", "ResumeTicket", "EscalateTicket"):
        await desk.do(verb, name)
    assert await desk.told_types() == [
        "TicketOpened", "TicketCommented", "TicketAssigned", "TicketPaused", "TicketResumed", "TicketEscalated",
    ]  # fmt: skip


async def test_a_stale_etag_is_refused(desk: Desk) -> None:
    ticket = await desk.open()
    await desk.do("CommentTicket", ticket.name)
    head = await desk.head()
    with refused() as refusal:
        await desk.do("AssignTicket", ticket.name, etag=ticket.etag)
    assert (refusal.reason, await desk.head()) == ("ETAG_MISMATCH", head)


async def test_the_present_etag_is_taken(desk: Desk) -> None:
    ticket = await desk.open()
    assert (await desk.do("AssignTicket", ticket.name, etag=ticket.etag)).state == pb.IN_PROGRESS


async def test_an_unknown_category_is_named(desk: Desk) -> None:
    head = await desk.head()
    with refused() as refusal:
        await desk.open(category="teapots")
    assert refusal.error is not None
    assert (refusal.reason, refusal.error.metadata["category"]) == ("CATEGORY_UNKNOWN", "teapots")
    assert await desk.head() == head


async def test_another_units_desk_is_not_opened_here(desk: Desk) -> None:
    request = rpc.CreateTicketRequest(
        parent="units/munich",
        ticket=pb.Ticket(title="Dark", category="display", priority=pb.P1),
        request_id=new_request_id(),
    )
    with refused() as refusal:
        await desk.tickets.CreateTicket(request)
    assert refusal.reason == "RESOURCE_NOT_FOUND"


async def test_another_units_ticket_looks_like_one_that_is_absent(desk: Desk) -> None:
    looks = []
    for name in ("units/munich/tickets/1", f"{desk.unit}/tickets/1"):
        with refused() as refusal:
            await desk.get(name)
        assert refusal.error is not None
        error = refusal.error
        assert error.metadata == {"resource": name}
        looks.append((error.code, error.reason, str(error), error.hint))
    assert looks[0] == looks[1]


async def test_another_units_ticket_is_not_changed_here(desk: Desk) -> None:
    for verb in ("CommentTicket", "AssignTicket", "ResolveTicket"):
        with refused() as refusal:
            await desk.do(verb, "units/munich/tickets/1")
        assert refusal.reason == "RESOURCE_NOT_FOUND"


async def test_an_auditor_of_accounts_reads_and_changes_nothing(desk: Desk) -> None:
    ticket = await desk.open()
    controller = stubs.TicketServiceStub(desk.caller.channel(Role.CONTROLLER))
    assert (await controller.GetTicket(rpc.GetTicketRequest(name=ticket.name))).name == ticket.name
    with refused() as refusal:
        await controller.CloseTicket(rpc.CloseTicketRequest(name=ticket.name, request_id=new_request_id()))
    assert (refusal.reason, refusal.error and refusal.error.code) == (
        "ROLE_MISSING",
        grpc.StatusCode.PERMISSION_DENIED,
    )


async def test_a_wait_for_nobody_known_is_refused(desk: Desk) -> None:
    ticket = await desk.open()
    with refused() as refusal:
        await desk.do("PauseTicket", ticket.name, waiting_for="godot")
    assert refusal.error is not None
    assert (refusal.reason, refusal.error.metadata["fields"]) == ("VALIDATION_FAILED", "waiting_for")


async def test_a_ticket_at_the_top_tier_climbs_no_further(desk: Desk) -> None:
    ticket = await desk.open()
    assert [(await desk.do("EscalateTicket", ticket.name)).tier for _ in range(2)] == [2, 3]
    with refused() as refusal:
        await desk.do("EscalateTicket", ticket.name)
    assert refusal.reason == "ILLEGAL_TRANSITION"


async def test_fifty_people_who_comment_at_once_are_all_heard(desk: Desk) -> None:
    ticket = await desk.open()
    answers = await asyncio.gather(*(desk.do("CommentTicket", ticket.name, text=f"{n}") for n in range(50)))
    assert len({answer.etag for answer in answers}) == 50
    assert (await desk.told_types()).count("TicketCommented") == 50


async def test_the_same_contact_reference_of_a_partner_is_the_same_customer(desk: Desk) -> None:
    contact = pb.Contact(reference="c-1", display_name="王芳")
    first, again = [await desk.open(contact=contact, partner="partners/acme") for _ in range(2)]
    other = await desk.open(contact=contact, partner="partners/other")
    assert (first.customer == again.customer, first.customer == other.customer) == (True, False)


async def test_pages_of_tickets_have_each_ticket_once_the_newest_first(desk: Desk) -> None:
    opened = []
    for _ in range(5):
        desk.clock.advance(seconds=1)
        opened.append((await desk.open()).name)
    listed, token = [], ""
    while True:
        request = rpc.ListTicketsRequest(parent=desk.unit, page_size=2, page_token=token)
        page = await desk.tickets.ListTickets(request)
        listed += [ticket.name for ticket in page.tickets]
        if not (token := page.next_page_token):
            break
    assert listed == opened[::-1]


async def test_a_state_that_the_contract_does_not_know_is_refused(desk: Desk) -> None:
    with refused() as refusal:
        await desk.tickets.ListTickets(rpc.ListTicketsRequest(parent=desk.unit, states=[99]))  # type: ignore[list-item]
    assert refusal.error is not None
    assert refusal.error.metadata["fields"] == "states[0]"


async def test_a_page_token_of_another_query_is_refused(desk: Desk) -> None:
    for token in ("WyJ4IiwgInkiXQ==", "WzFd", "not a token", "WyIyMDI2LTAxLTAxVDAwOjAwOjAwIiwgIngiXQ=="):
        with refused() as refusal:
            await desk.tickets.ListTickets(rpc.ListTicketsRequest(parent=desk.unit, page_token=token))
        assert refusal.reason == "PAGE_TOKEN_INVALID"


async def test_text_with_a_nul_is_refused_and_its_field_named(desk: Desk) -> None:
    with refused() as refusal:
        await desk.open(description="a\0b")
    assert refusal.error is not None
    assert (refusal.reason, refusal.error.metadata["fields"]) == ("VALIDATION_FAILED", "ticket.description")
