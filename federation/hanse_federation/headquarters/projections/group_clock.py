"""Clocks of the group: each promise on a ticket as the ticket's last event left it. The group's queue and attainment.

Every event of a ticket says where its last clocks stand, so the last one wins. How earlier ones ended was said by
earlier events, which are not opened where they come together with a later one. So each event has a fingerprint of the
clocks that it does not tell of: where the view's do not match it, they are read from the copy of the log, which is
stored by then. A clock that a repair has taken away is in no later event; so a repair tells of all, and is taken to
begin anew.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any, cast

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import text
from sqlalchemy.orm import Session

from hanse.enums import Names
from hanse.further_clocks import further_clocks
from hanse.log.events import readable_payload_of
from hanse.names import home_of, stream_name
from hanse.session import Statement
from hanse_federation.headquarters.projections.group_ticket import PAYLOADS, OnTicket, last_on_each, microseconds
from hanse_federation.link.receiving import Arrival, instant_of
from hanse_protos.log.v1.log_pb2 import Event
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


KINDS, STATES, TOWARDS = Names(Clock.Kind), Names(Clock.State), Names(Clock.Towards)
PRIORITIES = Names(Priority)
"""How a catch-up writes them, tens of thousands a second."""

UPSERT = Statement(_upsert())
SUMMARIES = text("SELECT ticket, summary FROM federation.group_clock WHERE ticket = ANY(:tickets)")
EVENTS = text("""
    SELECT event FROM federation.log_record
    WHERE resource = :ticket AND stream = :stream AND type = ANY(:types) ORDER BY epoch, sequence
""")
BY_NAME: dict[str, type[Message]] = {
    cast("type[Message]", payload).DESCRIPTOR.full_name: payload for payload in PAYLOADS
}
"""The payloads that tell of clocks, by their full names."""


def project(session: Session, tickets: Sequence[TicketSummary]) -> None:
    """Store where the clocks of each ticket stand after its last event."""
    _store(session, ((ticket, clock) for ticket in tickets for clock in ticket.clocks))
    long_lived = [ticket for ticket in tickets if ticket.further_clocks.count]
    if long_lived:
        _see_to_further_clocks(session, long_lived)


def _store(session: Session, clocks: Iterable[tuple[TicketSummary, ClockSummary]]) -> None:
    rows = [_row(ticket, clock) for ticket, clock in clocks]
    if rows:
        UPSERT.rows(session, **{name: [row[name] for row in rows] for name in COLUMNS})


def _see_to_further_clocks(session: Session, tickets: Sequence[TicketSummary]) -> None:
    """See to the clocks that the last event does not tell of any more: an event that did may have been passed over."""
    known: dict[str, dict[tuple[int, int], ClockSummary]] = defaultdict(dict)
    for name, content in session.execute(SUMMARIES, {"tickets": [ticket.name for ticket in tickets]}):
        clock = ClockSummary.FromString(content)
        known[name][clock.kind, clock.number] = clock
    for ticket in tickets:
        told_now = {(clock.kind, clock.number) for clock in ticket.clocks}
        further = [clock for key, clock in known[ticket.name].items() if key not in told_now]
        if further_clocks(further) != ticket.further_clocks:
            further = _told_before(session, ticket, told_now)
        _store(session, ((ticket, clock) for clock in further))


def _told_before(session: Session, ticket: TicketSummary, told_now: Collection[tuple[int, int]]) -> list[ClockSummary]:
    """Return where the log has it that further clocks of a ticket ended."""
    found: dict[tuple[int, int], ClockSummary] = {}
    stream = stream_name(home_of(ticket.name), "ticket")
    for content in session.scalars(EVENTS, {"ticket": ticket.name, "stream": stream, "types": [*BY_NAME]}):
        payload = readable_payload_of(Event.FromString(content))
        if payload is None:
            continue
        if type(payload) in REPAIRS:
            found.clear()
        for clock in cast("OnTicket", payload).ticket.clocks:
            found[clock.kind, clock.number] = clock
    return [clock for key, clock in found.items() if key not in told_now]


def _row(ticket: TicketSummary, clock: ClockSummary) -> dict[str, Any]:
    return {
        "ticket": ticket.name,
        "kind": KINDS[clock.kind],
        "number": clock.number,
        "state": STATES[clock.state],
        "towards": TOWARDS[clock.towards],
        "home": home_of(ticket.name),
        "holder": ticket.holder,
        "tier": clock.tier or ticket.tier,
        "priority": PRIORITIES[ticket.priority],
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
    """Forget the clocks of tickets that were repaired, and store what they have now: a repair tells of all."""
    forget(session, facts)
    _store(session, ((ticket, clock) for _, ticket in last_on_each(facts).values() for clock in ticket.clocks))


def forget(session: Session, facts: Sequence[Arrival]) -> None:
    """Forget the clocks of the tickets that facts are about; those that have other facts are projected again."""
    names = list({cast("OnTicket", fact.payload).ticket.name for fact in facts})
    session.execute(text("DELETE FROM federation.group_clock WHERE ticket = ANY(:names)"), {"names": names})
