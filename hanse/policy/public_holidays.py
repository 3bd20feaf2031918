"""Which days a country takes off, and which weekend days it works instead.

The rules come from the `holidays` library. Mainland China and some others move working days to weekends around a long
holiday; the library lists these "make-up" days apart from the holidays. Decrees for the coming year are known to it
only after a release: until then a calendar names such days in its `exceptions`.

The library lists the weekday holidays of mainland China only. A calendar that works weekends there has to name the
weekend days inside a long holiday as exceptions, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import holidays

# 500 calendars share few countries; 40 countries over 25 years fit, at a few kilobytes each.
CACHED_COUNTRY_YEARS = 1_000


@dataclass(frozen=True, slots=True)
class PublicHolidays:
    """One country's year: no day is in both sets."""

    days_off: frozenset[date]
    make_up_days: frozenset[date]


NO_HOLIDAYS = PublicHolidays(frozenset(), frozenset())


@lru_cache(maxsize=CACHED_COUNTRY_YEARS)
def public_holidays(country: str, subdivision: str, year: int) -> PublicHolidays:
    """Give the public holidays of one year.

    `country` is an ISO 3166-1 alpha-2 code or empty for none, `subdivision` an ISO 3166-2 code without the country or
    empty for the whole country. Raises `NotImplementedError` for a place that the library does not know.
    """
    if not country:
        return NO_HOLIDAYS
    listed = holidays.country_holidays(country, subdiv=subdivision or None, years=year)
    # The library lists the make-up days of some other years as well, whatever year it is asked for.
    make_up_days = frozenset(day for day in listed.weekend_workdays if day.year == year)
    return PublicHolidays(frozenset(listed) - make_up_days, make_up_days)


def unknown_place(country: str, subdivision: str) -> str | None:
    """Say what is wrong with a country and subdivision, or None where their holidays are known."""
    known = holidays.list_supported_countries(include_aliases=False)
    if country not in known:
        return f"no public holidays are known for the country {country!r}: give an ISO 3166-1 code, or leave it empty"
    if subdivision and subdivision not in known[country]:
        listed = ", ".join(known[country]) or "none"
        return (
            f"{country} has no subdivision {subdivision!r} of its own holidays: give one of {listed}, or leave it empty"
        )
    return None
