"""`hanse escalation`: what was told to those above the desk."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import uuid4

import typer

from hanse.cli import output
from hanse.cli.connection import At, command, inside
from hanse.enums import in_words
from hanse.names import HEADQUARTERS, home_of
from hanse_protos.federation.v1 import group_pb2
from hanse_protos.policy.v1.policy_pb2 import HierarchyStep
from hanse_protos.ticket.v1 import escalation_pb2 as rpc
from hanse_protos.ticket.v1.ticket_pb2 import Clock

NameArgument = Annotated[str, inside("escalations", "1")]

app = typer.Typer(help="What was told to the desk's lead, the unit's manager and headquarters.", no_args_is_help=True)


@command(app, "list", unit="shanghai")
def list_escalations(
    at: At, everything: Annotated[bool, typer.Option("--all", help="Also what was acknowledged.")] = False
) -> None:
    """List what nobody has acknowledged yet: of a unit's desk, or with -u hq what headquarters was told."""
    reply: Any
    if at.parent == HEADQUARTERS:
        asked = group_pb2.ListGroupEscalationsRequest(unacknowledged=not everything)
        reply = at.ask(lambda desk: desk.group.ListGroupEscalations(asked))
    else:
        request = rpc.ListEscalationsRequest(parent=at.parent, unacknowledged=not everything)
        reply = at.ask(lambda desk: desk.escalations.ListEscalations(request))
    if at.as_json:
        output.print_json(reply)
        return
    output.table(
        f"Escalations at {at.unit}",
        ["escalation", "level", "clock", "told (UTC)", "to be seen until", "seen by"],
        (_row(escalation) for escalation in reply.escalations),
    )


def _row(escalation: rpc.Escalation) -> tuple[str, ...]:
    level = in_words(HierarchyStep.Level, escalation.level)
    due = output.when(escalation.acknowledge_due_time) if escalation.HasField("acknowledge_due_time") else ""
    clock = f"{in_words(Clock.Kind, escalation.kind)} at {escalation.percent} %"
    return escalation.name, level, clock, output.when(escalation.raise_time), due, _seen_by(escalation)


def _seen_by(escalation: rpc.Escalation) -> str:
    return output.who(escalation.acknowledger) if escalation.acknowledger else ""


@command(app, "acknowledge", unit="shanghai", person="lead")
def acknowledge(at: At, name: NameArgument) -> None:
    """Say that you have seen it: the next level is not told because of it."""
    seen: rpc.Escalation
    if at.parent == HEADQUARTERS != home_of(name):
        asked = group_pb2.AcknowledgeGroupEscalationRequest(name=name, request_id=str(uuid4()))
        seen = at.ask(lambda desk: desk.routing.AcknowledgeGroupEscalation(asked))
    else:
        request = rpc.AcknowledgeEscalationRequest(name=name, request_id=str(uuid4()))
        seen = at.ask(lambda desk: desk.escalations.AcknowledgeEscalation(request))
    if at.as_json:
        output.print_json(seen)
    else:
        output.console.print(f"{seen.name}: seen by {_seen_by(seen)}", markup=False)
