"""`hanse partner`: who may come in through the gateway."""

from __future__ import annotations

from uuid import uuid4

import typer

from hanse.cli import output
from hanse.cli.connection import At, command
from hanse.names import PARTNERS
from hanse_protos.gateway.v1 import gateway_pb2 as pb

app = typer.Typer(help="Admit partner systems.", no_args_is_help=True)


def _show_key(partner: pb.Partner, as_json: bool) -> None:
    if as_json:
        output.print_json(partner)
        return
    output.console.print(f"{partner.name}: {partner.title}")
    output.console.print(f"API key: {partner.api_key}", style="bold")
    output.console.print("It is shown this once, and stored as a hash.", style="dim")


@command(app, "create", unit="shanghai")
def create(at: At, partner_id: str, title: str) -> None:
    """Admit a partner, and show its API key once."""
    request = pb.CreatePartnerRequest(partner_id=partner_id, partner=pb.Partner(title=title), request_id=str(uuid4()))
    _show_key(at.ask(lambda desk: desk.partners.CreatePartner(request)), at.as_json)


@command(app, "rotate-key", unit="shanghai")
def rotate_key(at: At, partner_id: str) -> None:
    """Make a new API key; the old one is void."""
    request = pb.RotatePartnerKeyRequest(name=f"{PARTNERS}{partner_id}", request_id=str(uuid4()))
    _show_key(at.ask(lambda desk: desk.partners.RotatePartnerKey(request)), at.as_json)
