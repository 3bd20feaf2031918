"""What the desk may do with its tickets. Each command changes the ticket and tells what it did, in one transaction."""

from datetime import timedelta
from typing import Any

from sqlalchemy import select

from hanse.errors import IllegalTransition, ResourceNotFound, ValidationFailed
from hanse.names import TicketName, new_id
from hanse.policy.facts import WAITING_FOR
from hanse.policy.standards import TOP_TIER
from hanse.session import plain
from hanse.work import Work
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.clocks.opening import new_clocks
from hanse_services.ticket.clocks.rows import restart_clock
from hanse_services.ticket.engagements import withdraw_seeking
from hanse_services.ticket.holding import answered, asked, assign_by_rule, begin_clock, end_wait, stop_clocks, tell_step
from hanse_services.ticket.loading import check_agent, kept, own_ticket
from hanse_services.ticket.messages import opened_ticket_to_proto, summary_of
from hanse_services.ticket.model import Customer, Ticket
from hanse_services.ticket.resuming import is_capped, resume
from hanse_services.ticket.teams import assigned, choose

FOR_CUSTOMER, VENDOR = "customer", "vendor"


def create_ticket(work: Work, request: rpc.CreateTicketRequest) -> pb.Ticket:
    """Open a ticket: the clocks of the first target that holds start.

    Raises ResourceNotFound for another unit's desk, PolicyMissing, CategoryUnknown, ServiceUnknown, CategoryNotCovered.
    """
    if request.parent != work.unit:
        raise ResourceNotFound(resource=request.parent)
    work.act_for(request.partner)
    standards = work.standards
    name, customer = str(TicketName(work.unit, new_id())), _customer_of(work, request)
    # Nothing here changes the ticket any more, so it does without the ORM, which would cost more than all the rest.
    values = _values(work, name, request.ticket, request.partner, customer)
    ticket = plain(Ticket, values)
    choice = choose(work, standards, ticket)
    started = new_clocks(standards, ticket, work.unit, is_assigned=bool(choice.assignee))
    ticket = plain(Ticket, values | {"target": started.target, "team": choice.team, "assignee": choice.assignee})
    work.insert(ticket)
    for row in started.rows_of(name):
        work.insert(row)
    opened = told.TicketOpened(ticket=summary_of(ticket, started.summaries))
    work.tell(ticket.name, opened, title=ticket.title, description=ticket.description)
    if ticket.team:
        work.tell(ticket.name, assigned(ticket, opened.ticket))
    return opened_ticket_to_proto(ticket, started.messages, standards)


def new_ticket(work: Work, name: str, asked: pb.Ticket, partner: str) -> Ticket:
    """Return a new ticket of this unit's desk, not yet kept."""
    return Ticket(**_values(work, name, asked, partner, None), clocks=[], segments=[])


def _values(work: Work, name: str, asked: pb.Ticket, partner: str, customer: Customer | None) -> dict[str, Any]:
    """Return the columns of a new ticket by their names."""
    return {
        "name": name,
        "version": 1,
        "state": pb.NEW,
        "title": asked.title,
        "description": asked.description,
        "language": asked.language,
        "category": asked.category,
        "product": asked.product,
        "priority": asked.priority,
        "tier": 1,
        "customer": customer.name if customer else None,
        "customer_class": customer.customer_class if customer else pb.ORDINARY,
        "service": work.standards.choose_service(asked.category, asked.service),
        "partner": partner,
        "assignee": "",
        "holder": work.unit,
        "solution": "",
        "imported": False,
        "open_time": work.now,
        "update_time": work.now,
        "policy_version": work.standards.version,
        "policy_override": work.standards.override,
        "target": "",
        "waiting_for": "",
        "supplier": "",
        "suspend_reason": "",
        "suspended_duration": timedelta(0),
        "waiting_duration": timedelta(0),
        "breached": False,
        "engagement_count": 0,
        "left_units": [],
        "team": "",
        "returns": 0,
    }


def _customer_of(work: Work, request: rpc.CreateTicketRequest) -> Customer | None:
    """Return the customer: an earlier one with the same reference, or a new one; None without a contact.

    An earlier one is locked: who is being erased right now has no reference any more when that is over.
    """
    if not request.HasField("contact"):
        return None
    contact = request.contact
    reference = f"{request.partner}:{contact.reference}" if contact.reference else None
    customer = _known_as(work, reference) if reference else None
    if customer is None:
        customer = Customer(
            name=f"{work.unit}/customers/{new_id()}",
            reference=reference,
            display_name="",
            email="",
            phone="",
            customer_class=pb.ORDINARY,
            create_time=work.now,
        )
        work.session.add(customer)
    customer.display_name = contact.display_name or customer.display_name
    customer.email = contact.email or customer.email
    customer.phone = contact.phone or customer.phone
    customer.customer_class = contact.customer_class or customer.customer_class
    # The ticket refers to it, and the two have no ORM relationship that would order the inserts.
    work.session.flush()
    return customer


def _known_as(work: Work, reference: str) -> Customer | None:
    query = select(Customer).where(Customer.reference == reference).with_for_update()
    return work.session.scalar(query.execution_options(populate_existing=True))


def comment_ticket(work: Work, request: rpc.CommentTicketRequest) -> pb.Ticket:
    """Comment on a ticket. A public comment by an agent is an answer; one by a customer ends a wait for it."""
    ticket = own_ticket(work, request.name)
    work.act_for(request.partner)
    by_customer = bool(request.partner)
    if by_customer and ticket.partner != request.partner:
        raise ResourceNotFound(resource=request.name)
    ticket.move("CommentTicket")
    public = request.public or by_customer
    if by_customer:
        asked(work, ticket)
    elif public:
        answered(work, ticket)
    tell_step(work, ticket, lambda after: told.TicketCommented(ticket=after, public=public), text=request.text)
    if by_customer and ticket.state == pb.WAITING and ticket.waiting_for == FOR_CUSTOMER:
        resume(work, ticket)
    return kept(work, ticket)


def assign_ticket(work: Work, request: rpc.AssignTicketRequest) -> pb.Ticket:
    """Give a ticket to an agent, who starts work on it. Raises ValidationFailed for what is no agent's name."""
    check_agent(request.assignee)
    ticket = own_ticket(work, request.name, request.etag)
    ticket.move("AssignTicket")
    ticket.assignee = request.assignee
    tell_step(work, ticket, lambda after: told.TicketAssigned(ticket=after, assignee=request.assignee))
    return kept(work, ticket)


def escalate_ticket(work: Work, request: rpc.EscalateTicketRequest) -> pb.Ticket:
    """Let a ticket climb to the next tier. Raises IllegalTransition at the top and after the solution."""
    ticket = own_ticket(work, request.name, request.etag)
    climb(work, ticket, request.reason)
    return kept(work, ticket)


def climb(work: Work, ticket: Ticket, reason: str) -> None:
    """Let a ticket climb one tier; the next tier's desk takes it anew."""
    ticket.move("EscalateTicket")
    if ticket.tier >= TOP_TIER:
        raise IllegalTransition(
            f"{ticket.name} is at the top tier already",
            hint="Ask headquarters for an engagement (RequestEngagement).",
            resource=ticket.name,
            verb="EscalateTicket",
        )
    before, ticket.tier = ticket.tier, ticket.tier + 1
    ticket.assignee = ""
    tell_step(work, ticket, lambda after: told.TicketEscalated(ticket=after, from_tier=before), text=reason)
    assign_by_rule(work, ticket)


def pause_ticket(work: Work, request: rpc.PauseTicketRequest) -> pb.Ticket:
    """Let a ticket wait for somebody: the clocks stand."""
    if request.waiting_for not in WAITING_FOR:
        raise ValidationFailed(f"waiting_for must be one of {', '.join(WAITING_FOR)}", fields="waiting_for")
    ticket = own_ticket(work, request.name, request.etag)
    if request.supplier:
        _check_supplier(work, ticket, request)
    if is_capped(work, ticket):
        resume(work, ticket)
    ticket.move("PauseTicket")
    ticket.waiting_for, ticket.supplier, ticket.waiting_since = request.waiting_for, request.supplier, work.now
    whom, supplier = request.waiting_for, request.supplier
    tell_step(
        work,
        ticket,
        lambda after: told.TicketPaused(ticket=after, waiting_for=whom, supplier=supplier),
        text=request.reason,
    )
    return kept(work, ticket)


def _check_supplier(work: Work, ticket: Ticket, request: rpc.PauseTicketRequest) -> None:
    """Raise ValidationFailed unless something is agreed with the supplier, and it is a vendor that is waited for."""
    if request.waiting_for != VENDOR:
        raise ValidationFailed("a supplier is a vendor", hint=f"Wait for {VENDOR}.", fields="supplier")
    known = work.standards_of(ticket.policy_version, ticket.policy_override).suppliers
    if request.supplier not in known:
        raise ValidationFailed(
            f"nothing is agreed with a supplier {request.supplier!r}",
            hint=f"Name one of {', '.join(known)}, or none."
            if known
            else "Name none: the policy has no such agreement.",
            fields="supplier",
        )


def resume_ticket(work: Work, request: rpc.ResumeTicketRequest) -> pb.Ticket:
    """Go on with a ticket that waited or was suspended: the clocks run on."""
    ticket = own_ticket(work, request.name, request.etag)
    resume(work, ticket)
    return kept(work, ticket)


def resolve_ticket(work: Work, request: rpc.ResolveTicketRequest) -> pb.Ticket:
    """Say the solution: the clocks stop. Raises IllegalTransition while a provider works on the ticket."""
    ticket = own_ticket(work, request.name, request.etag)
    withdraw_seeking(work, ticket)
    if is_capped(work, ticket):
        resume(work, ticket)
    end_wait(ticket, work.now)
    ticket.move("ResolveTicket")
    ticket.solution, ticket.resolve_time = request.solution, work.now
    stop_clocks(work, ticket)
    ticket.respond_time = ticket.respond_time or work.now
    tell_step(work, ticket, lambda after: told.TicketResolved(ticket=after), text=request.solution)
    return kept(work, ticket)


def reopen_ticket(work: Work, request: rpc.ReopenTicketRequest) -> pb.Ticket:
    """Go on with a ticket whose solution did not hold: the resolution clock runs on."""
    ticket = own_ticket(work, request.name, request.etag)
    ticket.move("ReopenTicket")
    ticket.resolve_time = None
    restart_clock(ticket, pb.Clock.RESOLUTION, work.now)
    begin_clock(work, ticket, pb.Clock.PERIODIC_UPDATE)
    tell_step(work, ticket, lambda after: told.TicketReopened(ticket=after), text=request.reason)
    return kept(work, ticket)


def close_ticket(work: Work, request: rpc.CloseTicketRequest) -> pb.Ticket:
    """End a ticket that is resolved."""
    ticket = own_ticket(work, request.name, request.etag)
    ticket.move("CloseTicket")
    ticket.close_time = work.now
    tell_step(work, ticket, lambda after: told.TicketClosed(ticket=after))
    return kept(work, ticket)
