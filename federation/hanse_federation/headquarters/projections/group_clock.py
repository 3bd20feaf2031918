"""Clocks of the group: each promise on a ticket as the ticket's last event left it. The group's queue and attainment.

Every event of a ticket says where all of its clocks stand, so the last one wins. A clock that a repair has taken away
is in no later event; so a repair is taken to begin anew.
"""

from collections.abc import Sequence
from typing import Any, cast

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import text
from sqlalchemy.orm import Session

from hanse.names import home_of
from hanse_federation.headquarters.projections.group_ticket import PAYLOADS, OnTicket, microseconds
from hanse_federation.link.receiving import Arrival, instant_of
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1.ticket_pb2 import Clock, ClockSummary, Priority, TicketSummary

__all__ = ["PAYLOADS", "REPAIRS", "begin_anew", "forget", "project"]

REPAIRS = frozenset({told.TicketClocksRepaired})

COLUMNS = {
    "ticket": "text", "kind": "text", "number": "integer", "state": "text", "towards": "text", "home": "text",
    "holder": "text", "tier": "smallint", "priority": "text", "category": "text", "service": "text", "target": "text",
    "policy_version": "bigint", "due_time": "timestamptz", "breach_time": "timestamptz", "stop_time": "timestamptz",
    "target_microseconds": "bigint", "used_microseconds": "bigint", "summary": "bytea",
}  # fmt: skip
"""The columns of `federation.group_clock`, with their types."""
KEY = ("ticket", "kind", "number")
# What follows from the summary needs no look of its own.
COMPARED = ("holder", "tier", "priority", "category", "service", "summary")


def _upsert() -> str:
    arrays = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in COLUMNS.items())
    changes = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS if name not in KEY)
    stored, new = (", ".join(f"{row}.{name}" for name in COMPARED) for row in ("stored", "excluded"))
    return (
        f"INSERT INTO federation.group_clock AS stored ({', '.join(COLUMNS)}) SELECT * FROM unnest({arrays}) "  # noqa: S608
        f"ON CONFLICT ({', '.join(KEY)}) DO UPDATE SET {changes} WHERE ({stored}) IS DISTINCT FROM ({new})"
    )


UPSERT = text(_upsert())


def project(session: Session, facts: Sequence[Arrival]) -> None:
    """Store where the clocks of each ticket stand after its last event."""
    last: dict[str, TicketSummary] = {}
    for fact in facts:
        ticket = cast("OnTicket", fact.payload).ticket
        last[ticket.name] = ticket
    rows = [_row(ticket, clock) for ticket in last.values() for clock in ticket.clocks]
    if rows:
        session.execute(UPSERT, {name: [row[name] for row in rows] for name in COLUMNS})


def _row(ticket: TicketSummary, clock: ClockSummary) -> dict[str, Any]:
    return {
        "ticket": ticket.name,
        "kind": Clock.Kind.Name(clock.kind),
        "number": clock.number,
        "state": Clock.State.Name(clock.state),
        "towards": Clock.Towards.Name(clock.towards),
        "home": home_of(ticket.name),
        "holder": ticket.holder,
        "tier": clock.tier or ticket.tier,
        "priority": Priority.Name(ticket.priority),
        "category": ticket.category,
        "service": ticket.service,
        "target": clock.target,
        "policy_version": clock.policy_version,
        "due_time": _time(clock, "due_time"),
        "breach_time": _time(clock, "breach_time"),
        "stop_time": _time(clock, "stop_time"),
        "target_microseconds": microseconds(clock.target_duration),
        "used_microseconds": _length(clock, "used_duration"),
        "summary": clock.SerializeToString(),
    }


def _time(clock: ClockSummary, name: Any) -> Any:
    value: Timestamp = getattr(clock, name)
    return instant_of(value) if clock.HasField(name) else None


def _length(clock: ClockSummary, name: Any) -> int | None:
    value: Duration = getattr(clock, name)
    return microseconds(value) if clock.HasField(name) else None


def begin_anew(session: Session, facts: Sequence[Arrival]) -> None:
    """Forget the clocks of tickets that were repaired: what they have now is in the same events."""
    forget(session, facts)


def forget(session: Session, facts: Sequence[Arrival]) -> None:
    """Forget the clocks of the tickets that facts are about; those that have other facts are projected again."""
    names = list({cast("OnTicket", fact.payload).ticket.name for fact in facts})
    session.execute(text("DELETE FROM federation.group_clock WHERE ticket = ANY(:names)"), {"names": names})
