"""Erasing a person: the customer's row is emptied, and with it go the texts of all of the customer's tickets.

Whatever is said about a ticket counts as the person's: title and description, every comment, also those for the desk
alone, what a provider noted, and the solution. What stays says nothing of a person: which ticket, when, how urgent,
under which policy, by whom of the desk it was worked on.

Only a ticket that is over, with the complaints about it, can be erased: nobody writes anything about it any more, here,
at a provider or at headquarters. The facts
`CustomerErased` and `TicketErased` carry it on: to this unit's other services, and by way of headquarters to every unit
that was given texts of the ticket (`hanse.erasing`).
"""

from typing import Any

from google.protobuf.message import Message
from sqlalchemy import select

from hanse.erasing import ERASED, erase_answers, erase_ticket
from hanse.errors import CustomerHasOpenComplaints, CustomerHasOpenTickets, ResourceNotFound
from hanse.log.events import Fact
from hanse.names import home_of, ticket_in
from hanse.work import Work
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_protos.ticket.v1.complaint_pb2 import Complaint
from hanse_services.ticket.complaints.commands import open_complaints
from hanse_services.ticket.complaints.model import Complaint as ComplaintRow
from hanse_services.ticket.messages import customer_to_proto, summary_of
from hanse_services.ticket.model import SCHEMA, Customer, Engagement, Ticket

MAX_NAMED_TICKETS = 10
"""How many open tickets an error names; whoever closes them is told of the next ones."""


def erase_customer(work: Work, request: rpc.EraseCustomerRequest) -> pb.Customer:
    """Erase a person with the texts of its tickets. One that was erased before stays as it is.

    Raises ResourceNotFound; CustomerHasOpenTickets while one of the tickets is not closed; CustomerHasOpenComplaints.
    """
    customer = work.session.get(Customer, request.name, with_for_update=True, populate_existing=True)
    if customer is None:
        raise ResourceNotFound(resource=request.name)
    tickets = _closed_tickets(work, customer)
    if customer.erase_time is None:
        for ticket in tickets:
            _erase_own(work, ticket)
        _empty(work, customer, request.ground)
        erased = told.CustomerErased(customer=customer.name, ground=request.ground, tickets=len(tickets))
        work.tell(customer.name, erased)
    return customer_to_proto(customer, len(tickets))


def _closed_tickets(work: Work, customer: Customer) -> list[Ticket]:
    query = select(Ticket).where(Ticket.customer == customer.name).order_by(Ticket.name).with_for_update()
    tickets = list(work.session.scalars(query.execution_options(populate_existing=True)))
    open_names = [ticket.name for ticket in tickets if ticket.state != pb.CLOSED]
    if open_names:
        raise CustomerHasOpenTickets(
            f"{len(open_names)} tickets of {customer.name} are not closed",
            resource=customer.name,
            tickets=", ".join(open_names[:MAX_NAMED_TICKETS]),
        )
    if complaints := open_complaints(work, [ticket.name for ticket in tickets]):
        raise CustomerHasOpenComplaints(
            f"{len(complaints)} complaints of {customer.name} are not closed",
            resource=customer.name,
            complaints=", ".join(complaints[:MAX_NAMED_TICKETS]),
        )
    return tickets


def _empty(work: Work, customer: Customer, ground: pb.ErasureGround.ValueType) -> None:
    # Without the reference, the partner's next ticket for the same person is a new customer's.
    customer.reference = None
    customer.display_name = customer.email = customer.phone = ""
    customer.customer_class = pb.ORDINARY
    customer.erase_time, customer.eraser, customer.erasure_ground = work.now, work.cause.actor, ground


def _erase_own(work: Work, ticket: Ticket) -> None:
    ticket.title = ERASED
    ticket.description, ticket.solution = _erased(ticket.description), _erased(ticket.solution)
    ticket.suspend_reason = _erased(ticket.suspend_reason)
    ticket.version += 1
    ticket.update_time = work.now
    erase_texts(work, ticket.name)
    work.tell(ticket.name, told.TicketErased(ticket=summary_of(ticket)))


def erase_texts(work: Work, ticket: str) -> None:
    """Erase what this service keeps of a ticket's texts beside the ticket itself, which is its home's."""
    for engagement in work.session.scalars(select(Engagement).where(Engagement.ticket == ticket).with_for_update()):
        for column in ("title", "description", "reason", "solution"):
            setattr(engagement, column, _erased(getattr(engagement, column)))
        engagement.version += 1
    for complaint in work.session.scalars(select(ComplaintRow).where(ComplaintRow.ticket == ticket).with_for_update()):
        complaint.text, complaint.answer = _erased(complaint.text), _erased(complaint.answer)
        complaint.version += 1
    erase_ticket(work.session, SCHEMA, ticket)
    erase_answers(work.session, SCHEMA, [ticket], _answer_without_texts)


_INSIDE: dict[str, type[Message]] = {"/engagements/": pb.Engagement, "/complaints/": Complaint}
"""What is inside a ticket and answered with texts, by what its name has in it."""


def _erased(value: str) -> str:
    return ERASED if value else ""


def _answer_without_texts(content: bytes) -> bytes | None:
    """Return the answer of a command without texts. Answers don't say what they are: the name in them does."""
    # Every resource has its name first, so any message that has only that reads it.
    name = rpc.GetTicketRequest.FromString(content).name
    kind = next((kind for inside, kind in _INSIDE.items() if inside in name), pb.Ticket)
    if not ticket_in(name) or "/escalations/" in name:
        return None
    answer: Any = kind.FromString(content)
    for field in ("title", "description", "reason", "solution", "text", "answer"):
        if field in answer.DESCRIPTOR.fields_by_name and getattr(answer, field):
            setattr(answer, field, ERASED)
    blanked: bytes = answer.SerializeToString()
    return blanked


def ticket_erased(work: Work, fact: Fact) -> None:
    """Erase what the ticket's home gave this unit of its texts, and what this unit wrote on it as a provider."""
    ticket: pb.TicketSummary = fact.payload.ticket  # type: ignore[attr-defined]
    if fact.event.unit == home_of(ticket.name) != work.unit:
        erase_texts(work, ticket.name)
