"""The working time of a country, for incident logs that name no other: office hours, its holidays, its time zone.

A country with several time zones has the one that most of its people live in.
"""

from __future__ import annotations

from google.type.dayofweek_pb2 import FRIDAY, MONDAY, THURSDAY, TUESDAY, WEDNESDAY

from hanse.policy.public_holidays import unknown_place
from hanse_protos.policy.v1.policy_pb2 import Calendar

OPENS, CLOSES = "08:00", "17:00"
OFFICE_DAYS = (MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY)
UNIVERSAL = "Etc/UTC"

TIME_ZONES = {
    "AT": "Europe/Vienna",
    "AU": "Australia/Sydney",
    "BE": "Europe/Brussels",
    "BR": "America/Sao_Paulo",
    "CA": "America/Toronto",
    "CH": "Europe/Zurich",
    "CL": "America/Santiago",
    "CN": "Asia/Shanghai",
    "CZ": "Europe/Prague",
    "DE": "Europe/Berlin",
    "DK": "Europe/Copenhagen",
    "ES": "Europe/Madrid",
    "FI": "Europe/Helsinki",
    "FR": "Europe/Paris",
    "GB": "Europe/London",
    "HU": "Europe/Budapest",
    "ID": "Asia/Jakarta",
    "IN": "Asia/Kolkata",
    "IT": "Europe/Rome",
    "JP": "Asia/Tokyo",
    "KR": "Asia/Seoul",
    "MX": "America/Mexico_City",
    "MY": "Asia/Kuala_Lumpur",
    "NL": "Europe/Amsterdam",
    "NO": "Europe/Oslo",
    "PE": "America/Lima",
    "PL": "Europe/Warsaw",
    "PT": "Europe/Lisbon",
    "RO": "Europe/Bucharest",
    "RU": "Europe/Moscow",
    "SE": "Europe/Stockholm",
    "SG": "Asia/Singapore",
    "TH": "Asia/Bangkok",
    "TR": "Europe/Istanbul",
    "TW": "Asia/Taipei",
    "US": "America/New_York",
    "ZA": "Africa/Johannesburg",
}
"""By ISO 3166-1 alpha-2 code. A country that is not here works by universal time."""


def calendar_of(country: str, calendar_id: str) -> Calendar:
    """Return the office hours of a country; of none or an unknown one, those of universal time without holidays."""
    known = bool(country) and unknown_place(country, "") is None
    calendar = Calendar(
        id=calendar_id,
        time_zone=TIME_ZONES.get(country, UNIVERSAL),
        holiday_country=country if known else "",
    )
    calendar.shifts.add(days=OFFICE_DAYS, start=OPENS, end=CLOSES)
    return calendar
