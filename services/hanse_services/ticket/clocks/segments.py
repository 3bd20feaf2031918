"""The segments of a ticket: who held it, on which calendar, and which kinds of clocks stood. All its clocks share them.

A new segment begins when the ticket changes hands, or when a clock begins to stand or goes on; only the last one may be
open. A clock takes from them the part between its start and its stop, so what it has used up is always their exact sum.
"""

from collections.abc import Collection, Iterator
from datetime import datetime

from hanse.names import home_of
from hanse.policy.calendar import ELAPSED_ID
from hanse.policy.clock import Segment
from hanse.policy.errors import UnitUnknown
from hanse.policy.standards import Standards
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.model import Clock, ClockSegment, Ticket


def follow_ticket(standards: Standards, ticket: Ticket, standing: Collection[str], at: datetime) -> bool:
    """End the current segment and begin the next one, unless holder and standing clocks are as they were.

    `standing` are the kinds of open clocks that stand from now on. Return whether there is a new segment. What another
    unit tells may have happened before the current segment began; a segment is never shorter than nothing.
    """
    if _goes_on(ticket, standing):
        return False
    at = close_segment(ticket, at)
    ticket.segments.append(
        ClockSegment(
            ticket=ticket.name,
            number=len(ticket.segments) + 1,
            unit=ticket.holder,
            calendar=calendar_of(standards, ticket.holder, home_of(ticket.name)),
            standing=sorted(standing),
            start_time=at,
            end_time=None,
        )
    )
    return True


def _open_kinds(ticket: Ticket) -> set[str]:
    return {pb.Clock.Kind.Name(row.kind) for row in ticket.clocks if row.stop_time is None}


def _goes_on(ticket: Ticket, standing: Collection[str]) -> bool:
    """Whether the current segment says of every open clock what is true now."""
    if not ticket.segments or ticket.segments[-1].end_time is not None:
        return False
    current = ticket.segments[-1]
    return current.unit == ticket.holder and _open_kinds(ticket).intersection(current.standing) == {*standing}


def calendar_of(standards: Standards, unit: str, home: str) -> str:
    """Return the calendar that counts while a unit holds a ticket of another one, or its own.

    A unit that joined the group after the ticket was opened is not in the ticket's policy: then the home unit's counts.
    """
    try:
        return standards.calendar_of(unit)
    except UnitUnknown:
        return standards.calendar_of(home)


def close_segment(ticket: Ticket, at: datetime) -> datetime:
    """End the current segment, if one is open, and return when it ended."""
    if not ticket.segments or ticket.segments[-1].end_time is not None:
        return at
    current = ticket.segments[-1]
    current.end_time = max(at, current.start_time)
    return current.end_time


def segments_of(ticket: Ticket, clock: Clock) -> Iterator[Segment]:
    """Yield the segments, and parts of segments, that lie between a clock's start and its stop, as it counts them."""
    # Each attribute of a row is read once: this is gone through whenever deadlines are computed.
    kind, start, stop, elapsed = pb.Clock.Kind.Name(clock.kind), clock.start_time, clock.stop_time, clock.elapsed
    only_of = clock.party if clock.engagement else None
    for row in ticket.segments:
        unit, begins, ends = row.unit, row.start_time, row.end_time
        if begins < start and ends is not None and ends <= start:
            continue
        if stop is not None and begins >= stop:
            continue
        yield Segment(
            unit=unit,
            calendar=ELAPSED_ID if elapsed else row.calendar,
            # A provider's clock did not run while another unit held the ticket, before a rejection.
            running=only_of in (None, unit) and kind not in row.standing,
            start=max(begins, start),
            end=ends if stop is None else min(ends or stop, stop),
        )
