"""A clock is the sum of its segments, and runs out exactly when that sum reaches the target."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from google.type.dayofweek_pb2 import MONDAY, SATURDAY, SUNDAY
from hypothesis import given, settings
from hypothesis import strategies as st

from hanse.policy.calendar import WorkingCalendar
from hanse.policy.clock import Segment, due, segment_used, used
from hanse.policy.errors import CalendarUnknown
from hanse_protos.policy.v1.policy_pb2 import Calendar, Shift

HOUR = timedelta(hours=1)
NOTHING = timedelta(0)
ALWAYS = Shift(days=range(MONDAY, SUNDAY + 1), start="00:00", end="24:00")
OFFICE = Shift(days=range(MONDAY, SATURDAY), start="09:00", end="18:00")
CALENDARS = {
    "hq": WorkingCalendar(Calendar(id="hq", time_zone="Europe/Berlin", shifts=[ALWAYS])),
    "munich": WorkingCalendar(Calendar(id="munich", time_zone="Europe/Berlin", shifts=[OFFICE], holiday_country="DE")),
    "shanghai": WorkingCalendar(
        Calendar(id="shanghai", time_zone="Asia/Shanghai", shifts=[OFFICE], holiday_country="CN")
    ),
}


def at(hour: int, day: int = 1) -> datetime:
    """Give an instant in June 2026, whose first day is a Monday; 9 to 18 in Shanghai are 1 to 10 in UTC."""
    return datetime(2026, 6, day, hour, tzinfo=UTC)


def segment(calendar: str, start: datetime, end: datetime | None = None, *, running: bool = True) -> Segment:
    return Segment(unit=f"units/{calendar}", calendar=calendar, running=running, start=start, end=end)


# From Shanghai's evening over a pause to Munich's afternoon: 2 h, nothing, and on.
HANDED_OVER = [
    segment("shanghai", at(8), at(11)),
    segment("shanghai", at(11), at(12), running=False),
    segment("munich", at(12)),
]


def test_each_segment_counts_on_its_own_calendar() -> None:
    assert [segment_used(part, CALENDARS, at(14)) for part in HANDED_OVER] == [2 * HOUR, NOTHING, 2 * HOUR]
    assert used(HANDED_OVER, CALENDARS, at(14)) == 4 * HOUR


def test_nothing_after_now_counts() -> None:
    assert used(HANDED_OVER, CALENDARS, at(9)) == HOUR


def test_a_clock_that_has_not_begun_has_used_nothing() -> None:
    assert used([segment("hq", at(8))], CALENDARS, at(7)) == NOTHING


def test_due_lies_in_the_open_segment() -> None:
    assert due(HANDED_OVER, CALENDARS, 4 * HOUR) == at(14)


def test_due_may_lie_over_a_night() -> None:
    assert due(HANDED_OVER, CALENDARS, 7 * HOUR) == at(8, day=2)


def test_due_may_lie_in_the_past_inside_an_earlier_segment() -> None:
    assert due(HANDED_OVER, CALENDARS, HOUR) == at(9)


def test_due_is_the_end_of_the_shift_in_which_the_time_was_used_up() -> None:
    assert due(HANDED_OVER, CALENDARS, 2 * HOUR) == at(10)


def test_a_standing_clock_is_not_due() -> None:
    assert due(HANDED_OVER[:2], CALENDARS, 3 * HOUR) is None


def test_a_stopped_clock_is_not_due() -> None:
    assert due(HANDED_OVER[:1], CALENDARS, 3 * HOUR) is None


def test_what_was_used_up_before_the_clock_stood_stays_due() -> None:
    assert due(HANDED_OVER[:2], CALENDARS, HOUR) == at(9)


def test_no_segments_are_no_clock() -> None:
    assert used([], CALENDARS, at(8)) == NOTHING
    assert due([], CALENDARS, HOUR) is None


def test_no_time_is_used_up_at_once() -> None:
    assert due(HANDED_OVER, CALENDARS, NOTHING) == at(8)


def test_a_calendar_that_the_policy_dropped_is_named() -> None:
    with pytest.raises(CalendarUnknown) as raised:
        used([segment("oslo", at(8))], CALENDARS, at(9))
    assert raised.value.metadata == {"calendar": "oslo", "unit": "units/oslo"}


# Whatever the history

# Hypothesis times each example; one that is the first to need a year compiles it, and loads a country's holidays.
unhurried = settings(deadline=None)

instants = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC))
amounts = st.timedeltas(timedelta(microseconds=1), timedelta(days=30))


@st.composite
def histories(draw: st.DrawFn) -> list[Segment]:
    edges = sorted(draw(st.lists(instants, min_size=2, max_size=6, unique=True)))
    parts = [
        segment(draw(st.sampled_from(sorted(CALENDARS))), start, end, running=draw(st.booleans()))
        for start, end in pairwise(edges)
    ]
    running = draw(st.booleans())
    return [*parts, segment(draw(st.sampled_from(sorted(CALENDARS))), edges[-1], running=running)]


@unhurried
@given(histories(), instants)
def test_a_clock_is_the_sum_of_its_segments(history: list[Segment], now: datetime) -> None:
    assert used(history, CALENDARS, now) == sum((segment_used(part, CALENDARS, now) for part in history), NOTHING)


@unhurried
@given(histories(), instants, instants, amounts)
def test_splitting_a_segment_changes_nothing(
    history: list[Segment], cut: datetime, now: datetime, amount: timedelta
) -> None:
    split: list[Segment] = []
    for part in history:
        if part.start < cut and (part.end is None or cut < part.end):
            split += [
                Segment(part.unit, part.calendar, part.running, part.start, cut),
                Segment(part.unit, part.calendar, part.running, cut, part.end),
            ]
        else:
            split.append(part)
    assert used(split, CALENDARS, now) == used(history, CALENDARS, now)
    assert due(split, CALENDARS, amount) == due(history, CALENDARS, amount)


@unhurried
@given(histories(), amounts)
def test_due_is_the_first_instant_at_which_the_amount_is_used(history: list[Segment], amount: timedelta) -> None:
    instant = due(history, CALENDARS, amount)
    if instant is None:
        assert used(history, CALENDARS, datetime(2040, 1, 1, tzinfo=UTC)) < amount
        return
    assert used(history, CALENDARS, instant) == amount
    assert used(history, CALENDARS, instant - timedelta(microseconds=1)) < amount


@unhurried
@given(histories(), instants, instants)
def test_a_clock_never_runs_backwards(history: list[Segment], one: datetime, other: datetime) -> None:
    earlier, later = sorted([one, other])
    assert used(history, CALENDARS, earlier) <= used(history, CALENDARS, later)
