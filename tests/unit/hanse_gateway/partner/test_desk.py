"""What the desk is asked on a partner's behalf, and what a partner sees of a ticket."""

from __future__ import annotations

from uuid import UUID, uuid4

from hanse_gateway.partner.desk import desk_request_id, for_partner
from hanse_protos.gateway.v1.gateway_pb2 import PartnerTicket
from hanse_protos.ticket.v1.ticket_pb2 import Ticket

INSIDE = {
    "customer_class",
    "etag",
    "product",
    "tier",
    "customer",
    "partner",
    "assignee",
    "holder",
    "resolve_time",
    "close_time",
}
INSIDE |= {"policy_version", "policy_override", "waiting_duration", "clocks", "respond_time", "suspension"}
INSIDE |= {"team", "returns", "supplier", "target", "service_owner"}


def test_the_same_request_of_a_partner_is_the_same_to_the_desk() -> None:
    request_id = str(uuid4())
    assert desk_request_id("partners/acme", request_id) == desk_request_id("partners/acme", request_id.upper())


def test_two_partners_never_share_a_request_id() -> None:
    request_id = str(uuid4())
    assert desk_request_id("partners/acme", request_id) != desk_request_id("partners/apex", request_id)


def test_the_desk_is_given_a_uuid() -> None:
    assert UUID(desk_request_id("partners/acme", str(uuid4()))).version == 5


def test_a_partner_sees_what_the_contract_says_and_no_more() -> None:
    assert set(Ticket.DESCRIPTOR.fields_by_name) - set(PartnerTicket.DESCRIPTOR.fields_by_name) == INSIDE


def test_a_partner_sees_the_solution() -> None:
    assert for_partner(Ticket(name="units/shanghai/tickets/x", solution="更换电源")).solution == "更换电源"
