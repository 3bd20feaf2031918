"""The persons that a unit keeps, beside what erases them (`erasing`)."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hanse.errors import ResourceNotFound
from hanse.work import Work
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.messages import customer_to_proto
from hanse_services.ticket.model import Customer, Ticket


def classify_customer(work: Work, request: rpc.ClassifyCustomerRequest) -> pb.Customer:
    """Put a person into a class, by which its tickets to come are judged.

    Raises ResourceNotFound, also for a person who was erased: the row holds nobody any more.
    """
    customer = work.session.get(Customer, request.name, with_for_update=True, populate_existing=True)
    if customer is None or customer.erase_time is not None:
        raise ResourceNotFound(resource=request.name)
    if customer.customer_class != request.customer_class:
        customer.customer_class = request.customer_class
        classified = told.CustomerClassified(customer=customer.name, customer_class=request.customer_class)
        work.tell(customer.name, classified)
    return customer_to_proto(customer, count_tickets(work.session, customer.name))


def count_tickets(session: Session, customer: str) -> int:
    """Return how many tickets a person has here."""
    return session.scalar(select(func.count()).select_from(Ticket).where(Ticket.customer == customer)) or 0
