"""What the command line shows of a ticket's clocks."""

from __future__ import annotations

from collections.abc import Iterable

from hanse.cli import output
from hanse.enums import in_words, name_of
from hanse_protos.ticket.v1 import ticket_pb2 as pb

ONE_OF_A_KIND = frozenset({pb.Clock.RESPONSE, pb.Clock.RESOLUTION})
NAME_CHARACTERS = 19


def clock_name(clock: pb.Clock) -> str:
    """Return a clock's name for people: "response", "next reply 2"."""
    kind = in_words(pb.Clock.Kind, clock.kind)
    return kind if clock.kind in ONE_OF_A_KIND else f"{kind} {clock.number}"


def time_base(clock: pb.Clock) -> str:
    """Say which time a clock counts, where that is not working time."""
    return " elapsed" if clock.elapsed else ""


TITLES = {
    pb.Clock.UNIT: "agreed inside the group (OLA)",
    pb.Clock.SUPPLIER: "agreed with suppliers (UC)",
}
"""What is not promised to the customer is shown apart: it breaks no promise to the customer when it runs out."""


def show_clocks(clocks: Iterable[pb.Clock]) -> None:
    """Print clocks: those towards the customer first, the others apart."""
    shown = list(clocks)
    _show([clock for clock in shown if clock.towards not in TITLES])
    for towards, title in TITLES.items():
        if agreed := [clock for clock in shown if clock.towards == towards]:
            output.console.print(title, style="bold")
            _show(agreed)


def _show(clocks: Iterable[pb.Clock]) -> None:
    """Print clocks, with the segments of those that are open or one of a kind."""
    for clock in clocks:
        state = name_of(pb.Clock.State, clock.state).lower()
        used, target = output.seconds(clock.used_duration), output.seconds(clock.target_duration)
        due = f", due {output.when(clock.due_time)}" if clock.HasField("due_time") else ""
        party = f", by {output.unit(clock.party)}" if clock.party else ""
        output.console.print(
            f"{clock_name(clock):<{NAME_CHARACTERS}} {state:<9} {used} of {target}{time_base(clock)}{due}{party}"
        )
        if clock.kind in ONE_OF_A_KIND or not clock.HasField("stop_time"):
            _show_segments(clock)


def _show_segments(clock: pb.Clock) -> None:
    for segment in clock.segments:
        running = "ran" if segment.running else "stood"
        used = output.seconds(segment.used_duration)
        line = f"{'':<{NAME_CHARACTERS}} {output.unit(segment.unit):<10} {running:<5} {used}"
        output.console.print(line, style="dim")
