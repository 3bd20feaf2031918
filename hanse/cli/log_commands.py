"""`hanse log`: the streams of a unit, and whether they are intact."""

from __future__ import annotations

import typer

from hanse.cli import output
from hanse.cli.connection import At, command
from hanse_protos.log.v1 import log_pb2 as pb

app = typer.Typer(help="Show and verify the event log.", no_args_is_help=True)


@command(app, "list", unit="hq")
def list_streams(at: At) -> None:
    """List the streams that a unit holds: its own, and copies."""
    reply = at.ask(lambda desk: desk.logs.ListStreams(pb.ListStreamsRequest()))
    if at.as_json:
        output.print_json(reply)
        return
    rows = (
        (head.stream, str(head.epoch), str(head.sequence), head.hash.hex()[:16], output.when(head.append_time))
        for head in reply.streams
    )
    output.table(f"Streams in {at.unit}", ["stream", "epoch", "records", "hash", "last (UTC)"], rows)


@command(app, "verify", unit="hq")
def verify(at: At, stream: str) -> None:
    """Recompute the hash chain of a stream, at every holder that the unit's database has."""
    request = pb.VerifyStreamRequest(stream=stream)
    reply = at.ask(lambda desk: desk.logs.VerifyStream(request, timeout=600))
    if at.as_json:
        output.print_json(reply)
    else:
        for holder in reply.holders:
            judgement = output.yes_no(holder.intact, "intact", holder.problem)
            output.console.print(f"{holder.schema}: {holder.records} records,", judgement)
    if not reply.intact:
        raise typer.Exit(1)
