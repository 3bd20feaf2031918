"""`hanse partner`: who may come in through the gateway."""

from __future__ import annotations

from uuid import uuid4

import typer

from hanse.cli import output
from hanse.cli.connection import DEFAULT_FOLDER, GroupOption, JsonOption, PersonOption, UnitOption, ask
from hanse_protos.gateway.v1 import gateway_pb2 as pb

app = typer.Typer(help="Admit partner systems.", no_args_is_help=True)


def _show_key(partner: pb.Partner, as_json: bool) -> None:
    if as_json:
        output.print_json(partner)
        return
    output.console.print(f"{partner.name}: {partner.title}")
    output.console.print(f"API key: {partner.api_key}", style="bold")
    output.console.print("It is shown this once, and stored as a hash.", style="dim")


@app.command("create")
def create(
    partner_id: str,
    title: str,
    unit: UnitOption = "shanghai",
    person: PersonOption = "operator",
    group: GroupOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Admit a partner, and show its API key once."""
    request = pb.CreatePartnerRequest(partner_id=partner_id, partner=pb.Partner(title=title), request_id=str(uuid4()))
    _show_key(ask(group, unit, person, lambda desk: desk.partners.CreatePartner(request)), as_json)


@app.command("rotate-key")
def rotate_key(
    partner_id: str,
    unit: UnitOption = "shanghai",
    person: PersonOption = "operator",
    group: GroupOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Make a new API key; the old one is void."""
    request = pb.RotatePartnerKeyRequest(name=f"partners/{partner_id}", request_id=str(uuid4()))
    _show_key(ask(group, unit, person, lambda desk: desk.partners.RotatePartnerKey(request)), as_json)
