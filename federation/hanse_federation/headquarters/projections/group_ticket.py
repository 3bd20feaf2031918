"""Tickets of the group: each as its last event left it. One unit writes a ticket, in order, so the last one wins."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, cast

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import text
from sqlalchemy.orm import Session

from hanse.session import Statement
from hanse_federation.link.copying import FIRST_SECOND, LAST_SECOND
from hanse_federation.link.receiving import Arrival
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1.ticket_pb2 import TicketSummary

PAYLOADS = frozenset(
    {
        told.TicketOpened,
        told.TicketCommented,
        told.TicketAssigned,
        told.TicketEscalated,
        told.TicketReclassified,
        told.TicketPaused,
        told.TicketSuspended,
        told.TicketResumed,
        told.TicketResolved,
        told.TicketReopened,
        told.TicketClosed,
        told.TicketErased,
        told.TicketHandedOver,
        told.SlaWarned,
        told.SlaBreached,
        told.SlaStepSkipped,
        told.TicketEscalationRaised,
        told.TicketEscalationAcknowledged,
        told.SlaBreachWithdrawn,
        told.ClockRuleApplied,
        told.TicketCorrected,
        told.TicketClocksRepaired,
    }
)

UPSERT = Statement("""
    INSERT INTO federation.group_ticket (name, home, open_time, update_time, waiting_microseconds, summary)
    SELECT name, split_part(name, '/', 1) || '/' || split_part(name, '/', 2),
           'epoch'::timestamptz + opened * interval '1 microsecond',
           'epoch'::timestamptz + updated * interval '1 microsecond', waited, summary
    FROM unnest(
        CAST(:names AS text[]), CAST(:opened AS bigint[]), CAST(:updated AS bigint[]), CAST(:waited AS bigint[]),
        CAST(:summaries AS bytea[])
    ) AS ticket (name, opened, updated, waited, summary)
    ON CONFLICT (name) DO UPDATE SET
        update_time = excluded.update_time,
        waiting_microseconds = excluded.waiting_microseconds,
        summary = excluded.summary
""")
"""Every time is in microseconds, and the home is taken from the name, since that is hundreds of tickets a transaction:
PostgreSQL does both for a fraction of what Python needs to make a datetime and to hand it over."""


class OnTicket(Protocol):
    """A payload of an event on a ticket."""

    ticket: TicketSummary


def project(session: Session, last: Mapping[str, tuple[Arrival, TicketSummary]]) -> None:
    """Store the last summary of each ticket. Raises ValueError where one was opened at no time that there is."""
    for _, ticket in last.values():
        # PostgreSQL's calendar goes on where Python's ends: what it took, no reader could read.
        if not FIRST_SECOND <= ticket.open_time.seconds <= LAST_SECOND:
            raise ValueError(f"{ticket.name} was opened in none of the years 1 to 9999")
    UPSERT.rows(
        session,
        names=list(last),
        opened=[microseconds(ticket.open_time) for _, ticket in last.values()],
        updated=[microseconds(fact.event.occur_time) for fact, _ in last.values()],
        waited=[microseconds(ticket.waiting_duration) for _, ticket in last.values()],
        summaries=[ticket.SerializeToString() for _, ticket in last.values()],
    )


def last_on_each(facts: Iterable[Arrival]) -> dict[str, tuple[Arrival, TicketSummary]]:
    """Return the last of facts on each ticket, with what it says of the ticket, by the ticket's name."""
    last: dict[str, tuple[Arrival, TicketSummary]] = {}
    for fact in facts:
        # A catch-up asks this of a fifth of all events: a typed look would cost as much as the look.
        ticket: TicketSummary = fact.payload.ticket  # type: ignore[attr-defined]
        last[ticket.name] = fact, ticket
    return last


def microseconds(time: Timestamp | Duration) -> int:
    """Return an instant, or a length of time, in whole microseconds."""
    return time.seconds * 1_000_000 + time.nanos // 1_000


def forget(session: Session, facts: Sequence[Arrival]) -> None:
    """Forget the tickets that facts are about; those that have other facts are projected again."""
    names = [cast(OnTicket, fact.payload).ticket.name for fact in facts]
    session.execute(text("DELETE FROM federation.group_ticket WHERE name = ANY(:names)"), {"names": names})
