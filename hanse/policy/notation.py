"""How people write durations, money and days of the week in a policy, and how protobuf's JSON form writes them.

Each notation is a pair: `…_to_json` reads what a person wrote and raises `ValueError` with a sentence that says what to
write instead; `…_to_text` writes it back in the form that a person would have chosen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from google.protobuf.duration_pb2 import Duration
from google.type.dayofweek_pb2 import DayOfWeek
from google.type.money_pb2 import Money

NANOS_PER_UNIT = 1_000_000_000

# A day is always 24 hours here. Targets count working time, and nobody agrees on how long a working day is.
SECONDS_PER_SUFFIX = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}

# Nine digits of a suffix are enough for 10,000 years of hours and keep the sum inside protobuf's range.
_DURATION = re.compile(
    r"(?P<sign>-?)(?:(?P<d>[0-9]{1,9})d)?(?:(?P<h>[0-9]{1,9})h)?(?:(?P<m>[0-9]{1,9})m)?"
    r"(?:(?P<s>[0-9]{1,12})(?:\.(?P<fraction>[0-9]{1,9}))?s)?"
)
_MONEY = re.compile(r"(?P<sign>-?)(?P<units>[0-9]{1,18})(?:\.(?P<fraction>[0-9]{1,9}))? (?P<currency>[A-Z]{3})")

DAYS: tuple[str, ...] = tuple(DayOfWeek.keys()[1:])
DAY_BY_SHORT_NAME = {day[:3]: day for day in DAYS}


def duration_to_json(text: str) -> str:
    """Read "4h", "30m", "90s", "2d", "1h30m" or "0.5s" as protobuf's "14400s"; a day is 24 hours."""
    match = _DURATION.fullmatch(text)
    if not match or not any(character.isdigit() for character in text):
        raise ValueError(f"{text!r} is not a duration: write it as 90s, 30m, 4h, 2d or 1h30m")
    seconds = sum(int(match[suffix] or 0) * length for suffix, length in SECONDS_PER_SUFFIX.items())
    fraction = f".{match['fraction']}" if match["fraction"] else ""
    return f"{match['sign']}{seconds}{fraction}s"


def duration_to_text(duration: Duration) -> str:
    """Write a duration in hours, minutes and seconds, "1h30m"; days would leave open which kind of day is meant."""
    total_nanos = duration.seconds * NANOS_PER_UNIT + duration.nanos
    sign = "-" if total_nanos < 0 else ""
    whole_seconds, nanos = divmod(abs(total_nanos), NANOS_PER_UNIT)
    minutes, seconds = divmod(whole_seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{nanos:09d}".rstrip("0") if nanos else ""
    parts = [f"{hours}h" if hours else "", f"{minutes}m" if minutes else ""]
    if seconds or nanos or not (hours or minutes):
        parts.append(f"{seconds}{fraction}s")
    return sign + "".join(parts)


def money_to_json(text: str) -> dict[str, object]:
    """Read "120.00 EUR" as the JSON form of google.type.Money."""
    match = _MONEY.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not an amount of money: write it as 120.00 EUR")
    nanos = int((match["fraction"] or "").ljust(9, "0"))
    return {
        "currencyCode": match["currency"],
        "units": f"{match['sign']}{match['units']}",
        "nanos": -nanos if match["sign"] else nanos,
    }


def money_to_text(money: Money) -> str:
    """Write money with at least two decimals, "120.00 EUR"."""
    total_nanos = money.units * NANOS_PER_UNIT + money.nanos
    units, nanos = divmod(abs(total_nanos), NANOS_PER_UNIT)
    decimals = f"{nanos:09d}".rstrip("0").ljust(2, "0")
    return f"{'-' if total_nanos < 0 else ''}{units}.{decimals} {money.currency_code}"


def days_to_json(texts: Iterable[str]) -> list[str]:
    """Read "MON", "MONDAY" and ranges such as "MON-FRI"; a range may run over the weekend, "SAT-MON"."""
    return [day for text in texts for day in _range_to_days(text)]


def _range_to_days(text: str) -> list[str]:
    first, separator, last = text.upper().partition("-")
    if not separator:
        return [_day(first, text)]
    start = DAYS.index(_day(first, text))
    length = (DAYS.index(_day(last, text)) - start) % len(DAYS) + 1
    return [DAYS[(start + offset) % len(DAYS)] for offset in range(length)]


def _day(name: str, text: str) -> str:
    day = DAY_BY_SHORT_NAME.get(name.strip()[:3])
    if day is None or name.strip() not in {day, day[:3]}:
        raise ValueError(f"{text!r} is not a day of the week: write MON to SUN, or a range such as MON-FRI")
    return day


def days_to_text(days: Sequence[str]) -> list[str]:
    """Write days as short names, and three or more in a row as a range, in the order given: ["MON-FRI", "SUN"]."""
    runs: list[list[str]] = []
    for day in days:
        follows = bool(runs) and DAYS.index(runs[-1][-1]) + 1 == DAYS.index(day)
        if follows:
            runs[-1].append(day)
        else:
            runs.append([day])
    return [text for run in runs for text in _run_to_text(run)]


def _run_to_text(run: list[str]) -> list[str]:
    if len(run) < 3:
        return [day[:3] for day in run]
    return [f"{run[0][:3]}-{run[-1][:3]}"]
