"""A person is erased: nothing of it is left in the desk's tables, and what was said about its tickets neither."""

from functools import partial
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.erasing import ERASED
from hanse.identity import Role
from hanse.log.verify import verify
from hanse.names import stream_name
from hanse.policy.store import PolicyStore
from hanse.work import Cause, Work
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import service_pb2_grpc as stubs
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_protos.ticket.v1.repair_pb2 import MissedStep
from hanse_services.ticket.erasing import erase_customer
from hanse_services.ticket.model import SCHEMA, Customer
from tests.integration.hanse_services.ticket.desk import MONDAY, MUNICH, SHANGHAI, TEXTS, Desk, new_request_id, refused
from tests.integration.hanse_services.ticket.engaged import Engaged, engaged_at
from tests.integration.hanse_services.ticket.test_repair import REASON, correct, missed
from tests.interleaving import interleaved
from tests.support import record_of

CONTACT = pb.Contact(reference="C-1001", display_name="Frau Chen", email="chen@example.cn", phone="+86 21 5555")
WORDS = ("Frau Chen", "chen@example.cn", "+86 21 5555", "C-1001", "Screen is dark", "Since noon", "It is Frau Chen's")


def customers(desk: Desk, role: Role = Role.LEAD) -> Any:
    """Return the customers of a desk, as somebody with a role sees them."""
    return stubs.CustomerServiceStub(desk.caller.channel(role, actor="agents/wang"))


def erasure(name: str) -> rpc.EraseCustomerRequest:
    return rpc.EraseCustomerRequest(name=name, ground=pb.REQUEST_OF_PERSON, request_id=new_request_id())


async def erase(desk: Desk, name: str) -> pb.Customer:
    answer: pb.Customer = await customers(desk).EraseCustomer(erasure(name))
    return answer


async def closed(desk: Desk) -> pb.Ticket:
    """Return a ticket of Frau Chen's that went through its life."""
    ticket = await desk.open(contact=CONTACT, description="Since noon", partner="partners/acme")
    await desk.do("CommentTicket", ticket.name, text="It is Frau Chen's")
    await desk.do("ResolveTicket", ticket.name)
    return await desk.do("CloseTicket", ticket.name)


def found(desk: Desk, *words: str) -> set[str]:
    """Return the tables of the desk that hold some of the words, as text or inside bytes."""
    holding = set()
    with psycopg.connect(desk.runtime.settings.database_url) as connection:
        for table in SCHEMA.metadata.sorted_tables:
            query = sql.SQL("SELECT whole::text FROM {} AS whole").format(sql.Identifier(SCHEMA.name, table.name))
            rows = "\n".join(row[0] for row in connection.execute(query))
            if any(word in rows or word.encode().hex() in rows for word in words):
                holding.add(table.name)
    return holding


async def test_nothing_of_the_person_is_left_in_any_table(desk: Desk) -> None:
    ticket = await closed(desk)
    assert found(desk, *WORDS) == {"customer", "ticket", "log_record", "request"}
    await erase(desk, ticket.customer)
    assert found(desk, *WORDS, TEXTS["ResolveTicket"]["solution"]) == set()


async def test_why_a_ticket_was_corrected_is_erased_with_it(desk: Desk) -> None:
    ticket = await closed(desk)
    await correct(desk, ticket.name, missed(MissedStep.ANSWERED, MONDAY))
    assert found(desk, REASON) == {"log_record"}
    await erase(desk, ticket.customer)
    assert found(desk, REASON) == set()


async def test_the_row_says_who_when_and_why(desk: Desk) -> None:
    ticket = await closed(desk)
    customer = await erase(desk, ticket.customer)
    assert (customer.eraser, customer.erasure_ground, customer.tickets) == (
        f"{SHANGHAI}/agents/wang",
        pb.REQUEST_OF_PERSON,
        1,
    )
    assert customer.HasField("erase_time")
    assert not customer.HasField("contact")


async def test_the_log_tells_it_and_verifies(desk: Desk) -> None:
    ticket = await closed(desk)
    await erase(desk, ticket.customer)
    assert (await desk.told_types())[-2:] == ["TicketErased", "CustomerErased"]
    verification = await desk.runtime.database.read(verify, SCHEMA.log, stream_name(SHANGHAI, "ticket"))
    assert verification.intact


async def test_the_ticket_stays_without_its_texts(desk: Desk) -> None:
    ticket = await closed(desk)
    await erase(desk, ticket.customer)
    left = await desk.get(ticket.name)
    assert (left.state, left.title, left.description, left.solution) == (pb.CLOSED, ERASED, ERASED, ERASED)


async def test_a_repeat_changes_nothing(desk: Desk) -> None:
    ticket = await closed(desk)
    first = await erase(desk, ticket.customer)
    facts = len(await desk.records())
    assert await erase(desk, ticket.customer) == first
    assert len(await desk.records()) == facts


async def test_the_partners_next_ticket_for_the_person_is_a_new_customers(desk: Desk) -> None:
    ticket = await closed(desk)
    await erase(desk, ticket.customer)
    assert (await desk.open(contact=CONTACT, partner="partners/acme")).customer != ticket.customer


async def test_a_ticket_that_is_opened_while_the_person_is_erased_is_a_new_customers(desk: Desk) -> None:
    ticket = await closed(desk)

    def erase_now(session: Session) -> None:
        work = Work(session, desk.unit, Cause(f"{desk.unit}/agents/wang", "r"), desk.clock(), PolicyStore(SCHEMA))
        erase_customer(work, erasure(ticket.customer))

    open_another = partial(desk.open, contact=CONTACT, partner="partners/acme")
    _, another = await interleaved(desk.runtime.database, erase_now, open_another)
    assert another.customer != ticket.customer
    assert {row.name for row in await named(desk, "Frau Chen")} == {another.customer}


async def named(desk: Desk, display_name: str) -> list[Customer]:
    query = select(Customer).where(Customer.display_name == display_name)
    return await desk.runtime.database.read(lambda session: list(session.scalars(query)))


async def test_another_customers_texts_stay(desk: Desk) -> None:
    ticket, other = await closed(desk), await desk.open(title="Something else", contact=pb.Contact(reference="C-2"))
    await erase(desk, ticket.customer)
    assert (await desk.get(other.name)).title == "Something else"


async def test_an_open_ticket_is_in_the_way(desk: Desk) -> None:
    ticket = await desk.open(contact=CONTACT)
    with refused() as refusal:
        await erase(desk, ticket.customer)
    assert refusal.reason == "CUSTOMER_HAS_OPEN_TICKETS"
    assert refusal.error
    assert refusal.error.metadata["tickets"] == ticket.name


@pytest.mark.parametrize("role", [Role.AGENT, Role.OPERATIONS, Role.CONTROLLER, Role.SYSTEM])
async def test_only_the_desks_lead_erases(desk: Desk, role: Role) -> None:
    with refused() as refusal:
        await customers(desk, role).EraseCustomer(erasure(f"{SHANGHAI}/customers/c1"))
    assert refusal.reason == "ROLE_MISSING"


async def test_a_repeated_request_of_before_gets_its_answer_without_texts(desk: Desk) -> None:
    request = rpc.CreateTicketRequest(
        parent=SHANGHAI,
        ticket=pb.Ticket(title="Screen is dark", category="display", priority=pb.P2),
        contact=CONTACT,
        request_id=new_request_id(),
    )
    ticket = await desk.system.CreateTicket(request)
    await desk.do("ResolveTicket", ticket.name)
    await desk.do("CloseTicket", ticket.name)
    await erase(desk, ticket.customer)
    again = await desk.system.CreateTicket(request)
    assert (again.name, again.title) == (ticket.name, ERASED)


async def test_everything_of_a_person_is_given_out(desk: Desk) -> None:
    ticket = await closed(desk)
    export = await customers(desk).ExportCustomer(rpc.ExportCustomerRequest(name=ticket.customer))
    assert export.customer.contact.display_name == "Frau Chen"
    assert [each.name for each in export.tickets] == [ticket.name]
    assert "It is Frau Chen's" in [entry.text for entry in export.entries]


# As a provider.


def erased(engaged: Engaged, by: str = SHANGHAI) -> Any:
    summary = pb.TicketSummary(name=engaged.ticket, state=pb.CLOSED)
    return record_of(told.TicketErased(ticket=summary), engaged.ticket, unit=by)


async def test_a_provider_forgets_what_it_was_given_and_what_it_wrote(munich: Desk) -> None:
    engaged = await engaged_at(munich, pb.CONFIRMED)
    words = ("Screen is dark", "Since noon", TEXTS["DeliverEngagement"]["solution"])
    assert found(munich, *words) == {"engagement", "inbox", "log_record", "request"}
    await munich.is_told(erased(engaged))
    assert found(munich, *words) == set()
    assert (await munich.engagement(engaged.name)).title == ERASED


async def test_text_that_comes_after_the_erasure_is_not_kept(munich: Desk) -> None:
    engaged = Engaged(f"{SHANGHAI}/tickets/1/engagements/e1", MUNICH)
    await munich.is_told(erased(engaged))
    await munich.is_told(engaged.requested())
    assert (await munich.engagement(engaged.name)).title == ""
    assert found(munich, "Screen is dark") == set()


async def test_a_provider_writes_nothing_about_an_erased_ticket(munich: Desk) -> None:
    engaged = await engaged_at(munich, pb.ACCEPTED)
    await munich.is_told(erased(engaged))
    with refused() as refusal:
        await munich.engage("DeliverEngagement", engaged.name)
    assert refusal.reason == "ILLEGAL_TRANSITION"
    assert "erased" in str(refusal.error)
    assert found(munich, TEXTS["DeliverEngagement"]["solution"]) == set()


async def test_nobody_erases_another_units_ticket(munich: Desk) -> None:
    engaged = await engaged_at(munich, pb.CONFIRMED)
    await munich.is_told(erased(engaged, by="units/hq"))
    assert (await munich.engagement(engaged.name)).title == "Screen is dark"
