"""`hanse customer`: the persons that a unit keeps."""

from __future__ import annotations

from typing import Annotated
from uuid import uuid4

import typer
from rich.text import Text

from hanse.cli import output
from hanse.cli.connection import At, command
from hanse.cli.ticket import CLASSES, class_of
from hanse.enums import name_of
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb

app = typer.Typer(help="Show, classify, export and erase the persons that a unit keeps.", no_args_is_help=True)

CustomerArgument = Annotated[
    str, typer.Argument(help="The customer's name, or its id: see `hanse ticket show --json`.")
]
GROUNDS = {name.lower().replace("_", "-"): value for name, value in pb.ErasureGround.items() if value}
EXPORT_PAGE = 200


def _name(at: At, customer: str) -> str:
    return customer if "/" in customer else f"{at.parent}/customers/{customer}"


def _show(customer: pb.Customer, as_json: bool) -> None:
    if as_json:
        output.print_json(customer)
        return
    output.console.print(Text.assemble((customer.name, "bold"), f"  {output.count(customer.tickets, 'ticket')}"))
    if customer.HasField("erase_time"):
        ground = name_of(pb.ErasureGround, customer.erasure_ground).lower().replace("_", "-")
        output.console.print(f"erased {output.when(customer.erase_time)} UTC by {customer.eraser}: {ground}")
        return
    contact = customer.contact
    output.console.print(name_of(pb.CustomerClass, customer.customer_class), style="dim")
    # The reference is the partner's and its own id; who came by no partner has the second part only.
    for value in (contact.display_name, contact.email, contact.phone, contact.reference.removeprefix(":")):
        if value:
            output.console.print(value, markup=False)


@command(app, "show", unit="shanghai")
def show(at: At, customer: CustomerArgument) -> None:
    """Show a person."""
    request = rpc.GetCustomerRequest(name=_name(at, customer))
    _show(at.ask(lambda desk: desk.customers.GetCustomer(request)), at.as_json)


@command(app, "export", unit="shanghai")
def export(at: At, customer: CustomerArgument) -> None:
    """Print all that the unit keeps of a person, as JSON: the contact, the tickets, every step of them."""
    everything = rpc.ExportCustomerResponse()
    request = rpc.ExportCustomerRequest(name=_name(at, customer), page_size=EXPORT_PAGE)
    while True:
        page = at.ask(lambda desk: desk.customers.ExportCustomer(request))
        everything.customer.CopyFrom(page.customer)
        everything.tickets.extend(page.tickets)
        everything.entries.extend(page.entries)
        everything.complaints.extend(page.complaints)
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    output.print_json(everything)


@command(app, "classify", unit="shanghai")
def classify(
    at: At,
    customer: CustomerArgument,
    customer_class: Annotated[str, typer.Argument(help=f"One of {', '.join(CLASSES)}.")],
) -> None:
    """Put a person into a class: the tickets to come are judged by it."""
    request = rpc.ClassifyCustomerRequest(
        name=_name(at, customer), customer_class=class_of(customer_class), request_id=str(uuid4())
    )
    _show(at.ask(lambda desk: desk.customers.ClassifyCustomer(request)), at.as_json)


@command(app, "erase", unit="shanghai")
def erase(
    at: At,
    customer: CustomerArgument,
    ground: Annotated[str, typer.Option(help=f"Why: {', '.join(GROUNDS)}.")] = "request-of-person",
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Erase a person and the texts of its tickets, in every unit. It can't be undone."""
    if ground not in GROUNDS:
        raise typer.BadParameter(f"{ground} is not a ground: {', '.join(GROUNDS)}")
    name = _name(at, customer)
    if not yes:
        typer.confirm(f"Erase {name} and all texts of its tickets, for good?", abort=True)
    request = rpc.EraseCustomerRequest(name=name, ground=GROUNDS[ground], request_id=str(uuid4()))
    _show(at.ask(lambda desk: desk.customers.EraseCustomer(request)), at.as_json)
