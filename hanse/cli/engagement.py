"""`hanse engagement`: work for another unit, and by another unit."""

from __future__ import annotations

from typing import Annotated
from uuid import uuid4

import typer
from rich.text import Text

from hanse.cli import output
from hanse.cli.connection import (
    DEFAULT_FOLDER,
    GroupOption,
    JsonOption,
    PersonOption,
    UnitOption,
    ask,
    ticket_name,
)
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb

app = typer.Typer(help="Ask other units for help, and help them.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="units/…/tickets/…/engagements/e1")]


def _show(engagement: pb.Engagement, as_json: bool) -> None:
    if as_json:
        output.print_json(engagement)
        return
    state = pb.EngagementState.Name(engagement.state)
    output.console.print(Text.assemble((engagement.name, "bold"), "  ", (state, "cyan")))
    if engagement.title:
        output.console.print(engagement.title, markup=False)
    if engagement.offer:
        until = output.when(engagement.offer_expire_time)
        expiry = f", stands until {until} UTC" if engagement.HasField("offer_expire_time") else ""
        output.console.print(f"offer {engagement.offer} to {output.unit(engagement.provider)}{expiry}", style="dim")
    if engagement.solution:
        output.console.print(Text.assemble(("solution ", "bold"), engagement.solution))


@app.command("list")
def list_engagements(
    unit: UnitOption = "munich",
    person: PersonOption = "operator",
    group: GroupOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """List the engagements that a unit takes part in."""
    request = rpc.ListEngagementsRequest(parent="units/-/tickets/-")
    reply = ask(group, unit, person, lambda desk: desk.engagements.ListEngagements(request))
    if as_json:
        output.print_json(reply)
        return
    rows = (
        (
            engagement.name,
            pb.EngagementState.Name(engagement.state),
            output.unit(engagement.provider),
            str(engagement.offer),
            engagement.title,
        )
        for engagement in reply.engagements
    )
    output.table(f"Engagements of {unit}", ["engagement", "state", "provider", "offer", "title"], rows)


@app.command("show")
def show(
    name: NameArgument,
    unit: UnitOption = "munich",
    person: PersonOption = "operator",
    group: GroupOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Show an engagement."""
    request = rpc.GetEngagementRequest(name=name)
    _show(ask(group, unit, person, lambda desk: desk.engagements.GetEngagement(request)), as_json)


@app.command("request")
def request_engagement(
    ticket: str,
    reason: str = "",
    unit: UnitOption = "shanghai",
    person: PersonOption = "operator",
    group: GroupOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Home unit: ask headquarters for a provider."""
    request = rpc.RequestEngagementRequest(parent=ticket_name(unit, ticket), request_id=str(uuid4()), reason=reason)
    _show(ask(group, unit, person, lambda desk: desk.engagements.RequestEngagement(request)), as_json)


@app.command("accept")
def accept(
    name: NameArgument,
    unit: UnitOption = "munich",
    person: PersonOption = "operator",
    group: GroupOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Provider: take an offer."""
    request = rpc.AcceptEngagementRequest(name=name, request_id=str(uuid4()))
    _show(ask(group, unit, person, lambda desk: desk.engagements.AcceptEngagement(request)), as_json)


@app.command("decline")
def decline(
    name: NameArgument,
    reason: str,
    unit: UnitOption = "munich",
    person: PersonOption = "operator",
    group: GroupOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Provider: decline an offer."""
    request = rpc.DeclineEngagementRequest(name=name, request_id=str(uuid4()), reason=reason)
    _show(ask(group, unit, person, lambda desk: desk.engagements.DeclineEngagement(request)), as_json)


@app.command("note")
def note(
    name: NameArgument,
    text: str,
    unit: UnitOption = "munich",
    person: PersonOption = "operator",
    group: GroupOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Provider: note what was done."""
    request = rpc.NoteEngagementWorkRequest(name=name, request_id=str(uuid4()), text=text)
    _show(ask(group, unit, person, lambda desk: desk.engagements.NoteEngagementWork(request)), as_json)


@app.command("deliver")
def deliver(
    name: NameArgument,
    solution: str,
    unit: UnitOption = "munich",
    person: PersonOption = "operator",
    group: GroupOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Provider: say the solution."""
    request = rpc.DeliverEngagementRequest(name=name, request_id=str(uuid4()), solution=solution)
    _show(ask(group, unit, person, lambda desk: desk.engagements.DeliverEngagement(request)), as_json)


@app.command("confirm")
def confirm(
    name: NameArgument,
    unit: UnitOption = "shanghai",
    person: PersonOption = "operator",
    group: GroupOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Home unit: take the solution."""
    request = rpc.ConfirmEngagementRequest(name=name, request_id=str(uuid4()))
    _show(ask(group, unit, person, lambda desk: desk.engagements.ConfirmEngagement(request)), as_json)


@app.command("reject")
def reject(
    name: NameArgument,
    reason: str,
    unit: UnitOption = "shanghai",
    person: PersonOption = "operator",
    group: GroupOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Home unit: send the solution back."""
    request = rpc.RejectEngagementRequest(name=name, request_id=str(uuid4()), reason=reason)
    _show(ask(group, unit, person, lambda desk: desk.engagements.RejectEngagement(request)), as_json)


@app.command("withdraw")
def withdraw(
    name: NameArgument,
    unit: UnitOption = "shanghai",
    person: PersonOption = "operator",
    group: GroupOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Home unit: call it off."""
    request = rpc.WithdrawEngagementRequest(name=name, request_id=str(uuid4()))
    _show(ask(group, unit, person, lambda desk: desk.engagements.WithdrawEngagement(request)), as_json)
