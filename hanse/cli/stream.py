"""`hanse stream`: what a person decides about a stream in quarantine."""

from __future__ import annotations

from typing import Annotated
from uuid import uuid4

import typer

from hanse.cli import output
from hanse.cli.connection import At, command
from hanse.errors import FactSetApart
from hanse.log.events import short_type
from hanse_protos.federation.v1 import group_pb2
from hanse_protos.federation.v1 import recovery_pb2 as pb
from hanse_protos.log.v1.log_pb2 import StreamHead

app = typer.Typer(help="Decide about streams in quarantine.", no_args_is_help=True)

StreamArgument = Annotated[str, typer.Argument(help="A stream, for example units/munich/streams/ticket.")]
DECISION_TIMEOUT_SECONDS = 600.0
"""A decision rewrites or sets apart what was lost, in one transaction: a million records take minutes."""


@command(app, "list", unit="hq")
def list_streams(at: At) -> None:
    """List the streams in quarantine at a unit: where, since when, and up to where both ends agree."""
    reply = at.ask(lambda desk: desk.link.ListAlarms(group_pb2.ListAlarmsRequest()))
    # A stream of which facts were set apart goes on: that is for `hanse dead-letters`.
    alarms = [each for each in reply.alarms if "/streams/" in each.subject and each.reason != FactSetApart.reason]
    if at.as_json:
        output.print_json(group_pb2.ListAlarmsResponse(alarms=alarms))
        return
    rows = (
        (
            alarm.subject,
            alarm.reason,
            _place(alarm.place) if alarm.HasField("place") else "?",
            _place(alarm.common) if alarm.HasField("common") else "not compared yet",
            output.when(alarm.since_time),
        )
        for alarm in alarms
    )
    output.table(f"In quarantine at {at.unit}", ["stream", "reason", "at", "both have", "since (UTC)"], rows)
    for alarm in alarms:
        output.console.print(f"{alarm.problem}. {alarm.hint}", style="dim", markup=False)


def _place(head: StreamHead) -> str:
    return f"{head.epoch}/{head.sequence}"


@command(app, "start-epoch", unit="hq")
def start_epoch(at: At, stream: StreamArgument) -> None:
    """At the unit that writes it: let a stream go on in a new epoch after the last record that both ends have."""
    request = pb.StartEpochRequest(stream=stream, request_id=str(uuid4()))
    reply = at.ask(lambda desk: desk.streams.StartEpoch(request, timeout=DECISION_TIMEOUT_SECONDS))
    if at.as_json:
        output.print_json(reply)
        return
    output.console.print(
        f"epoch {reply.head.epoch} of {stream} follows {_place(reply.after)},"
        f" with {output.count(reply.carried, 'record')} taken along;"
        f" the other end accepts it with `hanse stream accept-epoch {stream}`",
        markup=False,
    )


@command(app, "accept-epoch", unit="hq")
def accept_epoch(at: At, stream: StreamArgument) -> None:
    """At the other end: take a stream's new epoch; what its writer has lost is set apart."""
    request = pb.AcceptEpochRequest(stream=stream, request_id=str(uuid4()))
    reply = at.ask(lambda desk: desk.streams.AcceptEpoch(request, timeout=DECISION_TIMEOUT_SECONDS))
    if at.as_json:
        output.print_json(reply)
        return
    output.console.print(
        f"{stream} goes on after {_place(reply.after)}, without {output.count(reply.orphans, 'record')} that its writer"
        f" has lost: `hanse stream orphans {stream}`",
        markup=False,
    )
    for engagement in reply.withdrawn_engagements:
        output.console.print(f"called off, since its home does not know it any more: {engagement}", markup=False)


@command(app, "reseed", unit="hq")
def reseed(at: At, stream: StreamArgument) -> None:
    """At the unit that writes it: get back from headquarters' copy what a restored unit lacks of a stream."""
    request = pb.ReseedStreamRequest(stream=stream, request_id=str(uuid4()))
    reply = at.ask(lambda desk: desk.streams.ReseedStream(request, timeout=DECISION_TIMEOUT_SECONDS))
    if at.as_json:
        output.print_json(reply)
        return
    output.console.print(
        f"{stream} has {output.count(reply.records, 'record')} back, and behind them"
        f" {output.count(reply.carried, 'record')} written since; it ends at {_place(reply.head)}",
        markup=False,
    )
    rows = (
        (
            line.resource,
            str(line.records),
            "left as it is: worked on since the restore" if line.skipped else "restored",
            ", ".join(line.lost_texts) or "–",
        )
        for line in reply.resources
    )
    output.table("What came back", ["about", "records", "", "texts that are lost"], rows)


@command(app, "release", unit="hq")
def release(at: At, stream: StreamArgument) -> None:
    """End a quarantine whose cause is gone. It is refused while the two logs still disagree."""
    request = pb.ReleaseStreamRequest(stream=stream, request_id=str(uuid4()))
    reply = at.ask(lambda desk: desk.streams.ReleaseStream(request, timeout=DECISION_TIMEOUT_SECONDS))
    if at.as_json:
        output.print_json(reply)
    else:
        output.console.print(f"{stream} is out of quarantine; both have it up to {_place(reply.common)}", markup=False)


@command(app, "orphans", unit="hq")
def orphans(
    at: At,
    stream: StreamArgument,
    size: Annotated[int, typer.Option("--size", help="How many at most.")] = 50,
    token: Annotated[str, typer.Option("--token", help="Where the next page begins.")] = "",
) -> None:
    """List what a stream's writer has lost: tickets, comments, engagements that the desk should look at."""
    request = pb.ListOrphansRequest(stream=stream, page_size=size, page_token=token)
    reply = at.ask(lambda desk: desk.streams.ListOrphans(request))
    if at.as_json:
        output.print_json(reply)
        return
    rows = (
        (
            f"{orphan.epoch}/{orphan.sequence}",
            output.when(orphan.occur_time),
            short_type(orphan.type),
            orphan.resource,
            output.who(orphan.actor),
        )
        for orphan in reply.orphans
    )
    output.table(f"Lost of {stream}", ["place", "when (UTC)", "what", "about", "who"], rows)
    if reply.next_page_token:
        output.console.print(f"more with --token {reply.next_page_token}", style="dim", markup=False)
