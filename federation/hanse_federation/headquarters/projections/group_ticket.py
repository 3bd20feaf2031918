"""Tickets of the group: each as its last event left it. One unit writes a ticket, in order, so the last one wins."""

from collections.abc import Sequence
from typing import Protocol, cast

from google.protobuf.duration_pb2 import Duration
from sqlalchemy import text
from sqlalchemy.orm import Session

from hanse.names import home_of
from hanse_federation.link.receiving import Arrival, instant_of
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1.ticket_pb2 import TicketSummary

PAYLOADS = frozenset(
    {
        told.TicketOpened,
        told.TicketCommented,
        told.TicketAssigned,
        told.TicketEscalated,
        told.TicketPaused,
        told.TicketResumed,
        told.TicketResolved,
        told.TicketReopened,
        told.TicketClosed,
        told.TicketErased,
        told.TicketHandedOver,
        told.SlaWarned,
        told.SlaBreached,
    }
)

UPSERT = text("""
    INSERT INTO federation.group_ticket (name, home, open_time, update_time, waiting_microseconds, summary)
    SELECT * FROM unnest(
        CAST(:names AS text[]), CAST(:homes AS text[]), CAST(:open_times AS timestamptz[]),
        CAST(:update_times AS timestamptz[]), CAST(:waits AS bigint[]), CAST(:summaries AS bytea[])
    )
    ON CONFLICT (name) DO UPDATE SET
        update_time = excluded.update_time,
        waiting_microseconds = excluded.waiting_microseconds,
        summary = excluded.summary
""")


class OnTicket(Protocol):
    """A payload of an event on a ticket."""

    ticket: TicketSummary


def project(session: Session, facts: Sequence[Arrival]) -> None:
    """Store the last summary of each ticket."""
    last: dict[str, tuple[Arrival, TicketSummary]] = {}
    for fact in facts:
        ticket = cast("OnTicket", fact.payload).ticket
        last[ticket.name] = fact, ticket
    tickets = [ticket for _, ticket in last.values()]
    session.execute(
        UPSERT,
        {
            "names": list(last),
            "homes": [home_of(name) for name in last],
            "open_times": [instant_of(ticket.open_time) for ticket in tickets],
            "update_times": [fact.occur_time for fact, _ in last.values()],
            "waits": [_microseconds(ticket.waiting_duration) for ticket in tickets],
            "summaries": [ticket.SerializeToString() for ticket in tickets],
        },
    )


def _microseconds(length: Duration) -> int:
    return length.seconds * 1_000_000 + length.nanos // 1_000


def forget(session: Session, facts: Sequence[Arrival]) -> None:
    """Forget the tickets that facts are about; those that have other facts are projected again."""
    names = [cast(OnTicket, fact.payload).ticket.name for fact in facts]
    session.execute(text("DELETE FROM federation.group_ticket WHERE name = ANY(:names)"), {"names": names})
