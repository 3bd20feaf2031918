"""The rows of many tickets and of their clocks, by one statement for each table: read, and changed.

Each clock has a row of its own, so what a row costs beside its deadline decides how long a change of the policy takes.
SQLAlchemy's way from a row to its values takes as long as the deadline does: so the statements are PostgreSQL's words
(`hanse.session`), their rows plain objects, and of a clock's steps only those are read that a repair keeps.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import attrgetter
from typing import Any

from sqlalchemy.orm import Session

from hanse.columns import ProtoEnum
from hanse.log.append import Entry
from hanse.policy.standards import Standards
from hanse.session import Statement, plain
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as nouns
from hanse_services.ticket.clocks.recomputing import Recomputed
from hanse_services.ticket.model import SCHEMA, Base, Clock, ClockSegment, Ticket

TEXTS = ("title", "description", "solution")
"""What no event says of a ticket: it need not be read."""

KEPT_STEPS = """
    CAST(nullif(jsonb_path_query_array(steps, '$[*] ? (@.done_time != null || @.fixed == true)'), '[]') AS text)
"""
"""The steps of a clock that a repair carries over: what was done, and what is due at an instant of its own."""


# Reading.


class _Rows:
    """The query for rows of a mapped class, as their values by column."""

    def __init__(self, kind: type[Base], condition: str, *, but: Iterable[str] = (), **instead: str) -> None:
        """`but` names columns that are not read; `instead` has other expressions for some."""
        columns = [column for column in kind.__table__.columns if column.name not in but]
        self._names = tuple(column.name for column in columns)
        self._enums = {
            column.name: dict(column.type.enum.items()) for column in columns if isinstance(column.type, ProtoEnum)
        }
        words = ", ".join(instead.get(name, name) for name in self._names)
        self._statement = Statement(f"SELECT {words} FROM {SCHEMA.name}.{kind.__tablename__} WHERE {condition}")  # noqa: S608

    def read(self, session: Session, **values: Any) -> list[dict[str, Any]]:
        rows = [dict(zip(self._names, row, strict=True)) for row in self._statement.rows(session, **values)]
        for name, numbers in self._enums.items():
            for row in rows:
                row[name] = numbers[row[name]]
        return rows


_ELSEWHERE = """
    name = ANY(CAST(:names AS text[])) AND (policy_version <> :version OR policy_override <> :override) ORDER BY name
"""
_TICKETS = _Rows(Ticket, _ELSEWHERE, but=TEXTS)
_LOCKED_TICKETS = _Rows(Ticket, f"{_ELSEWHERE} FOR UPDATE", but=TEXTS)
_CLOCKS = _Rows(Clock, "ticket = ANY(CAST(:tickets AS text[])) ORDER BY ticket, kind, number", steps=KEPT_STEPS)
_SEGMENTS = _Rows(ClockSegment, "ticket = ANY(CAST(:tickets AS text[])) ORDER BY ticket, number")


def read_tickets(session: Session, names: Sequence[str], standards: Standards, *, lock: bool) -> list[Ticket]:
    """Return those of some tickets that are not under a policy yet, by name, as plain rows with theirs."""
    query = _LOCKED_TICKETS if lock else _TICKETS
    # Locked first: what is read of them then is how they stand until the end.
    rows = query.read(session, names=names, version=standards.version, override=standards.override)
    found = [row["name"] for row in rows]
    clocks, segments = defaultdict(list), defaultdict(list)
    for row in _CLOCKS.read(session, tickets=found):
        row["steps"] = json.loads(row["steps"]) if row["steps"] else []
        clocks[row["ticket"]].append(plain(Clock, row))
    for row in _SEGMENTS.read(session, tickets=found):
        segments[row["ticket"]].append(plain(ClockSegment, row))
    return [plain(Ticket, {**row, "clocks": clocks[row["name"]], "segments": segments[row["name"]]}) for row in rows]


_TYPE = told.TicketReclassified.DESCRIPTOR.full_name
_RECLASSIFIED = Statement(f"""
    SELECT DISTINCT resource FROM {SCHEMA.name}.log_record
    WHERE resource = ANY(CAST(:tickets AS text[])) AND type = '{_TYPE}'
""")  # noqa: S608


def reclassified(session: Session, tickets: Iterable[Ticket], not_yet_in_the_log: Iterable[Entry]) -> set[str]:
    """Return those of some tickets that were reclassified: their rows do not say any more what was promised when."""
    names = [ticket.name for ticket in tickets]
    just_now = {entry.resource for entry in not_yet_in_the_log if entry.type == _TYPE}
    return just_now.intersection(names).union(name for [name] in _RECLASSIFIED.rows(session, tickets=names))


# Writing.

TICKET_COLUMNS = {
    "policy_version": "bigint", "policy_override": "bigint", "target": "text", "breached": "boolean",
    "version": "integer", "update_time": "timestamptz",
}  # fmt: skip
CLOCK_COLUMNS = {
    "target": "text", "target_duration": "interval", "elapsed": "boolean", "policy_version": "bigint",
    "due_time": "timestamptz", "breach_time": "timestamptz", "used_duration": "interval", "steps": "jsonb",
}  # fmt: skip
"""What changes of each row, with its type."""


def _update(table: str, key: Mapping[str, str], columns: Mapping[str, str]) -> Statement:
    """Return the statement that changes many rows at once."""
    arrays = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in {**key, **columns}.items())
    changes = ", ".join(f"{name} = new.{name}" for name in columns)
    same = " AND ".join(f"old.{name} = new.{name}" for name in key)
    return Statement(
        f"UPDATE {SCHEMA.name}.{table} AS old SET {changes} "  # noqa: S608
        f"FROM unnest({arrays}) AS new ({', '.join((*key, *columns))}) WHERE {same}"
    )


UPDATE_TICKETS = _update("ticket", {"name": "text"}, TICKET_COLUMNS)
UPDATE_CLOCKS = _update("clock", {"ticket": "text", "kind": "text", "number": "integer"}, CLOCK_COLUMNS)


@contextmanager
def storing(session: Session, recomputed: Sequence[Recomputed]) -> Iterator[None]:
    """Store what a policy has made of tickets and clocks while a block computes, which asks the database nothing."""
    if not recomputed:
        yield
        return
    tickets = _by_column([each.ticket for each in recomputed], ("name", *TICKET_COLUMNS))
    with UPDATE_TICKETS.beside(session, **tickets):
        clocks = _clock_values(recomputed)
    with UPDATE_CLOCKS.beside(session, **clocks):
        yield


def _clock_values(recomputed: Sequence[Recomputed]) -> dict[str, list[Any]]:
    clocks = [clock for each in recomputed for clock in each.clocks]
    values = _by_column(clocks, ("ticket", "number", *CLOCK_COLUMNS))
    values["kind"] = [nouns.Clock.Kind.Name(clock.kind) for clock in clocks]
    values["steps"] = [steps for each in recomputed for steps in each.steps]
    return values


def _by_column(rows: Sequence[Base], names: Iterable[str]) -> dict[str, list[Any]]:
    return {name: list(map(attrgetter(name), rows)) for name in names}
