"""`hanse engagement`: work for another unit, and by another unit."""

from __future__ import annotations

from typing import Annotated
from uuid import uuid4

import typer
from rich.text import Text

from hanse.cli import output
from hanse.cli.clocks import show_clocks
from hanse.cli.connection import At, command, inside
from hanse.enums import name_of
from hanse.names import ANY_TICKET, HEADQUARTERS, home_of
from hanse_protos.federation.v1 import group_pb2
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb

app = typer.Typer(help="Ask other units for help, and help them.", no_args_is_help=True)

NameArgument = Annotated[str, inside("engagements", "e1")]


def _show(engagement: pb.Engagement, as_json: bool) -> None:
    if as_json:
        output.print_json(engagement)
        return
    state = name_of(pb.EngagementState, engagement.state)
    output.console.print(Text.assemble((engagement.name, "bold"), "  ", (state, "cyan")))
    if engagement.title:
        output.console.print(engagement.title, markup=False)
    if engagement.offer:
        until = output.when(engagement.offer_expire_time)
        stands = engagement.state == pb.OFFERED and engagement.HasField("offer_expire_time")
        expiry = f", stands until {until} UTC" if stands else ""
        desk = f" at the shared desk {engagement.desk}" if engagement.desk else ""
        asked = f"{output.unit(engagement.provider)}{desk}"
        output.console.print(f"offer {engagement.offer} to {asked}{expiry}", style="dim", markup=False)
    if engagement.solution:
        output.console.print(Text.assemble(("solution ", "bold"), engagement.solution))
    show_clocks(engagement.clocks)


@command(app, "list", unit="munich")
def list_engagements(at: At) -> None:
    """List the engagements that a unit takes part in."""
    request = rpc.ListEngagementsRequest(parent=ANY_TICKET)
    reply = at.ask(lambda desk: desk.engagements.ListEngagements(request))
    if at.as_json:
        output.print_json(reply)
        return
    rows = (
        (
            engagement.name,
            name_of(pb.EngagementState, engagement.state),
            output.unit(engagement.provider),
            engagement.desk,
            str(engagement.offer),
            engagement.title,
        )
        for engagement in reply.engagements
    )
    output.table(f"Engagements of {at.unit}", ["engagement", "state", "provider", "desk", "offer", "title"], rows)


@command(app, "show", unit="munich")
def show(at: At, name: NameArgument) -> None:
    """Show an engagement."""
    request = rpc.GetEngagementRequest(name=name)
    _show(at.ask(lambda desk: desk.engagements.GetEngagement(request)), at.as_json)


@command(app, "request", unit="shanghai")
def request_engagement(at: At, ticket: str, reason: str = "") -> None:
    """Home unit: ask headquarters for a provider."""
    request = rpc.RequestEngagementRequest(parent=at.ticket(ticket), request_id=str(uuid4()), reason=reason)
    _show(at.ask(lambda desk: desk.engagements.RequestEngagement(request)), at.as_json)


@command(app, "accept", unit="munich")
def accept(at: At, name: NameArgument) -> None:
    """Provider: take an offer."""
    request = rpc.AcceptEngagementRequest(name=name, request_id=str(uuid4()))
    _show(at.ask(lambda desk: desk.engagements.AcceptEngagement(request)), at.as_json)


@command(app, "decline", unit="munich")
def decline(at: At, name: NameArgument, reason: str) -> None:
    """Provider: decline an offer."""
    request = rpc.DeclineEngagementRequest(name=name, request_id=str(uuid4()), reason=reason)
    _show(at.ask(lambda desk: desk.engagements.DeclineEngagement(request)), at.as_json)


@command(app, "note", unit="munich")
def note(at: At, name: NameArgument, text: str) -> None:
    """Provider: note what was done."""
    request = rpc.NoteEngagementWorkRequest(name=name, request_id=str(uuid4()), text=text)
    _show(at.ask(lambda desk: desk.engagements.NoteEngagementWork(request)), at.as_json)


@command(app, "deliver", unit="munich")
def deliver(at: At, name: NameArgument, solution: str) -> None:
    """Provider: say the solution."""
    request = rpc.DeliverEngagementRequest(name=name, request_id=str(uuid4()), solution=solution)
    _show(at.ask(lambda desk: desk.engagements.DeliverEngagement(request)), at.as_json)


@command(app, "confirm", unit="shanghai")
def confirm(at: At, name: NameArgument) -> None:
    """Home unit: take the solution."""
    request = rpc.ConfirmEngagementRequest(name=name, request_id=str(uuid4()))
    _show(at.ask(lambda desk: desk.engagements.ConfirmEngagement(request)), at.as_json)


@command(app, "reject", unit="shanghai")
def reject(at: At, name: NameArgument, reason: str) -> None:
    """Home unit: send the solution back."""
    request = rpc.RejectEngagementRequest(name=name, request_id=str(uuid4()), reason=reason)
    _show(at.ask(lambda desk: desk.engagements.RejectEngagement(request)), at.as_json)


@command(app, "withdraw", unit="shanghai")
def withdraw(at: At, name: NameArgument) -> None:
    """Home unit: call it off."""
    request = rpc.WithdrawEngagementRequest(name=name, request_id=str(uuid4()))
    _show(at.ask(lambda desk: desk.engagements.WithdrawEngagement(request)), at.as_json)


@command(app, "recall", unit="shanghai")
def recall(at: At, name: NameArgument, reason: str) -> None:
    """Home unit: take the ticket back from the provider that has it."""
    request = rpc.RecallEngagementRequest(name=name, request_id=str(uuid4()), reason=reason)
    _show(at.ask(lambda desk: desk.engagements.RecallEngagement(request)), at.as_json)


@command(app, "reassign", unit="shanghai")
def reassign(at: At, name: NameArgument, reason: str) -> None:
    """Home unit, or headquarters with -u hq: have another provider found for an engagement that is stuck."""
    if at.parent == HEADQUARTERS != home_of(name):
        request = group_pb2.ReassignEngagementRequest(name=name, request_id=str(uuid4()), reason=reason)
        reply = at.ask(lambda desk: desk.routing.ReassignEngagement(request))
        if at.as_json:
            output.print_json(reply)
        else:
            output.console.print(f"{name}: offer {reply.offer.number} goes to {output.unit(reply.offer.provider)}")
        return
    asked = rpc.ReassignEngagementRequest(name=name, request_id=str(uuid4()), reason=reason)
    _show(at.ask(lambda desk: desk.engagements.ReassignEngagement(asked)), at.as_json)
