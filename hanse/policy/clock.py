"""Clock arithmetic: a clock is the sum of its segments, each counted on the calendar of the unit that held the ticket.

A segment is one stretch of a clock: one unit, one calendar, running or standing. A new one begins when a ticket pauses,
resumes or changes hands, and only the last one may be open. Nothing else about a clock is stored: what is used up and
when it runs out follow from the segments, so a clock can be computed again from the events at any time, anywhere.

How instants are read: a segment holds from its start until just before its end, and nothing after `now` counts. A clock
that is used up has run out: what is done at the very instant at which it is due is too late, on complaints' clocks too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hanse.policy.calendar import WorkingCalendar
from hanse.policy.errors import CalendarUnknown


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a clock. Instants are aware, in UTC; `end` is None for the current one."""

    unit: str
    calendar: str
    running: bool
    start: datetime
    end: datetime | None


def used(segments: Sequence[Segment], calendars: Mapping[str, WorkingCalendar], now: datetime) -> timedelta:
    """Give the working time that a clock has used up. Raises `CalendarUnknown` and `HorizonExceeded`."""
    return sum((segment_used(segment, calendars, now) for segment in segments), timedelta(0))


def segment_used(segment: Segment, calendars: Mapping[str, WorkingCalendar], now: datetime) -> timedelta:
    """Give the working time that one segment has used up: none while the clock stands."""
    if not segment.running:
        return timedelta(0)
    end = now if segment.end is None else min(segment.end, now)
    return _calendar(segment, calendars).between(segment.start, end)


def due(segments: Sequence[Segment], calendars: Mapping[str, WorkingCalendar], amount: timedelta) -> datetime | None:
    """Give the first instant, in UTC, at which a clock has used up `amount`, if its last segment just goes on.

    The instant may lie in the past, inside an earlier segment. None means that the clock stands, or has stopped, before
    it gets there. Raises `CalendarUnknown`, and `HorizonExceeded` for a calendar that has too little working time.
    """
    [instant] = dues(segments, calendars, [amount])
    return instant


def dues(
    segments: Sequence[Segment], calendars: Mapping[str, WorkingCalendar], amounts: Sequence[timedelta]
) -> list[datetime | None]:
    """Give for each of some amounts, in ascending order, what `due` gives; the segments are gone through once."""
    found: list[datetime | None] = []
    if segments:
        found.extend(segments[0].start.astimezone(UTC) for amount in amounts if amount <= timedelta(0))
    used_before = timedelta(0)
    for segment in segments:
        if not segment.running or len(found) == len(amounts):
            continue
        calendar = _calendar(segment, calendars)
        length = None if segment.end is None else calendar.between(segment.start, segment.end)
        for amount in amounts[len(found) :]:
            if length is not None and amount - used_before > length:
                break
            found.append(calendar.add(segment.start, amount - used_before))
        used_before += length or timedelta(0)
    return [*found, *[None] * (len(amounts) - len(found))]


def _calendar(segment: Segment, calendars: Mapping[str, WorkingCalendar]) -> WorkingCalendar:
    calendar = calendars.get(segment.calendar)
    if calendar is None:
        raise CalendarUnknown(calendar=segment.calendar, unit=segment.unit)
    return calendar
