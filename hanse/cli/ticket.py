"""`hanse ticket`: the desk's daily work."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import uuid4

import typer
from rich.text import Text

from hanse.cli import output, ticket_repair
from hanse.cli.clocks import show_clocks
from hanse.cli.connection import At, command
from hanse.cli.instants import INSTANT_FORMATS, in_utc
from hanse.enums import name_of
from hanse.names import home_of
from hanse.times import timestamp
from hanse_protos.federation.v1 import group_pb2
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb

app = typer.Typer(help="Open, work on and follow tickets.", no_args_is_help=True)
ticket_repair.register(app)

TicketArgument = Annotated[str, typer.Argument(help="The ticket's name, or its id where it is the unit's own.")]
Priority = Annotated[str, typer.Option("--priority", "-p", help="P1 (business stands still) to P4 (a wish).")]

CLASSES = [name for name, value in pb.CustomerClass.items() if value]


def show_ticket(ticket: pb.Ticket) -> None:
    """Print a ticket for people."""
    output.console.print(Text.assemble((ticket.name, "bold"), "  ", (name_of(pb.TicketState, ticket.state), "cyan")))
    output.console.print(ticket.title, markup=False)
    facts = (
        f"{name_of(pb.Priority, ticket.priority)}, {ticket.category}, "
        f"{_service(ticket)}{_class(ticket.customer_class)}tier {ticket.tier}, "
        f"held by {output.unit(ticket.holder)}, opened {output.when(ticket.open_time)} UTC"
    )
    output.console.print(facts, style="dim")
    if given := _given(ticket):
        output.console.print(given, style="dim")
    if ticket.solution:
        output.console.print(Text.assemble(("solution ", "bold"), ticket.solution))
    if ticket.HasField("suspension"):
        _show_suspension(ticket.suspension)
    show_clocks(ticket.clocks)


def _service(ticket: pb.Ticket) -> str:
    """Return the service of a ticket for people, and the unit that answers for it where that is known."""
    if not ticket.service:
        return ""
    owner = f", which {output.unit(ticket.service_owner)} answers for" if ticket.service_owner else ""
    return f"service {ticket.service}{owner}, "


def _given(ticket: pb.Ticket) -> str:
    """Say who of the desk has a ticket; nothing where nobody was given it."""
    team = f"team {ticket.team.rpartition('/')[2]}" if ticket.team else ""
    if ticket.assignee:
        return f"with {', '.join(filter(None, (output.who(ticket.assignee), team)))}"
    waits = ticket.state not in (pb.RESOLVED, pb.CLOSED) and ticket.holder == home_of(ticket.name)
    return f"with {team}, waiting for an agent" if team and waits else ""


def _show_suspension(suspension: pb.Suspension) -> None:
    review = f"review {output.when(suspension.review_time)}" if suspension.HasField("review_time") else "review is due"
    until = f"{review}, goes on by itself {output.when(suspension.cap_time)} UTC"
    output.console.print(Text.assemble(("suspended ", "bold yellow"), suspension.reason, (f"  {until}", "dim")))


def _changed(ticket: pb.Ticket, as_json: bool) -> None:
    if as_json:
        output.print_json(ticket)
    else:
        show_ticket(ticket)


@command(app, "open", unit="shanghai")
def open_ticket(
    at: At,
    title: str,
    category: Annotated[str, typer.Option(help="A category of the group policy.")],
    description: str = "",
    priority: Priority = "P3",
    language: str = "",
    product: str = "",
    service: Annotated[str, typer.Option(help="A service of the catalogue; else the one for the category.")] = "",
    customer: Annotated[str, typer.Option(help="The customer's id in the system it came from.")] = "",
    customer_class: Annotated[str, typer.Option(help=f"The customer's class: {', '.join(CLASSES)}.")] = "",
) -> None:
    """Open a ticket."""
    asked = pb.Ticket(
        title=title,
        description=description,
        category=category,
        language=language,
        product=product,
        priority=_priority(priority),
        service=service,
    )
    request = rpc.CreateTicketRequest(parent=at.parent, ticket=asked, request_id=str(uuid4()))
    if customer or customer_class:
        request.contact.reference = customer
        request.contact.customer_class = class_of(customer_class) if customer_class else pb.CUSTOMER_CLASS_UNSPECIFIED
    _changed(at.ask(lambda desk: desk.tickets.CreateTicket(request)), at.as_json)


def class_of(text: str) -> pb.CustomerClass.ValueType:
    """Return a customer's class as people write it. Raises BadParameter for what is none."""
    if text.upper() not in CLASSES:
        raise typer.BadParameter(f"{text} is not a customer's class: {', '.join(CLASSES)}")
    return pb.CustomerClass.Value(text.upper())


def _class(customer_class: pb.CustomerClass.ValueType) -> str:
    """Say a class that is worth saying: most customers are ordinary."""
    return f"{name_of(pb.CustomerClass, customer_class)} customer, " if customer_class > pb.ORDINARY else ""


def _priority(text: str) -> pb.Priority.ValueType:
    if text.upper() not in ("P1", "P2", "P3", "P4"):
        raise typer.BadParameter(f"{text} is not a priority: P1, P2, P3 or P4")
    return pb.Priority.Value(text.upper())


@command(app, "list", unit="shanghai")
def list_tickets(at: At, page_size: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 20) -> None:
    """List a unit's tickets, the newest first."""
    request = rpc.ListTicketsRequest(parent=at.parent, page_size=page_size)
    reply = at.ask(lambda desk: desk.tickets.ListTickets(request))
    if at.as_json:
        output.print_json(reply)
        return
    rows = (
        (
            ticket.name,
            name_of(pb.TicketState, ticket.state),
            name_of(pb.Priority, ticket.priority),
            str(ticket.tier),
            output.unit(ticket.holder),
            ticket.title,
        )
        for ticket in reply.tickets
    )
    output.table(f"Tickets of {at.unit}", ["ticket", "state", "priority", "tier", "holder", "title"], rows)


@command(app, "show", unit="shanghai")
def show(at: At, ticket: TicketArgument) -> None:
    """Show a ticket with its clocks."""
    request = rpc.GetTicketRequest(name=at.ticket(ticket))
    _changed(at.ask(lambda desk: desk.tickets.GetTicket(request)), at.as_json)


@command(app, "timeline", unit="shanghai")
def timeline(at: At, ticket: TicketArgument) -> None:
    """Show every step of a ticket, in every unit."""
    request = rpc.ListTimelineEntriesRequest(parent=at.ticket(ticket), page_size=1000)
    reply = at.ask(lambda desk: desk.tickets.ListTimelineEntries(request))
    if at.as_json:
        output.print_json(reply)
    else:
        show_timeline(reply.entries)


def show_timeline(entries: Any) -> None:
    """Print the steps of a ticket for people."""
    rows = (
        (
            output.when(entry.occur_time)[11:],
            output.unit(entry.unit),
            output.who(entry.actor).split(" ")[0],
            output.policy(entry.policy_version),
            Text.assemble(entry.summary, (f"  {entry.text}" if entry.text else "", "dim")),
        )
        for entry in entries
    )
    output.table("Timeline (UTC)", ["time", "unit", "who", "policy", "what"], rows)


@command(app, "comment", unit="shanghai")
def comment(
    at: At,
    ticket: TicketArgument,
    text: str,
    public: Annotated[bool, typer.Option("--public", help="The customer sees it.")] = False,
) -> None:
    """Comment on a ticket; the first public comment is the response."""
    request = rpc.CommentTicketRequest(name=at.ticket(ticket), request_id=str(uuid4()), text=text, public=public)
    _changed(at.ask(lambda desk: desk.tickets.CommentTicket(request)), at.as_json)


@command(app, "assign", unit="shanghai")
def assign(at: At, ticket: TicketArgument, agent: str) -> None:
    """Give a ticket to an agent."""
    request = rpc.AssignTicketRequest(
        name=at.ticket(ticket), request_id=str(uuid4()), assignee=f"{at.parent}/agents/{agent}"
    )
    _changed(at.ask(lambda desk: desk.tickets.AssignTicket(request)), at.as_json)


@command(app, "escalate", unit="shanghai")
def escalate(at: At, ticket: TicketArgument, reason: str = "") -> None:
    """Let a ticket climb to the next tier."""
    request = rpc.EscalateTicketRequest(name=at.ticket(ticket), request_id=str(uuid4()), reason=reason)
    _changed(at.ask(lambda desk: desk.tickets.EscalateTicket(request)), at.as_json)


@command(app, "reclassify", unit="shanghai")
def reclassify(
    at: At,
    ticket: TicketArgument,
    priority: Annotated[str, typer.Option("--priority", "-p", help="The priority from now on.")] = "",
    category: Annotated[str, typer.Option(help="The category from now on.")] = "",
    reason: str = "",
) -> None:
    """Change a ticket's priority or category: its targets are chosen anew, and count from the opening."""
    request = rpc.ReclassifyTicketRequest(
        name=at.ticket(ticket),
        request_id=str(uuid4()),
        priority=_priority(priority) if priority else pb.PRIORITY_UNSPECIFIED,
        category=category,
        reason=reason,
    )
    _changed(at.ask(lambda desk: desk.tickets.ReclassifyTicket(request)), at.as_json)


@command(app, "wait", unit="shanghai")
def wait(
    at: At,
    ticket: TicketArgument,
    waiting_for: Annotated[str, typer.Argument(help="customer, vendor, user, implementation or other.")] = "customer",
    reason: str = "",
    supplier: Annotated[str, typer.Option(help="The supplier, where an agreement of the policy names it.")] = "",
) -> None:
    """Let a ticket wait: its clocks stand, unless the policy says otherwise."""
    request = rpc.PauseTicketRequest(
        name=at.ticket(ticket), request_id=str(uuid4()), waiting_for=waiting_for, reason=reason, supplier=supplier
    )
    _changed(at.ask(lambda desk: desk.tickets.PauseTicket(request)), at.as_json)


@command(app, "suspend", unit="shanghai")
def suspend(
    at: At,
    ticket: TicketArgument,
    reason: Annotated[str, typer.Argument(help="Why it can't have a deadline.")],
    review: Annotated[
        datetime, typer.Option("--review", help="When it is looked at again, UTC.", formats=INSTANT_FORMATS)
    ],
) -> None:
    """Suspend work that can't have a deadline until a review; after a review, suspend it further."""
    request = rpc.SuspendTicketRequest(
        name=at.ticket(ticket),
        request_id=str(uuid4()),
        reason=reason,
        review_time=timestamp(in_utc(review)),
    )
    _changed(at.ask(lambda desk: desk.tickets.SuspendTicket(request)), at.as_json)


@command(app, "resume", unit="shanghai")
def resume(at: At, ticket: TicketArgument) -> None:
    """Go on with a ticket that waited or was suspended."""
    request = rpc.ResumeTicketRequest(name=at.ticket(ticket), request_id=str(uuid4()))
    _changed(at.ask(lambda desk: desk.tickets.ResumeTicket(request)), at.as_json)


@command(app, "resolve", unit="shanghai")
def resolve(at: At, ticket: TicketArgument, solution: str) -> None:
    """Say the solution: the clocks stop."""
    request = rpc.ResolveTicketRequest(name=at.ticket(ticket), request_id=str(uuid4()), solution=solution)
    _changed(at.ask(lambda desk: desk.tickets.ResolveTicket(request)), at.as_json)


@command(app, "reopen", unit="shanghai")
def reopen(at: At, ticket: TicketArgument, reason: str = "") -> None:
    """Go on with a ticket whose solution did not hold."""
    request = rpc.ReopenTicketRequest(name=at.ticket(ticket), request_id=str(uuid4()), reason=reason)
    _changed(at.ask(lambda desk: desk.tickets.ReopenTicket(request)), at.as_json)


@command(app, "close", unit="shanghai")
def close(at: At, ticket: TicketArgument) -> None:
    """End a ticket that is resolved."""
    request = rpc.CloseTicketRequest(name=at.ticket(ticket), request_id=str(uuid4()))
    _changed(at.ask(lambda desk: desk.tickets.CloseTicket(request)), at.as_json)


@command(app, "returning", unit="hq")
def returning(at: At) -> None:
    """Headquarters: list the tickets that go to and fro between units, the worst first."""
    report = at.ask(lambda desk: desk.group.GetTrafficReport(group_pb2.GetTrafficReportRequest()))
    if at.as_json:
        output.print_json(report)
        return
    rows = (
        (each.ticket, str(each.returns), ", ".join(output.unit(unit) for unit in each.units))
        for each in report.returning_tickets
    )
    if not report.ping_pong_tickets:
        output.console.print("No ticket has come back to a unit that had given it away")
        return
    returns, tickets = report.ping_pong_returns, report.ping_pong_tickets
    title = f"{output.count(returns, 'return')} of {output.count(tickets, 'ticket')}"
    output.table(title, ["ticket", "returns", "units"], rows)
