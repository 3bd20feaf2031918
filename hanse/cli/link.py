"""`hanse link`: how every link that ends at a unit is doing, stream by stream; lines to peers among them."""

from __future__ import annotations

import typer
from rich.text import Text

from hanse.cli import output
from hanse.cli.connection import At, command
from hanse.enums import name_of
from hanse_protos.federation.v1 import group_pb2 as pb

NOT_HEALTHY = 1
COLUMNS = ["unit", "stream", "", "position", "other end", "lag", "for", "credit", "health"]


def register(app: typer.Typer) -> None:
    """Add `hanse link` to the command line."""

    @command(app, "link", unit="hq")
    def link(at: At) -> None:
        """Show each link with its streams, as this end knows them. Exits with 1 unless all are healthy."""
        reply = at.ask(lambda desk: desk.link.ListLinks(pb.ListLinksRequest()))
        if at.as_json:
            output.print_json(reply)
        else:
            show(at.unit, reply)
        if any(report.health not in (pb.OK, pb.BEHIND) for report in reply.links):
            raise typer.Exit(NOT_HEALTHY)


def show(unit: str, reply: pb.ListLinksResponse) -> None:
    """Print links for people: a row for each stream, and why a link ended or a stream waits."""
    rows = [_row(report, stream) for report in reply.links for stream in report.streams]
    output.table(f"Links of {unit}", COLUMNS, rows)
    for report in reply.links:
        if report.last_error:
            name = _name(report)
            again = f"opened again {report.reconnects} times, ended last with {report.last_error}"
            output.console.print(f"{name}: {again}", style="dim", markup=False)
        for stream in report.streams:
            if stream.problem:
                output.console.print(f"{stream.stream}: {stream.problem}", style="red", markup=False)


def _name(report: pb.LinkReport) -> str:
    return f"{output.unit(report.unit)} (peer)" if report.peer else output.unit(report.unit)


def _row(report: pb.LinkReport, stream: pb.StreamReport) -> list[str | Text]:
    position = stream.position
    return [
        _name(report),
        # Both ends of a link and a column beside it say whose stream it is: its last word says which.
        stream.stream.rsplit("/", 1)[-1],
        "sends" if stream.sent else "takes",
        f"{position.epoch}/{position.sequence}",
        str(stream.other_sequence),
        str(stream.lag_events),
        f"{stream.lag_duration.seconds} s",
        str(report.credit),
        output.yes_no(stream.health in (pb.OK, pb.BEHIND), *[name_of(pb.LinkHealth, stream.health)] * 2),
    ]
