"""A legacy incident log: a CSV of status changes, as `docs/reference/incident-log.md` describes it.

Reading is separate from importing, so that a broken row is named by its line and the others are used.
"""

from __future__ import annotations

import csv
import gzip
import itertools
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from hanse.errors import InvalidArgument
from hanse_protos.ticket.v1 import ticket_pb2 as pb

COLUMNS = ("incident", "occur_time", "status", "sub_status", "org_line", "support_level", "impact", "product", "agent")
COUNTRY = "team_country"
"""The column of the country, where a file has it."""
NO_COUNTRY = "no country"
REST = "rest"
"""The unit that the smaller org lines are folded into."""
HEADQUARTERS_ID = "hq"
MAX_UNIT_ID_CHARACTERS = 30
MAX_UNITS = 1_000
MAX_ROW_CHARACTERS = 10_000
MAX_CHANGES = 5_000
"""The rows of one incident: what the desk takes as one ticket's history."""
MAX_PRODUCT_CHARACTERS = 130
"""The imported ticket's title, 200 characters at most, is the incident's number, 63 at most, and the product."""

_STATES = {
    ("Queued", "Awaiting Assignment"): pb.NEW,
    ("Accepted", "In Progress"): pb.IN_PROGRESS,
    ("Accepted", "Assigned"): pb.IN_PROGRESS,
    ("Unmatched", "Unmatched"): pb.IN_PROGRESS,
    ("Completed", "Resolved"): pb.RESOLVED,
    ("Completed", "In Call"): pb.RESOLVED,
    ("Completed", "Closed"): pb.CLOSED,
    ("Completed", "Cancelled"): pb.CLOSED,
}
_WAITS = {
    "Wait": "other",
    "Wait - User": "user",
    "Wait - Vendor": "vendor",
    "Wait - Customer": "customer",
    "Wait - Implementation": "implementation",
}
_PRIORITIES = {"Major": pb.P1, "High": pb.P2, "Medium": pb.P3, "Low": pb.P4}
# A team of both levels: what it holds has not climbed further than to the lower one.
_TIERS = {"L1": 1, "L2": 2, "L2/L3": 2, "L3": 3}
_COUNTRY = re.compile(r"[A-Za-z]{2}")
_INCIDENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")


class IncidentLogInvalid(InvalidArgument):
    """The file as a whole is not an incident log."""

    reason = "INCIDENT_LOG_INVALID"
    message = "This is not an incident log."
    hint = "docs/reference/incident-log.md describes the format."


@dataclass(frozen=True, slots=True)
class Change:
    """One row: how an incident stood from an instant on."""

    incident: str
    occur_time: datetime
    state: pb.TicketState.ValueType
    waiting_for: str
    org_line: str
    tier: int
    priority: pb.Priority.ValueType
    product: str
    agent: str
    country: str = ""
    """Where it was held, an ISO 3166-1 code such as "SE"; empty where the file does not say."""


@dataclass(frozen=True, slots=True)
class BrokenRow:
    """A row that can't be used."""

    line: int
    problem: str


@dataclass
class IncidentLog:
    """What a file says."""

    incidents: dict[str, list[Change]] = field(default_factory=dict)
    """The changes of each incident by its ticket's id, in order of time; incidents in the order of their first row."""
    broken: list[BrokenRow] = field(default_factory=list)

    @property
    def changes(self) -> int:
        """How many rows can be used."""
        return sum(len(changes) for changes in self.incidents.values())


def read(path: Path) -> IncidentLog:
    """Read a log, plain or gzipped. Raises IncidentLogInvalid where it is no such file at all."""
    log = IncidentLog()
    open_text = gzip.open if path.suffix == ".gz" else open
    try:
        # A byte that is no UTF-8 becomes a surrogate, by which its row is found and named.
        with open_text(path, "rt", encoding="utf-8", errors="surrogateescape") as file:
            header = next(csv.reader([file.readline()]), [])
            if missing := [column for column in COLUMNS if column not in header]:
                raise IncidentLogInvalid(f"{path} lacks the columns {', '.join(missing)}")
            for line, text in enumerate(file, start=2):
                if text.strip():
                    _take(log, line, header, text)
    except (gzip.BadGzipFile, zlib.error, EOFError, csv.Error) as error:
        raise IncidentLogInvalid(f"{path} can't be read: {error}") from error
    for changes in log.incidents.values():
        changes.sort(key=lambda change: change.occur_time)
    return log


def _take(log: IncidentLog, line: int, header: Sequence[str], text: str) -> None:
    try:
        change = _parse(_cells(header, text))
    except ValueError as error:
        log.broken.append(BrokenRow(line, str(error)))
        return
    # Ids are in lower case, so case does not tell two incidents apart.
    changes = log.incidents.setdefault(change.incident.lower(), [])
    if len(changes) < MAX_CHANGES:
        changes.append(change)
    else:
        log.broken.append(BrokenRow(line, f"incident {change.incident} has over {MAX_CHANGES:,} rows"))


def _cells(header: Sequence[str], text: str) -> dict[str, str]:
    """Return a line's cells by column. Raises ValueError. A row is one line: a stray quote can't swallow the next."""
    if len(text) > MAX_ROW_CHARACTERS:
        raise ValueError(f"has over {MAX_ROW_CHARACTERS} characters")
    if "\0" in text:
        raise ValueError("holds a NUL character")
    try:
        text.encode()
        [cells] = csv.reader([text], strict=True)
    except UnicodeEncodeError:
        raise ValueError("is not text in UTF-8") from None
    except csv.Error as error:
        raise ValueError(f"is no CSV: {error}") from error
    if len(cells) != len(header):
        raise ValueError("has too few or too many columns")
    return dict(zip(header, cells, strict=True))


def _parse(row: dict[str, str]) -> Change:
    """Return a row as a change. Raises ValueError that says what is wrong with it."""
    occur_time = _instant(row["occur_time"])
    status, sub_status = row["status"], row["sub_status"]
    state = pb.WAITING if sub_status in _WAITS else _STATES.get((status, sub_status))
    if state is None:
        raise ValueError(f"status {status!r} with sub_status {sub_status!r} is not known")
    if not _INCIDENT.fullmatch(row["incident"]):
        raise ValueError(f"incident {row['incident']!r} is not a number of letters, digits and hyphens")
    if not row["org_line"]:
        raise ValueError("org_line is empty")
    if len(row["product"]) > MAX_PRODUCT_CHARACTERS:
        raise ValueError(f"product has over {MAX_PRODUCT_CHARACTERS} characters")
    return Change(
        incident=row["incident"],
        occur_time=occur_time,
        state=state,
        waiting_for=_WAITS.get(sub_status, ""),
        org_line=row["org_line"],
        tier=_known(_TIERS, "support_level", row),
        priority=_known(_PRIORITIES, "impact", row),
        product=row["product"],
        agent=re.sub(r"[^a-z0-9-]", "-", row["agent"].lower())[:60].strip("-"),
        country=_country(row.get(COUNTRY, "")),
    )


def _country(text: str) -> str:
    """Return a country's code; what is none says nothing, as the 0 of some logs does."""
    return text.upper() if _COUNTRY.fullmatch(text) else ""


def by_country(log: IncidentLog) -> IncidentLog:
    """Return a log in which the countries stand for the org lines."""
    incidents = {
        incident: [replace(change, org_line=change.country or NO_COUNTRY) for change in changes]
        for incident, changes in log.incidents.items()
    }
    return IncidentLog(incidents, log.broken)


def _instant(text: str) -> datetime:
    try:
        occur_time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"occur_time {text!r} is not an ISO 8601 time") from None
    if occur_time.tzinfo is None:
        raise ValueError(f"occur_time {text!r} has no time zone")
    return occur_time


Value = TypeVar("Value")


def _known(values: Mapping[str, Value], column: str, row: dict[str, str]) -> Value:
    if row[column] not in values:
        raise ValueError(f"{column} {row[column]!r} is none of {', '.join(values)}")
    return values[row[column]]


def unit_id(org_line: str, taken: Collection[str]) -> str:
    """Return an org line as the id of a unit that is not taken: "Org line A2" becomes "org-line-a2"."""
    identifier = re.sub(r"[^a-z0-9]+", "-", org_line.lower()).strip("-")[:MAX_UNIT_ID_CHARACTERS].strip("-")
    identifier = identifier if identifier[:1].isalpha() else f"line-{identifier}".strip("-")
    candidates = (identifier, *(f"{identifier}-{number}" for number in range(2, MAX_UNITS)))
    return next(candidate for candidate in candidates if candidate not in taken)


def fold(log: IncidentLog, keep: int) -> dict[str, str]:
    """Return the unit's id of every org line: the `keep` with the most rows have their own, the others share `rest`."""
    rows = Counter(change.org_line for changes in log.incidents.values() for change in changes)
    biggest = sorted(rows, key=lambda line: (-rows[line], line))[:keep]
    ids: dict[str, str] = {}
    for line in biggest:
        ids[line] = unit_id(line, {REST, HEADQUARTERS_ID, *ids.values()})
    return {line: ids.get(line, REST) for line in rows}


@dataclass
class Count:
    """What a plain count of a log says; headquarters' report must say the same."""

    tickets: Counter[str] = field(default_factory=Counter)
    handed_over: Counter[str] = field(default_factory=Counter)
    waiting: dict[str, timedelta] = field(default_factory=lambda: defaultdict(timedelta))
    hand_overs: Counter[tuple[str, str]] = field(default_factory=Counter)
    ping_pong_tickets: int = 0
    ping_pong_returns: int = 0


def count(log: IncidentLog, units: dict[str, str]) -> Count:
    """Count a log by unit, without any of Hanse's machinery."""
    result = Count()
    for changes in log.incidents.values():
        held = [units[change.org_line] for change in changes]
        home = held[0]
        result.tickets[home] += 1
        result.waiting[home] += sum(_waits(changes), timedelta(0))
        moves = list(_moves(held))
        result.hand_overs.update(moves)
        result.handed_over[home] += bool(moves)
        returns = _returns(held[0], moves)
        result.ping_pong_returns += returns
        result.ping_pong_tickets += bool(returns)
    return result


def _waits(changes: Sequence[Change]) -> Iterator[timedelta]:
    """Yield how long each wait took; one that has not ended has no length yet."""
    since = None
    for change in changes:
        if change.state == pb.WAITING:
            since = since or change.occur_time
        elif since:
            yield change.occur_time - since
            since = None


def _moves(held: Iterable[str]) -> Iterator[tuple[str, str]]:
    held = list(held)
    return ((before, after) for before, after in itertools.pairwise(held) if before != after)


def _returns(home: str, moves: Iterable[tuple[str, str]]) -> int:
    """Return how often a ticket came back to a unit that it had left."""
    seen, returns = {home}, 0
    for _, after in moves:
        returns += after in seen
        seen.add(after)
    return returns
