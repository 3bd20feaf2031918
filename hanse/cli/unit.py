"""`hanse unit`: which units belong to the group."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer

from hanse.cli import output
from hanse.cli.connection import DEFAULT_FOLDER, At, GroupOption, command, resource_name, settings_of
from hanse.config import tls_files
from hanse.enums import name_of
from hanse.identity import revocation_list_der
from hanse_protos.federation.v1 import membership_pb2 as pb

app = typer.Typer(help="Invite, enrol, shut out and list the units of the group.", no_args_is_help=True)

MemberArgument = Annotated[str, typer.Argument(help="The unit, for example munich.")]
LISTED_UNITS = 1_000
RETIRE_TIMEOUT_SECONDS = 60.0
"""It reads every ticket of the unit, and decides about every engagement."""


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
        name_of(pb.MemberState, member.state),
        output.when(member.change_time),
        output.who(member.actor),
        output.when(member.certificate_expire_time),
        output.when(member.invitation_expire_time),
        member.reason or "–",
    ]


@command(app, "invite", unit="hq")
def invite(at: At, member: MemberArgument) -> None:
    """Invite a unit to enrol, and show the token once. Carry it to the unit on a way that you trust."""
    request = pb.InviteUnitRequest(unit=resource_name(member), request_id=str(uuid4()))
    invitation = at.ask(lambda desk: desk.members.InviteUnit(request))
    if at.as_json:
        output.print_json(invitation)
        return
    until = output.when(invitation.member.invitation_expire_time)
    output.console.print(f"{invitation.member.unit} is invited until {until} UTC. In the unit:")
    # Not through the console, which would break the line.
    print(f"hanse unit enrol {member} --token {invitation.token}")
    output.console.print("The token works once. It is shown this once, and stored as a hash.", style="dim")


@app.command("enrol")
def enrol_here(
    member: MemberArgument,
    token: Annotated[str, typer.Option(envvar="HANSE_INVITATION", help="What `hanse unit invite` printed.")],
    hub: Annotated[str, typer.Option(help="Headquarters' services, host:port, if not where the token says.")] = "",
    folder: Annotated[
        Path | None, typer.Option(help="Where the certificate and the keys go, if not where the settings say.")
    ] = None,
    dns_name: Annotated[
        list[str] | None, typer.Option(help="A name under which the unit's servers are dialled.")
    ] = None,
    group: GroupOption = DEFAULT_FOLDER,
) -> None:
    """Take up an invitation, in the unit: make its key, and have headquarters sign the certificate."""
    from hanse_federation.membership.enrolling import enrol  # noqa: PLC0415 - it brings gRPC's server; `hanse --help` doesn't need it.

    unit = resource_name(member)
    files = tls_files(folder) if folder else settings_of(group, unit).tls
    certificate = asyncio.run(enrol(token, unit, files, address=hub, dns_names=dns_name or []))
    output.console.print(f"{unit} has a certificate until {certificate.expire_time:%Y-%m-%d %H:%M} UTC")
    output.console.print(f"Its key, its certificate and the group's authority are in {files.key.parent}")


@command(app, "leave", unit="munich")
def leave_group(at: At) -> None:
    """Leave the group, as the unit's own administrator, once everything has been acknowledged and nothing is open."""
    member = asyncio.run(_leave(at))
    _show(at, member, "has left the group; its link closes within seconds, and it works on by itself")


async def _leave(at: At) -> pb.Member:
    from hanse.runtime import Runtime  # noqa: PLC0415 - as above.
    from hanse_federation.membership.enrolling import leave  # noqa: PLC0415 - as above.

    runtime = Runtime(settings_of(at.group, at.unit))
    try:
        return await leave(runtime, at.person)
    finally:
        await runtime.close()


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


@command(app, "publish-revocations", unit="hq")
def publish_revocations(
    at: At,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="An X.509 revocation list, PEM or DER.")],
) -> None:
    """Tell every unit which certificates are void, where the authority's key is not at headquarters."""
    content = revocation_list_der(file.read_bytes())
    request = pb.PublishRevocationsRequest(revocation_list=content, request_id=str(uuid4()))
    answer = at.ask(lambda desk: desk.members.PublishRevocations(request))
    if at.as_json:
        output.print_json(answer)
        return
    units = ", ".join(answer.units) or "no unit's that stood"
    listed = output.count(answer.certificate_count, "certificate")
    output.console.print(f"List {answer.number} with {listed} goes to every unit; void by it: {units}", markup=False)


@command(app, "retire", unit="hq")
def retire(at: At, member: MemberArgument, reason: Annotated[str, typer.Option(help="Why, for the history.")]) -> None:
    """Let a unit leave in good order: what it worked on is offered to others, its open tickets are listed."""
    request = pb.RetireUnitRequest(unit=resource_name(member), reason=reason, request_id=str(uuid4()))
    answer = at.ask(lambda desk: desk.members.RetireUnit(request, timeout=RETIRE_TIMEOUT_SECONDS))
    _show(at, answer if at.as_json else answer.member, "is retired; its link closes within seconds")
    if at.as_json:
        return
    for engagement in answer.reassigned_engagements:
        output.console.print(f"offered to another provider: {engagement}", markup=False)
    for engagement in answer.withdrawn_engagements:
        output.console.print(f"called off: {engagement}", markup=False)
    for ticket in answer.open_tickets:
        output.console.print(f"open, and nobody's any more: {ticket}", markup=False)
    if answer.open_ticket_count > len(answer.open_tickets):
        output.console.print(f"… {answer.open_ticket_count} open tickets in all")


def _show(at: At, member: Any, said: str) -> None:
    if at.as_json:
        output.print_json(member)
    else:
        output.console.print(f"{member.unit} {said}")
