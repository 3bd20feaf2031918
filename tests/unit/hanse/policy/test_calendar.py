"""Working time is right: against known days, against a naive oracle, and whatever the clocks do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import TypeAlias
from zoneinfo import ZoneInfo

import pytest
from google.type.dayofweek_pb2 import FRIDAY, MONDAY, SATURDAY, SUNDAY, WEDNESDAY
from hypothesis import given, settings
from hypothesis import strategies as st

from hanse.errors import PolicyInvalid
from hanse.policy.calendar import HORIZON_YEARS, WorkingCalendar
from hanse.policy.errors import HorizonExceeded
from hanse_protos.policy.v1.policy_pb2 import Calendar, DayException, Shift

WORKWEEK = range(MONDAY, SATURDAY)
WHOLE_WEEK = range(MONDAY, SUNDAY + 1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)

BERLIN = ZoneInfo("Europe/Berlin")
SHANGHAI = ZoneInfo("Asia/Shanghai")


def shift(start: str, end: str, days: range = WORKWEEK) -> Shift:
    return Shift(days=days, start=start, end=end)


def calendar(*shifts: Shift, zone: str = "Europe/Berlin", **fields: object) -> WorkingCalendar:
    return WorkingCalendar(Calendar(id="office", time_zone=zone, shifts=shifts, **fields))  # type: ignore[arg-type]


OFFICE = calendar(shift("09:00", "12:00"), shift("13:00", "18:00"))
ALWAYS = calendar(shift("00:00", "24:00", WHOLE_WEEK))
SHANGHAI_OFFICE = calendar(shift("09:00", "18:00"), zone="Asia/Shanghai", holiday_country="CN")
BAVARIAN_OFFICE = calendar(shift("09:00", "17:00"), holiday_country="DE", holiday_subdivision="BY")


def berlin(*when: int) -> datetime:
    return datetime(*when, tzinfo=BERLIN)  # type: ignore[arg-type, misc]


def shanghai(*when: int) -> datetime:
    return datetime(*when, tzinfo=SHANGHAI)  # type: ignore[arg-type, misc]


def day_of(working_calendar: WorkingCalendar, day: date, zone: ZoneInfo) -> timedelta:
    start = datetime.combine(day, datetime.min.time(), zone)
    return working_calendar.between(start, datetime.combine(day + timedelta(days=1), datetime.min.time(), zone))


# The week


def test_a_lunch_break_does_not_count() -> None:
    assert OFFICE.between(berlin(2026, 6, 1, 11), berlin(2026, 6, 1, 14)) == 2 * HOUR


def test_a_weekend_does_not_count() -> None:
    assert OFFICE.between(berlin(2026, 6, 5, 17), berlin(2026, 6, 8, 10)) == 2 * HOUR


def test_time_ends_with_the_shift_rather_than_at_the_start_of_the_next() -> None:
    assert OFFICE.add(berlin(2026, 6, 5, 17), HOUR) == berlin(2026, 6, 5, 18)


def test_the_first_moment_of_the_next_shift_counts() -> None:
    assert OFFICE.add(berlin(2026, 6, 5, 17), HOUR + MINUTE) == berlin(2026, 6, 8, 9, 1)


def test_no_time_to_add_is_no_time_at_all() -> None:
    assert OFFICE.add(berlin(2026, 6, 6, 3), timedelta(0)) == berlin(2026, 6, 6, 3)


def test_answers_are_in_utc() -> None:
    assert OFFICE.add(berlin(2026, 6, 1, 9), HOUR).tzinfo is UTC
    assert OFFICE.add(berlin(2026, 6, 1, 9), timedelta(0)).tzinfo is UTC


def test_time_does_not_run_backwards() -> None:
    assert OFFICE.between(berlin(2026, 6, 2, 12), berlin(2026, 6, 1, 12)) == timedelta(0)


def test_overlapping_shifts_count_once() -> None:
    overlapping = calendar(shift("09:00", "14:00"), shift("12:00", "17:00"))
    assert day_of(overlapping, date(2026, 6, 1), BERLIN) == 8 * HOUR


def test_a_shift_until_midnight_joins_the_one_after_it() -> None:
    night = calendar(shift("22:00", "24:00", WHOLE_WEEK), shift("00:00", "06:00", WHOLE_WEEK))
    assert night.add(berlin(2026, 6, 1, 22), 8 * HOUR) == berlin(2026, 6, 2, 6)


def test_a_night_over_new_year_is_one_night() -> None:
    night = calendar(shift("22:00", "24:00", WHOLE_WEEK), shift("00:00", "06:00", WHOLE_WEEK))
    assert night.between(berlin(2025, 12, 31, 22), berlin(2026, 1, 1, 6)) == 8 * HOUR
    assert night.add(berlin(2025, 12, 31, 23), 2 * HOUR) == berlin(2026, 1, 1, 1)


def test_around_the_clock_is_elapsed_time() -> None:
    start, end = berlin(2026, 1, 1), berlin(2031, 7, 9, 3, 14)
    assert ALWAYS.between(start, end) == end.astimezone(UTC) - start.astimezone(UTC)
    assert ALWAYS.add(start, timedelta(days=2000)) == start.astimezone(UTC) + timedelta(days=2000)


# Holidays and days that differ


def test_a_public_holiday_of_the_subdivision_does_not_count() -> None:
    epiphany = date(2026, 1, 6)
    assert day_of(BAVARIAN_OFFICE, epiphany, BERLIN) == timedelta(0)
    assert day_of(calendar(shift("09:00", "17:00"), holiday_country="DE"), epiphany, BERLIN) == 8 * HOUR


@pytest.mark.parametrize("day", [date(2025, 10, 11), date(2026, 1, 4), date(2026, 2, 14), date(2026, 10, 10)])
def test_a_make_up_day_in_china_is_worked_like_a_monday(day: date) -> None:
    assert day.isoweekday() >= SATURDAY
    assert day_of(SHANGHAI_OFFICE, day, SHANGHAI) == 9 * HOUR


def test_a_make_up_day_follows_mondays_shifts_and_no_other() -> None:
    short_mondays = calendar(
        shift("10:00", "12:00", range(MONDAY, MONDAY + 1)),
        shift("09:00", "18:00", range(MONDAY + 1, SUNDAY + 1)),
        zone="Asia/Shanghai",
        holiday_country="CN",
    )
    assert day_of(short_mondays, date(2026, 2, 14), SHANGHAI) == 2 * HOUR


def test_golden_week_stands_still() -> None:
    assert SHANGHAI_OFFICE.between(shanghai(2026, 10, 1), shanghai(2026, 10, 8)) == timedelta(0)


def test_an_exception_is_stronger_than_a_make_up_day_and_a_holiday() -> None:
    exceptions = [
        DayException(date="2026-02-14"),
        DayException(date="2026-10-01", shifts=[Shift(start="10:00", end="14:00")]),
    ]
    different = calendar(shift("09:00", "18:00"), zone="Asia/Shanghai", holiday_country="CN", exceptions=exceptions)
    assert day_of(different, date(2026, 2, 14), SHANGHAI) == timedelta(0)
    assert day_of(different, date(2026, 10, 1), SHANGHAI) == 4 * HOUR


# When the clocks change


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 7), (date(2026, 10, 25), 9), (date(2026, 6, 7), 8)])
def test_a_night_shift_is_as_long_as_it_really_takes(day: date, hours: int) -> None:
    night = calendar(shift("00:00", "08:00", WHOLE_WEEK))
    assert day_of(night, day, BERLIN) == hours * HOUR


def test_a_shift_that_starts_in_the_skipped_hour_starts_when_the_clocks_jump() -> None:
    early = calendar(shift("02:30", "06:00", WHOLE_WEEK))
    assert early.add(berlin(2026, 3, 28, 12), MINUTE) == datetime(2026, 3, 29, 1, 1, tzinfo=UTC)
    assert day_of(early, date(2026, 3, 29), BERLIN) == 3 * HOUR


def test_a_shift_inside_the_skipped_hour_does_not_take_place() -> None:
    skipped = calendar(shift("02:10", "02:50", WHOLE_WEEK))
    assert day_of(skipped, date(2026, 3, 29), BERLIN) == timedelta(0)


@pytest.mark.parametrize("meeting", ["02:00", "02:30", "03:00"])
@pytest.mark.parametrize("day", [date(2026, 3, 29), date(2026, 10, 25)])
def test_shifts_that_meet_when_the_clocks_change_leave_no_gap_and_share_nothing(meeting: str, day: date) -> None:
    before = day_of(calendar(shift("00:00", meeting, WHOLE_WEEK)), day, BERLIN)
    after = day_of(calendar(shift(meeting, "24:00", WHOLE_WEEK)), day, BERLIN)
    assert before + after == day_of(ALWAYS, day, BERLIN)


def test_the_repeated_hour_is_counted_twice_whatever_the_wall_clock_says() -> None:
    first, second = berlin(2026, 10, 25, 2, 50), berlin(2026, 10, 25, 2, 10).replace(fold=1)
    assert ALWAYS.between(first, second) == 20 * MINUTE


def test_clocks_may_jump_by_half_an_hour() -> None:
    lord_howe = calendar(shift("00:00", "08:00", WHOLE_WEEK), zone="Australia/Lord_Howe")
    zone = ZoneInfo("Australia/Lord_Howe")
    assert day_of(lord_howe, date(2026, 4, 5), zone) == timedelta(hours=8, minutes=30)
    assert day_of(lord_howe, date(2026, 10, 4), zone) == timedelta(hours=7, minutes=30)


def test_clocks_may_jump_at_midnight() -> None:
    santiago = calendar(shift("00:00", "08:00", WHOLE_WEEK), zone="America/Santiago")
    an_hour_before = datetime(2026, 9, 6, 3, tzinfo=UTC)
    assert santiago.add(an_hour_before, MINUTE) == an_hour_before + HOUR + MINUTE
    assert santiago.between(an_hour_before, an_hour_before + timedelta(hours=12)) == 7 * HOUR


def test_a_day_that_a_country_left_out_has_no_time() -> None:
    apia = calendar(shift("09:00", "17:00", WHOLE_WEEK), zone="Pacific/Apia")
    zone = ZoneInfo("Pacific/Apia")
    start, end = datetime(2011, 12, 29, tzinfo=zone), datetime(2012, 1, 1, tzinfo=zone)
    assert apia.between(start, end) == 16 * HOUR


# Bounds


def test_a_calendar_without_working_time_ends_in_an_error() -> None:
    with pytest.raises(HorizonExceeded) as raised:
        calendar().add(berlin(2026, 1, 1), HOUR)
    assert raised.value.metadata == {"calendar": "office", "horizon_years": str(HORIZON_YEARS)}


@pytest.mark.parametrize("instant", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
def test_instants_at_the_ends_of_time_end_in_an_error(instant: datetime) -> None:
    with pytest.raises(HorizonExceeded):
        ALWAYS.add(instant, HOUR)


def test_a_span_beyond_the_horizon_ends_in_an_error() -> None:
    with pytest.raises(HorizonExceeded):
        OFFICE.between(berlin(1990, 1, 1), berlin(2026, 1, 1))


@pytest.mark.parametrize(
    ("compile_it", "path"),
    [
        (lambda: calendar(zone="Europe/Lübeck"), "calendar.time_zone"),
        (lambda: calendar(zone="Europe"), "calendar.time_zone"),
        (lambda: calendar(zone="../../etc/passwd"), "calendar.time_zone"),
        (lambda: calendar(zone="localtime"), "calendar.time_zone"),
        (lambda: calendar(shift("18:00", "09:00")), "calendar.shifts[0]"),
        (lambda: calendar(shift("9 am", "18:00")), "calendar.shifts[0].start"),
        (lambda: calendar(shift("09:00", "24:30")), "calendar.shifts[0].end"),
        (lambda: calendar(holiday_country="XX"), "calendar.holiday_country"),
        (lambda: calendar(holiday_country="DE", holiday_subdivision="XX"), "calendar.holiday_country"),
        (lambda: calendar(exceptions=[DayException(date="2026-02-30")]), "calendar.exceptions[0].date"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(compile_it: Callable[[], object], path: str) -> None:
    with pytest.raises(PolicyInvalid) as raised:
        compile_it()
    assert raised.value.metadata["path"] == path
    assert str(raised.value).startswith(f"{path}: ")


# Whatever the calendar

# Hypothesis times each example; one that is the first to need a year compiles it, and loads a country's holidays.
unhurried = settings(deadline=None)

ZONES = ["Europe/Berlin", "Asia/Shanghai", "America/Santiago", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]
instants = st.datetimes(datetime(2023, 1, 1), datetime(2029, 1, 1), timezones=st.just(UTC))
working_times = st.timedeltas(timedelta(0), timedelta(days=90))


def _text(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


@st.composite
def hours(draw: st.DrawFn, edges: st.SearchStrategy[int]) -> Shift:
    """The hours of a day that differs: they need no days of the week."""
    start, end = sorted(draw(st.lists(edges, min_size=2, max_size=2, unique=True)))
    return Shift(start=_text(start), end=_text(end))


@st.composite
def shifts(draw: st.DrawFn, edges: st.SearchStrategy[int]) -> Shift:
    of_day, days = draw(hours(edges)), draw(st.sets(st.integers(MONDAY, SUNDAY), min_size=1))
    return Shift(days=sorted(days), start=of_day.start, end=of_day.end)


any_minute = st.integers(0, 1440)
FIRST_DAY, DAYS = date(2022, 12, 1), 7 * 366
"""The days that `instants` are on, and those that working time may be reached on from there."""


@st.composite
def exceptions(draw: st.DrawFn) -> list[DayException]:
    """Every so many days the hours differ: half days, days in two parts, days off; whatever day of the week it is."""
    different: dict[date, list[Shift]] = {}
    for _ in range(draw(st.integers(0, 2))):
        first, interval = draw(st.integers(0, 40)), draw(st.integers(5, 90))
        that_day = draw(st.lists(hours(any_minute), max_size=3))
        different |= {FIRST_DAY + timedelta(days=number): that_day for number in range(first, DAYS, interval)}
    return [DayException(date=day.isoformat(), shifts=that_day) for day, that_day in different.items()]


@st.composite
def calendars(draw: st.DrawFn) -> WorkingCalendar:
    return calendar(
        *draw(st.lists(shifts(any_minute), min_size=1, max_size=4)),
        zone=draw(st.sampled_from(ZONES)),
        holiday_country=draw(st.sampled_from(["", "CN", "DE", "CL"])),
        exceptions=draw(exceptions()),
    )


@unhurried
@given(calendars(), instants, working_times)
def test_between_undoes_add(working_calendar: WorkingCalendar, start: datetime, working: timedelta) -> None:
    try:
        end = working_calendar.add(start, working)
    except HorizonExceeded:
        return
    assert working_calendar.between(start, end) == working


@unhurried
@given(calendars(), instants, working_times)
def test_add_gives_the_first_such_instant(
    working_calendar: WorkingCalendar, start: datetime, working: timedelta
) -> None:
    try:
        end = working_calendar.add(start, working)
    except HorizonExceeded:
        return
    if end > start:
        assert working_calendar.between(start, end - MICROSECOND) < working


@unhurried
@given(calendars(), instants, instants)
def test_add_undoes_between_up_to_time_off(working_calendar: WorkingCalendar, one: datetime, other: datetime) -> None:
    start, end = sorted([one, other])
    reached = working_calendar.add(start, working_calendar.between(start, end))
    assert reached <= end
    assert working_calendar.between(reached, end) == timedelta(0)


@unhurried
@given(calendars(), st.tuples(instants, instants, instants))
def test_working_time_adds_up(working_calendar: WorkingCalendar, three: tuple[datetime, datetime, datetime]) -> None:
    first, second, third = sorted(three)
    parts = working_calendar.between(first, second) + working_calendar.between(second, third)
    assert parts == working_calendar.between(first, third)
    assert timedelta(0) <= parts <= third - first


@unhurried
@given(calendars(), instants, st.tuples(working_times, working_times))
def test_more_working_time_ends_later(
    working_calendar: WorkingCalendar, start: datetime, two: tuple[timedelta, timedelta]
) -> None:
    less, more = sorted(two)
    try:
        assert working_calendar.add(start, less) <= working_calendar.add(start, more)
    except HorizonExceeded:
        return


@unhurried
@given(calendars(), st.tuples(instants, instants), working_times)
def test_who_starts_later_ends_no_earlier(
    working_calendar: WorkingCalendar, two: tuple[datetime, datetime], working: timedelta
) -> None:
    earlier, later = sorted(two)
    try:
        assert working_calendar.add(earlier, working) <= working_calendar.add(later, working)
    except HorizonExceeded:
        return


@unhurried
@given(calendars(), instants)
def test_nothing_is_worked_between_an_instant_and_the_one_at_which_work_goes_on(
    working_calendar: WorkingCalendar, at: datetime
) -> None:
    try:
        opens = working_calendar.opens(at)
    except HorizonExceeded:
        return
    assert working_calendar.between(at, opens) == timedelta(0)
    assert working_calendar.between(opens, opens + MICROSECOND) == MICROSECOND


@unhurried
@given(calendars(), instants)
def test_working_time_begins_where_there_is_none_before(working_calendar: WorkingCalendar, after: datetime) -> None:
    begins = working_calendar.begins(after)
    if begins is not None:
        assert begins > after
        assert working_calendar.between(begins - MICROSECOND, begins + MICROSECOND) == MICROSECOND
        assert working_calendar.opens(begins) == begins


# Minute by minute

# Two weeks, the time zone and country they are in, and the days off and make-up days that people there remember.
Window: TypeAlias = tuple[datetime, str, str, set[date], set[date]]
WINDOWS: list[Window] = [
    (
        datetime(2026, 2, 9, tzinfo=UTC),
        "Asia/Shanghai",
        "CN",
        # The weekend inside is not listed: see `hanse.policy.public_holidays`.
        {date(2026, 2, d) for d in (16, 17, 18, 19, 20, 23)},
        {date(2026, 2, 14)},
    ),
    # Its last two hours are those of Easter Monday there.
    (datetime(2026, 3, 23, tzinfo=UTC), "Europe/Berlin", "DE", {date(2026, 4, 3), date(2026, 4, 6)}, set()),
    (datetime(2026, 10, 19, tzinfo=UTC), "Europe/Berlin", "DE", set(), set()),
    (datetime(2026, 3, 30, tzinfo=UTC), "Australia/Lord_Howe", "", set(), set()),
]
WINDOW_MINUTES = 14 * 1440
# A wall clock can't tell the two passes of a repeated hour apart, so no shift begins or ends inside one.
wall_edges = st.integers(0, 72).map(lambda twenty: twenty * 20).filter(lambda minute: not 60 < minute < 180)


Different: TypeAlias = dict[date, list[Shift]]


@st.composite
def windows(draw: st.DrawFn) -> tuple[Window, Different]:
    """A window, and its days that have hours of their own: half days, days in two parts, days off. Some of them are
    public holidays or make-up days, or days on which the clocks change."""
    window = draw(st.sampled_from(WINDOWS))
    days = st.integers(0, 14).map(lambda number: window[0].date() + timedelta(days=number))
    return window, draw(st.dictionaries(days, st.lists(hours(wall_edges), max_size=2), max_size=6))


def is_worked(minute: datetime, weekly: list[Shift], window: Window, different: Different) -> bool:
    _, zone, _, days_off, make_up_days = window
    local = minute.astimezone(ZoneInfo(zone))
    day = local.date()
    wall = f"{local:%H:%M}"
    if day in different:
        return any(one.start <= wall < one.end for one in different[day])
    weekday = MONDAY if day in make_up_days else day.isoweekday()
    return day not in days_off and any(weekday in one.days and one.start <= wall < one.end for one in weekly)


@settings(max_examples=60, deadline=None)
@given(
    windows(),
    st.lists(shifts(wall_edges), min_size=1, max_size=3),
    st.tuples(st.integers(0, WINDOW_MINUTES), st.integers(0, WINDOW_MINUTES)),
)
def test_agrees_with_counting_minutes(
    window_and_days: tuple[Window, Different], weekly: list[Shift], ends: tuple[int, int]
) -> None:
    window, different = window_and_days
    opening, zone, country, _, _ = window
    start, end = (opening + minute * MINUTE for minute in sorted(ends))
    exceptions = [DayException(date=day.isoformat(), shifts=that_day) for day, that_day in different.items()]
    working_calendar = calendar(*weekly, zone=zone, holiday_country=country, exceptions=exceptions)
    minutes = [start + i * MINUTE for i in range(int((end - start) / MINUTE))]
    worked = [minute for minute in minutes if is_worked(minute, weekly, window, different)]
    assert working_calendar.between(start, end) == len(worked) * MINUTE
    if worked:
        assert working_calendar.add(start, len(worked) * MINUTE) == worked[-1] + MINUTE
        assert working_calendar.opens(start) == worked[0]
    counts = {*worked}
    if begins := next((later for before, later in pairwise(minutes) if later in counts and before not in counts), None):
        assert working_calendar.begins(start) == begins


def test_an_hour_each_wednesday_and_friday_is_counted_over_years() -> None:
    sparse = calendar(Shift(days=[WEDNESDAY, FRIDAY], start="10:00", end="11:00"))
    assert sparse.between(berlin(2024, 1, 1), berlin(2027, 1, 1)) == 313 * HOUR
