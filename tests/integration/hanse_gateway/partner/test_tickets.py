"""A partner opens, reads and comments on its own tickets, and knows of no others."""

from __future__ import annotations

from typing import Any

import pytest

from hanse.errors import Unavailable
from hanse.identity import Role
from hanse.rpc.client import RemoteError, open_channel, remote_errors
from hanse_gateway.partner.desk import Desk
from hanse_protos.gateway.v1 import gateway_pb2 as pb
from hanse_protos.ticket.v1 import service_pb2 as desk
from hanse_protos.ticket.v1.service_pb2_grpc import TicketServiceStub
from hanse_protos.ticket.v1.ticket_pb2 import NEW, Contact
from tests.integration.hanse_gateway.partner.support import UNIT, Unit, creation, refused, request_id
from tests.support import Caller

CREATE = "/hanse_protos.gateway.v1.PartnerService/CreateTicket"


async def test_a_partner_opens_a_ticket_of_its_own(unit: Unit) -> None:
    ticket = await (await unit.partner()).open(description="早上开机后黑屏", language="zh-CN")
    assert (ticket.state, ticket.description, ticket.language) == (NEW, "早上开机后黑屏", "zh-CN")


async def test_the_desk_knows_through_whom_a_ticket_came(unit: Unit) -> None:
    ticket = await (await unit.partner()).open(contact=Contact(reference="c-1", display_name="王芳"))
    seen = await unit.desk.GetTicket(desk.GetTicketRequest(name=ticket.name))
    assert seen.partner == "partners/acme"
    assert seen.customer


async def test_the_same_request_gives_the_same_ticket(unit: Unit) -> None:
    partner, request = await unit.partner(), creation()
    assert await partner.tickets.CreateTicket(request) == await partner.tickets.CreateTicket(request)


async def test_the_same_request_id_with_another_body_is_refused(unit: Unit) -> None:
    partner, used = await unit.partner(), request_id()
    await partner.open(request_id=used)
    assert (await refused(lambda: partner.open(request_id=used, title="anders"))).reason == "REQUEST_ID_REUSED"


async def test_two_partners_may_use_one_request_id(unit: Unit) -> None:
    acme, apex, shared = await unit.partner("acme"), await unit.partner("apex"), request_id()
    assert (await acme.open(request_id=shared)).name != (await apex.open(request_id=shared)).name


async def test_a_partner_reads_its_own_ticket(unit: Unit) -> None:
    partner = await unit.partner()
    ticket = await partner.open()
    assert (await partner.tickets.GetTicket(pb.PartnerGetTicketRequest(name=ticket.name))).title == ticket.title


async def test_another_partners_ticket_is_not_found(unit: Unit) -> None:
    acme, apex = await unit.partner("acme"), await unit.partner("apex")
    ticket = await acme.open()
    for call in (
        lambda: apex.tickets.GetTicket(pb.PartnerGetTicketRequest(name=ticket.name)),
        lambda: apex.comment(ticket.name, "?"),
    ):
        assert (await refused(call)).reason == "RESOURCE_NOT_FOUND"


async def test_what_is_denied_and_what_is_absent_look_the_same(unit: Unit) -> None:
    acme, apex = await unit.partner("acme"), await unit.partner("apex")
    denied, absent = (await acme.open()).name, f"{UNIT}/tickets/nowhere"
    errors = [
        await refused(lambda name=name: apex.tickets.GetTicket(pb.PartnerGetTicketRequest(name=name)))  # type: ignore[misc]
        for name in (denied, absent)
    ]
    assert len({(error.code, error.reason, str(error), error.hint) for error in errors}) == 1


async def test_another_units_ticket_is_not_found(unit: Unit) -> None:
    partner = await unit.partner()
    request = pb.PartnerGetTicketRequest(name="units/munich/tickets/3k9m2x-4t7qzd")
    assert (await refused(lambda: partner.tickets.GetTicket(request))).reason == "RESOURCE_NOT_FOUND"


async def test_a_partner_lists_its_own_tickets_only_in_pages(unit: Unit) -> None:
    acme, apex = await unit.partner("acme"), await unit.partner("apex")
    own = [(await acme.open()).name for _ in range(3)]
    await apex.open()
    first = await acme.tickets.ListTickets(pb.PartnerListTicketsRequest(page_size=2))
    rest = await acme.tickets.ListTickets(pb.PartnerListTicketsRequest(page_size=2, page_token=first.next_page_token))
    assert [ticket.name for ticket in (*first.tickets, *rest.tickets)] == own[::-1]
    assert not rest.next_page_token


async def test_a_garbled_page_token_is_refused(unit: Unit) -> None:
    partner = await unit.partner()
    request = pb.PartnerListTicketsRequest(page_token="garbled")
    assert (await refused(lambda: partner.tickets.ListTickets(request))).reason == "PAGE_TOKEN_INVALID"


async def test_a_comment_that_is_sent_twice_is_one_comment(unit: Unit) -> None:
    partner, sent = await unit.partner(), request_id()
    ticket = await partner.open()
    for _ in range(2):
        await partner.comment(ticket.name, "还是黑屏", request_id=sent)
    timeline = await unit.desk.ListTimelineEntries(desk.ListTimelineEntriesRequest(parent=ticket.name))
    assert [entry.text for entry in timeline.entries if entry.type == "TicketCommented"] == ["还是黑屏"]


async def test_a_closed_ticket_takes_no_comments(unit: Unit) -> None:
    partner = await unit.partner()
    ticket = await partner.open()
    await unit.desk.ResolveTicket(
        desk.ResolveTicketRequest(name=ticket.name, solution="更换电源", request_id=request_id())
    )
    await unit.desk.CloseTicket(desk.CloseTicketRequest(name=ticket.name, request_id=request_id()))
    error = await refused(lambda: partner.comment(ticket.name, "?"))
    assert error.reason == "ILLEGAL_TRANSITION"
    assert "Reopen" not in error.hint


async def test_an_unknown_category_is_refused_by_name(unit: Unit) -> None:
    partner = await unit.partner()
    error = await refused(lambda: partner.open(category="unheard-of"))
    assert (error.reason, error.metadata["category"]) == ("CATEGORY_UNKNOWN", "unheard-of")


async def test_a_unit_without_a_policy_takes_no_tickets_yet(unit_without_policy: Unit) -> None:
    partner = await unit_without_policy.partner()
    assert (await refused(partner.open)).reason == "UNAVAILABLE"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"title": "x" * 201}, "title"),
        ({"description": "x" * 20_001}, "description"),
        ({"request_id": "x"}, "request_id"),
    ],
)
async def test_a_field_that_breaks_the_contract_is_named(unit: Unit, fields: dict[str, str], named: str) -> None:
    partner = await unit.partner()
    error = await refused(lambda: partner.open(**fields))
    assert (error.reason, error.metadata["fields"]) == ("VALIDATION_FAILED", named)


async def test_broken_utf_8_is_refused_and_opens_nothing(unit: Unit) -> None:
    partner = await unit.partner()
    broken = creation(title="黑屏").SerializeToString().replace("黑屏".encode(), b"\xff\xfe\xff\xfe\xff\xfe")
    raw: Any = partner.channel.unary_unary(CREATE)
    assert (await refused(lambda: raw(broken))).reason == "VALIDATION_FAILED"
    assert not (await partner.tickets.ListTickets(pb.PartnerListTicketsRequest())).tickets


async def test_while_the_desk_is_away_partners_are_told_to_try_again(unit: Unit) -> None:
    nowhere = open_channel("localhost:1", unit.runtime.settings.tls.authority)
    with pytest.raises(Unavailable) as failure:
        await Desk(nowhere, UNIT).open_ticket("partners/acme", creation())
    await nowhere.close()
    assert "same request id" in failure.value.hint


async def test_a_partner_never_reaches_the_desk_by_itself(unit: Unit) -> None:
    caller = Caller(unit.runtime)
    stub: Any = TicketServiceStub(caller.channel(Role.PARTNER))
    with pytest.raises(RemoteError) as failure, remote_errors():
        await stub.ListTickets(desk.ListTicketsRequest(parent=UNIT))
    await caller.close()
    assert failure.value.reason == "ROLE_MISSING"
