"""`hanse unit`: which units belong to the group."""

from __future__ import annotations

from typing import Annotated
from uuid import uuid4

import typer

from hanse.cli import output
from hanse.cli.connection import At, command, resource_name
from hanse_protos.federation.v1 import membership_pb2 as pb

app = typer.Typer(help="Admit, shut out and list the units of the group.", no_args_is_help=True)

MemberArgument = Annotated[str, typer.Argument(help="The unit, for example munich.")]
LISTED_UNITS = 1_000


@command(app, "list", unit="hq")
def list_units(at: At) -> None:
    """List the units that are or were members, as headquarters has them."""
    answer = at.ask(lambda desk: desk.members.ListMembers(pb.ListMembersRequest(page_size=LISTED_UNITS)))
    if at.as_json:
        output.print_json(answer)
        return
    columns = ["unit", "state", "since (UTC)", "by", "certificate until", "invitation until", "reason"]
    output.table("The members of the group", columns, (_row(member) for member in answer.members))


def _row(member: pb.Member) -> list[str]:
    return [
        output.unit(member.unit),
        pb.MemberState.Name(member.state),
        output.when(member.change_time),
        output.who(member.actor),
        output.when(member.certificate_expire_time),
        output.when(member.invitation_expire_time),
        member.reason or "–",
    ]


@command(app, "admit", unit="hq")
def admit(at: At, member: MemberArgument) -> None:
    """Admit a unit whose certificate comes from the group's own PKI, without an invitation."""
    request = pb.AdmitUnitRequest(unit=resource_name(member), request_id=str(uuid4()))
    _show(at, at.ask(lambda desk: desk.members.AdmitUnit(request)), "is a member; its link is taken from now on")


@command(app, "revoke", unit="hq")
def revoke(at: At, member: MemberArgument, reason: Annotated[str, typer.Option(help="Why, for the history.")]) -> None:
    """Shut a unit out: its link closes within seconds, its certificates are void."""
    request = pb.RevokeUnitRequest(unit=resource_name(member), reason=reason, request_id=str(uuid4()))
    _show(at, at.ask(lambda desk: desk.members.RevokeUnit(request)), "is shut out; its link closes within seconds")


def _show(at: At, member: pb.Member, said: str) -> None:
    if at.as_json:
        output.print_json(member)
    else:
        output.console.print(f"{member.unit} {said}")
