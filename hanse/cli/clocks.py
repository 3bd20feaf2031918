"""What the command line shows of a ticket's clocks."""

from __future__ import annotations

from collections.abc import Iterable

from hanse.cli import output
from hanse_protos.ticket.v1 import ticket_pb2 as pb

ONE_OF_A_KIND = frozenset({pb.Clock.RESPONSE, pb.Clock.RESOLUTION})
NAME_CHARACTERS = 19


def clock_name(clock: pb.Clock) -> str:
    """Return a clock's name for people: "response", "next reply 2"."""
    kind = str(pb.Clock.Kind.Name(clock.kind)).lower().replace("_", " ")
    return kind if clock.kind in ONE_OF_A_KIND else f"{kind} {clock.number}"


def time_base(clock: pb.Clock) -> str:
    """Say which time a clock counts, where that is not working time."""
    return " elapsed" if clock.elapsed else ""


def show_clocks(clocks: Iterable[pb.Clock]) -> None:
    """Print clocks, with the segments of those that are open or one of a kind."""
    for clock in clocks:
        state = pb.Clock.State.Name(clock.state).lower()
        used, target = output.seconds(clock.used_duration), output.seconds(clock.target_duration)
        due = f", due {output.when(clock.due_time)}" if clock.HasField("due_time") else ""
        output.console.print(
            f"{clock_name(clock):<{NAME_CHARACTERS}} {state:<9} {used} of {target}{time_base(clock)}{due}"
        )
        if clock.kind in ONE_OF_A_KIND or not clock.HasField("stop_time"):
            _show_segments(clock)


def _show_segments(clock: pb.Clock) -> None:
    for segment in clock.segments:
        running = "ran" if segment.running else "stood"
        used = output.seconds(segment.used_duration)
        line = f"{'':<{NAME_CHARACTERS}} {output.unit(segment.unit):<10} {running:<5} {used}"
        output.console.print(line, style="dim")
