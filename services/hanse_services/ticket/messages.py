"""From rows to messages: resources for callers, summaries for events."""

from collections.abc import Iterable
from datetime import datetime

from hanse.names import home_of
from hanse.policy.standards import Standards
from hanse.times import duration, put_time, timestamp
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.clocks.rows import clocks_to_proto, told_of
from hanse_services.ticket.model import Customer, Engagement, Ticket, etag_of


def summary_of(ticket: Ticket, clocks: Iterable[pb.ClockSummary] | None = None) -> pb.TicketSummary:
    """Return what every ticket event carries: no text, no person.

    `clocks` are those that it tells of, where that is not for the ticket's own rows to say.
    """
    further: pb.FurtherClocks | None = None
    if clocks is None:
        clocks, further = told_of(ticket)
    message = pb.TicketSummary(
        name=ticket.name,
        state=ticket.state,
        priority=ticket.priority,
        category=ticket.category,
        product=ticket.product,
        tier=ticket.tier,
        holder=ticket.holder,
        partner=ticket.partner,
        open_time=timestamp(ticket.open_time),
        waiting_duration=duration(ticket.waiting_duration),
        breached=ticket.breached,
        language=ticket.language,
        service=ticket.service,
        customer_class=ticket.customer_class,
        policy_override=ticket.policy_override,
        returns=ticket.returns,
        clocks=clocks,
        further_clocks=further,
    )
    put_time(message.resolve_time, ticket.resolve_time)
    return message


def ticket_to_proto(ticket: Ticket, standards: Standards | None, now: datetime) -> pb.Ticket:
    """Return a ticket with its clocks; without the policy that it was opened under, without clocks."""
    clocks = clocks_to_proto(standards, ticket, now) if standards else ()
    return opened_ticket_to_proto(ticket, clocks, standards)


def opened_ticket_to_proto(ticket: Ticket, clocks: Iterable[pb.Clock], standards: Standards | None) -> pb.Ticket:
    """Return a ticket with clocks that are messages already, and the policy that it was opened under."""
    message = pb.Ticket(
        name=ticket.name,
        etag=etag_of(ticket),
        state=ticket.state,
        title=ticket.title,
        description=ticket.description,
        language=ticket.language,
        category=ticket.category,
        product=ticket.product,
        priority=ticket.priority,
        tier=ticket.tier,
        customer=ticket.customer or "",
        partner=ticket.partner,
        assignee=ticket.assignee,
        team=ticket.team,
        returns=ticket.returns,
        holder=ticket.holder,
        solution=ticket.solution,
        open_time=timestamp(ticket.open_time),
        update_time=timestamp(ticket.update_time),
        policy_version=ticket.policy_version,
        target=ticket.target,
        supplier=ticket.supplier,
        service_owner=standards.owner_of(ticket.service) if standards else "",
        waiting_duration=duration(ticket.waiting_duration),
        clocks=clocks,
        service=ticket.service,
        customer_class=ticket.customer_class,
        policy_override=ticket.policy_override,
    )
    if ticket.suspend_time is not None:
        _put_suspension(message.suspension, ticket)
    put_time(message.respond_time, ticket.respond_time)
    put_time(message.resolve_time, ticket.resolve_time)
    put_time(message.close_time, ticket.close_time)
    return message


def _put_suspension(message: pb.Suspension, ticket: Ticket) -> None:
    message.reason = ticket.suspend_reason
    put_time(message.suspend_time, ticket.suspend_time)
    put_time(message.review_time, ticket.review_time)
    put_time(message.cap_time, ticket.cap_time)


def customer_to_proto(customer: Customer, tickets: int) -> pb.Customer:
    """Return a person as the unit keeps it, with the number of its tickets."""
    message = pb.Customer(
        name=customer.name,
        create_time=timestamp(customer.create_time),
        eraser=customer.eraser or "",
        erasure_ground=customer.erasure_ground or pb.ERASURE_GROUND_UNSPECIFIED,
        tickets=tickets,
        customer_class=customer.customer_class,
    )
    put_time(message.erase_time, customer.erase_time)
    if customer.erase_time is None:
        message.contact.MergeFrom(
            pb.Contact(
                reference=customer.reference or "",
                display_name=customer.display_name,
                email=customer.email,
                phone=customer.phone,
            )
        )
    return message


def engagement_summary_of(engagement: Engagement) -> pb.EngagementSummary:
    """Return what every engagement event carries: no text."""
    return pb.EngagementSummary(
        name=engagement.name,
        state=engagement.state,
        home=home_of(engagement.name),
        provider=engagement.provider,
        offer=engagement.offer,
        ticket=pb.TicketSummary.FromString(engagement.ticket_summary),
        request_time=timestamp(engagement.request_time),
        policy_version=engagement.policy_version,
        desk=engagement.desk,
        peer=engagement.peer,
    )


def engagement_to_proto(engagement: Engagement) -> pb.Engagement:
    """Return an engagement as this unit knows it."""
    message = pb.Engagement(
        name=engagement.name,
        etag=etag_of(engagement),
        state=engagement.state,
        provider=engagement.provider,
        offer=engagement.offer,
        ticket=pb.TicketSummary.FromString(engagement.ticket_summary),
        title=engagement.title,
        description=engagement.description,
        reason=engagement.reason,
        solution=engagement.solution,
        request_time=timestamp(engagement.request_time),
        policy_version=engagement.policy_version,
        assignee=engagement.assignee,
        desk=engagement.desk,
        peer=engagement.peer,
    )
    put_time(message.offer_expire_time, engagement.offer_expire_time)
    put_time(message.accept_time, engagement.accept_time)
    put_time(message.deliver_time, engagement.deliver_time)
    put_time(message.confirm_time, engagement.confirm_time)
    return message


def shared_ticket_to_proto(engagement: Engagement) -> pb.Ticket:
    """Return what a provider sees of a ticket that an engagement shares with it."""
    summary = pb.TicketSummary.FromString(engagement.ticket_summary)
    return pb.Ticket(
        name=summary.name,
        state=summary.state,
        title=engagement.title,
        description=engagement.description,
        language=summary.language,
        category=summary.category,
        product=summary.product,
        priority=summary.priority,
        tier=summary.tier,
        holder=summary.holder,
        solution=engagement.solution,
        open_time=summary.open_time,
        waiting_duration=summary.waiting_duration,
        policy_version=engagement.policy_version,
        service=summary.service,
        customer_class=summary.customer_class,
        policy_override=summary.policy_override,
    )
