"""Working time: how much of it lies between two instants, and at which instant so much of it has passed.

A calendar is compiled one local year at a time, when that year is first asked for. A compiled year is a sorted row of
stretches of working time in UTC, each with the working time of the year before it. So both questions are a binary
search per year, however long the answer is; adjacent stretches are joined, and a year around the clock is one stretch.

What counts on a local day, the first that applies:

1. an exception of the calendar: its shifts, or none;
2. a make-up working day of the country: Monday's shifts, as the contract says;
3. a public holiday of the country: nothing;
4. the shifts of that day of the week.

Shifts are given in local time and measured in elapsed time: a night shift over the change of clocks is an hour shorter
or longer. A local time that is skipped stands for the instant at which the clocks jump, and one that occurs twice for
its first occurrence, as in PEP 495; so two shifts that meet at such a time still meet, and share nothing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import accumulate
from typing import TypeAlias
from zoneinfo import ZoneInfo

from google.type.dayofweek_pb2 import MONDAY, SUNDAY

from hanse.policy.conditions import invalid
from hanse.policy.errors import HorizonExceeded
from hanse.policy.public_holidays import public_holidays, unknown_place
from hanse_protos.policy.v1.policy_pb2 import Calendar, Shift

# No promise lasts for decades: whoever asks further has a calendar without working time, or an instant that is wrong.
HORIZON_YEARS = 20
FIRST_YEAR = 1900
LAST_YEAR = 2199
# A calendar in use is asked about two or three years; the rest is for reports over imported history.
CACHED_YEARS = 64
# A clock asks for many instants from one start: a deadline for each of its steps.
CACHED_STARTS = 256

MINUTES_PER_DAY = 24 * 60

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MICROSECONDS_PER_SECOND = 1_000_000

ELAPSED_ID = "elapsed time"
"""The id of the calendar that never stops. No calendar of a policy can have it, because of the space."""

# Microseconds since the epoch, half-open: integers compare and add exactly, and much faster than datetimes.
Stretch: TypeAlias = tuple[int, int]
# Minutes since local midnight, half-open.
LocalStretch: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Year:
    """The working time of one local year."""

    starts: tuple[int, ...]
    ends: tuple[int, ...]
    # The working time of the year before each stretch, in microseconds.
    worked_before: tuple[int, ...]
    total: int

    def worked_until(self, instant: int) -> int:
        """Give the working time of this year that has passed at an instant, in microseconds."""
        index = bisect_right(self.starts, instant) - 1
        if index < 0:
            return 0
        return self.worked_before[index] + min(instant, self.ends[index]) - self.starts[index]

    def instant_after(self, worked: int) -> int:
        """Give the first instant at which so much has been worked, for 0 < worked <= total."""
        index = bisect_left(self.worked_before, worked) - 1
        return self.starts[index] + worked - self.worked_before[index]


class WorkingCalendar:
    """The working time of one calendar of the policy. It never changes, and may be shared."""

    def __init__(self, calendar: Calendar, path: str = "calendar") -> None:
        """Compile a calendar; `path` is its place in the document, for errors.

        Raises `PolicyInvalid` for a time zone, a place or a shift that makes no sense.
        """
        self.id = calendar.id
        self._zone = time_zone(calendar.time_zone, f"{path}.time_zone")
        self._country = calendar.holiday_country
        self._subdivision = calendar.holiday_subdivision
        if self._country and (problem := unknown_place(self._country, self._subdivision)):
            raise invalid(f"{path}.holiday_country", problem)
        shifts = [(shift, local_stretch(shift, f"{path}.shifts[{i}]")) for i, shift in enumerate(calendar.shifts)]
        self._by_weekday = {
            weekday: tuple(stretch for shift, stretch in shifts if weekday in shift.days)
            for weekday in range(MONDAY, MONDAY + 7)
        }
        self._exceptions = dict(_exceptions(calendar, path))
        self._year = lru_cache(maxsize=CACHED_YEARS)(self._compile_year)
        self._started = lru_cache(maxsize=CACHED_STARTS)(self._find_start)

    def between(self, start: datetime, end: datetime) -> timedelta:
        """Give the working time between two aware instants; nothing where `end` is not after `start`.

        Raises `HorizonExceeded` for instants that are more than `HORIZON_YEARS` apart.
        """
        # Compared as numbers: datetimes of one time zone would be compared by their wall clocks.
        begin, finish = _to_microseconds(start), _to_microseconds(end)
        if finish <= begin:
            return timedelta(0)
        first, last = self._local_year(start), self._local_year(end)
        if last - first > HORIZON_YEARS:
            raise self._beyond_horizon()
        worked = sum(self._year(year).total for year in range(first, last))
        worked += self._year(last).worked_until(finish)
        worked -= self._year(first).worked_until(begin)
        return timedelta(microseconds=worked)

    def add(self, start: datetime, working: timedelta) -> datetime:
        """Give the first instant, in UTC, at which so much working time has passed since an aware instant.

        It is `start` itself where `working` is not positive, and the end of a shift rather than the beginning of the
        next where it could be either. Raises `HorizonExceeded` where it isn't reached within `HORIZON_YEARS`.
        """
        first, worked = self._started(_to_microseconds(start))
        if working <= timedelta(0):
            return start.astimezone(UTC)
        wanted = worked + working // _MICROSECOND
        for number in range(first, min(first + HORIZON_YEARS, LAST_YEAR) + 1):
            year = self._year(number)
            if wanted <= year.total:
                return _EPOCH + timedelta(microseconds=year.instant_after(wanted))
            wanted -= year.total
        raise self._beyond_horizon()

    def opens(self, at: datetime) -> datetime:
        """Give the first instant from `at` on, in UTC, that is working time: `at` itself within a shift.

        Raises `HorizonExceeded` where there is none within `HORIZON_YEARS`.
        """
        return self.add(at, _MICROSECOND) - _MICROSECOND

    def begins(self, after: datetime) -> datetime | None:
        """Give the first instant after an aware one, in UTC, at which working time begins.

        None where none begins in that local year or the next one, as on a calendar that never stops.
        """
        instant, first = _to_microseconds(after), self._local_year(after)
        for year in range(first, min(first + 1, LAST_YEAR) + 1):
            starts = self._year(year).starts
            for start in starts[bisect_right(starts, instant) :]:
                begin = _EPOCH + timedelta(microseconds=start)
                # A year may begin with working time that goes on from the year before.
                if self.opens(begin - _MICROSECOND) == begin:
                    return begin
        return None

    def _find_start(self, instant: int) -> tuple[int, int]:
        """Give the local year of an instant, and the working time of that year until then, in microseconds."""
        year = self._local_year(_EPOCH + timedelta(microseconds=instant))
        return year, self._year(year).worked_until(instant)

    def _beyond_horizon(self) -> HorizonExceeded:
        return HorizonExceeded(calendar=self.id, horizon_years=str(HORIZON_YEARS))

    def _local_year(self, instant: datetime) -> int:
        year = instant.astimezone(self._zone).year if FIRST_YEAR <= instant.year <= LAST_YEAR else 0
        if not FIRST_YEAR <= year <= LAST_YEAR:
            raise self._beyond_horizon()
        return year

    def _compile_year(self, year: int) -> _Year:
        stretches = _joined(self._stretches(year))
        lengths = [end - start for start, end in stretches]
        *worked_before, total = accumulate(lengths, initial=0)
        starts = tuple(start for start, _ in stretches)
        ends = tuple(end for _, end in stretches)
        return _Year(starts, ends, tuple(worked_before), total)

    def _stretches(self, year: int) -> Iterator[Stretch]:
        for ordinal in range(date(year, 1, 1).toordinal(), date(year + 1, 1, 1).toordinal()):
            day = date.fromordinal(ordinal)
            for start, end in self._shifts_on(day):
                yield self._instant(day, start), self._instant(day, end)

    def _shifts_on(self, day: date) -> Sequence[LocalStretch]:
        if (exception := self._exceptions.get(day)) is not None:
            return exception
        listed = public_holidays(self._country, self._subdivision, day.year)
        if day in listed.make_up_days:
            return self._by_weekday[MONDAY]
        if day in listed.days_off:
            return ()
        return self._by_weekday[day.isoweekday()]

    def _instant(self, day: date, minute: int) -> int:
        """Turn a local time into an instant; minute 1440 is the midnight at the end of the day."""
        wall = datetime.combine(day, time.min) + timedelta(minutes=minute)
        local = wall.replace(tzinfo=self._zone)
        before, after = _offset_seconds(local), _offset_seconds(local.replace(fold=1))
        if before < after:
            return self._jump(wall, before, after)
        return _to_microseconds(local)

    def _jump(self, wall: datetime, before: int, after: int) -> int:
        """Find the instant at which the clocks jump over a local time, from the offsets on both sides of the jump."""
        utc_seconds = int((wall.replace(tzinfo=UTC) - _EPOCH).total_seconds())
        candidates = range(utc_seconds - after, utc_seconds - before + 1)
        jumped = bisect_left(candidates, True, key=lambda second: self._offset_at(second) != before)
        return candidates[jumped] * _MICROSECONDS_PER_SECOND

    def _offset_at(self, second: int) -> int:
        return _offset_seconds(datetime.fromtimestamp(second, self._zone))


def elapsed_time() -> WorkingCalendar:
    """Return the calendar that never stops, for what is promised in elapsed time."""
    always = Shift(days=range(MONDAY, SUNDAY + 1), start="00:00", end="24:00")
    return WorkingCalendar(Calendar(id=ELAPSED_ID, time_zone="UTC", shifts=[always]))


def time_zone(name: str, path: str) -> ZoneInfo:
    """Look up an IANA time zone. Raises `PolicyInvalid` for one that is not there, or that depends on the machine."""
    if name == "localtime":
        raise invalid(path, "every unit has to read the same time zone: give an IANA name such as Europe/Berlin")
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:
        # The library's own text is dropped, since it may name files of this machine.
        raise invalid(path, f"there is no time zone {name!r}: give an IANA name such as Europe/Berlin") from error


def local_stretch(shift: Shift, path: str) -> LocalStretch:
    """Read a shift's times as minutes since midnight. Raises `PolicyInvalid` unless it ends after it starts."""
    start, end = _minutes(shift.start, f"{path}.start"), _minutes(shift.end, f"{path}.end")
    if start >= end:
        raise invalid(path, f"the shift ends at {shift.end}, which is not after {shift.start}: split it at midnight")
    return start, end


def exception_date(text: str, path: str) -> date:
    """Read the date of an exception. Raises `PolicyInvalid` for a day that no calendar has."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise invalid(path, f"there is no day {text!r}: write it as 2026-10-10") from error


def _exceptions(calendar: Calendar, path: str) -> Iterator[tuple[date, tuple[LocalStretch, ...]]]:
    for i, exception in enumerate(calendar.exceptions):
        place = f"{path}.exceptions[{i}]"
        shifts = (local_stretch(shift, f"{place}.shifts[{j}]") for j, shift in enumerate(exception.shifts))
        yield exception_date(exception.date, f"{place}.date"), tuple(shifts)


def _minutes(text: str, path: str) -> int:
    try:
        hours, minutes = (int(part) for part in text.split(":"))
    except ValueError as error:
        raise invalid(path, f"{text!r} is not a time of day: write it as 09:00") from error
    if not (hours >= 0 and 0 <= minutes < 60 and hours * 60 + minutes <= MINUTES_PER_DAY):
        raise invalid(path, f"{text!r} is not a time of day: write it as 09:00, up to 24:00")
    return hours * 60 + minutes


def _joined(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Sort stretches and join those that touch or overlap, so that no time counts twice; drop empty ones."""
    joined: list[Stretch] = []
    for start, end in sorted(stretch for stretch in stretches if stretch[0] < stretch[1]):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _offset_seconds(local: datetime) -> int:
    offset = local.utcoffset()
    assert offset is not None, "Only aware datetimes get here."  # noqa: S101
    return int(offset.total_seconds())


def _to_microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND
