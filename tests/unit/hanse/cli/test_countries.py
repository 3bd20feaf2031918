"""Countries give the calendars and time zones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from hanse.cli.countries import TIME_ZONES, calendar_of
from hanse.cli.replay import country_policy
from hanse.policy import WorkingCalendar, lint


@pytest.mark.parametrize(
    ("country", "start", "hours"),
    [
        pytest.param("SE", datetime(2026, 6, 5, 22, tzinfo=UTC), 0, id="Sweden's national day is a Saturday"),
        pytest.param("PL", datetime(2026, 11, 10, 23, tzinfo=UTC), 0, id="Poland's independence day"),
        pytest.param("SE", datetime(2026, 11, 10, 23, tzinfo=UTC), 9, id="no holiday in Sweden"),
        pytest.param("CN", datetime(2026, 10, 9, 16, tzinfo=UTC), 9, id="a Saturday that China works"),
        pytest.param("", datetime(2026, 11, 11, 0, tzinfo=UTC), 9, id="no country, no holiday"),
        pytest.param("XX", datetime(2026, 11, 11, 0, tzinfo=UTC), 9, id="a country that nobody knows"),
    ],
)
def test_a_day_of_a_country(country: str, start: datetime, hours: int) -> None:
    calendar = WorkingCalendar(calendar_of(country, "office"))
    assert calendar.between(start, start + timedelta(days=1)) == timedelta(hours=hours)


def test_every_country_has_a_calendar_that_holds_together() -> None:
    assert lint(country_policy({country: country.lower() for country in TIME_ZONES} | {"XX": "rest"})) == []
