"""Naming the text of a request that can't be one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hanse.rpc.texts import unfit_text
from hanse_protos.ticket.v1.service_pb2 import CreateTicketRequest, ImportTicketsRequest
from hanse_protos.ticket.v1.ticket_pb2 import Contact, Ticket

DESCRIPTOR = CreateTicketRequest.DESCRIPTOR


def broken(request: CreateTicketRequest) -> bytes:
    return request.SerializeToString().replace(b"XX", b"\xff\xff")


def test_a_broken_text_is_named_by_its_path() -> None:
    assert unfit_text(DESCRIPTOR, broken(CreateTicketRequest(parent="XX"))) == "parent"
    assert unfit_text(DESCRIPTOR, broken(CreateTicketRequest(ticket=Ticket(product="XX")))) == "ticket.product"
    assert unfit_text(DESCRIPTOR, broken(CreateTicketRequest(contact=Contact(email="XX")))) == "contact.email"


def test_a_nul_is_named_by_its_path() -> None:
    content = CreateTicketRequest(ticket=Ticket(title="a\0b")).SerializeToString()
    assert unfit_text(DESCRIPTOR, content) == "ticket.title"


def test_sound_texts_are_not_named() -> None:
    content = CreateTicketRequest(
        parent="x", ticket=Ticket(title="显示屏", description="ü" * 1_000)
    ).SerializeToString()
    assert unfit_text(DESCRIPTOR, content) == ""


@given(st.binary(max_size=200))
def test_no_bytes_at_all_break_the_search(content: bytes) -> None:
    unfit_text(ImportTicketsRequest.DESCRIPTOR, content)
