"""What a partner is told: the steps of its tickets and complaints that the customer may see, in the order of the log.

The log is read through a window; nothing is kept for a partner. Of a complaint it hears that it was filed, taken up,
answered and closed: not who handles it, at which level, nor what was noted.
"""

from typing import Any, NamedTuple

from sqlalchemy import Select, select, tuple_
from sqlalchemy.orm import Session

from hanse.log.follow import read_head
from hanse.rpc.paging import decode_token, encode_token, page_size
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.complaints.model import Complaint
from hanse_services.ticket.model import SCHEMA, Ticket
from hanse_services.ticket.timeline import INSIDE_COMMENT, WAITS_FOR_CUSTOMER, entry_of

VISIBLE: dict[type[Ticket | Complaint], tuple[str, ...]] = {
    Ticket: (
        "TicketOpened",
        "TicketCommented",
        "TicketPaused",
        "TicketResumed",
        "TicketResolved",
        "TicketReopened",
        "TicketClosed",
    ),
    Complaint: ("ComplaintOpened", "ComplaintAcknowledged", "ComplaintAnswered", "ComplaintClosed"),
}
"""Of what the customer may see which steps."""

FOR_CUSTOMER = {"ComplaintOpened": "complaint was filed", "ComplaintAcknowledged": "complaint was taken up"}
"""What is said to the customer instead of what the desk reads."""


class Window(NamedTuple):
    """What is looked through for a partner: after one place in a stream, and not after another."""

    stream: str
    partner: str
    after: tuple[int, int]
    until: tuple[int, int]
    size: int


def list_partner_events(
    session: Session, stream: str, request: rpc.ListPartnerEventsRequest
) -> rpc.ListPartnerEventsResponse:
    """Return the next events on a partner's tickets and complaints that the customer may see."""
    [epoch, sequence] = decode_token(request.page_token, [int, int]) or [1, 0]
    # Read before the events are: where none follow, all until here has been looked through, and never is again.
    head = read_head(session, SCHEMA.log, stream)
    size = page_size(request.page_size)
    window = Window(stream, request.partner, (int(epoch), int(sequence)), (head.epoch, head.sequence), size)
    found = [row for kind in VISIBLE for row in session.execute(_steps_of(kind, window))]
    rows = sorted(found, key=lambda row: (row.epoch, row.sequence))[:size]
    entries = [entry for row in rows if (entry := _entry_for_customer(row))]
    last = (rows[-1].epoch, rows[-1].sequence) if len(rows) == size else (head.epoch, head.sequence)
    return rpc.ListPartnerEventsResponse(entries=entries, next_page_token=encode_token(*last))


def _steps_of(kind: type[Ticket | Complaint], window: Window) -> Select[Any]:
    """Return the query for the first records in a window that are about a partner's tickets, or its complaints."""
    columns = SCHEMA.log.record.c
    types = [f"hanse_protos.ticket.v1.{name}" for name in VISIBLE[kind]]
    return (
        select(columns.epoch, columns.sequence, columns.event, columns.sealed)
        .join(kind, kind.name == columns.resource)
        .where(columns.stream == window.stream, columns.type.in_(types), kind.partner == window.partner)
        .where(tuple_(columns.epoch, columns.sequence) > tuple_(*window.after))
        .where(tuple_(columns.epoch, columns.sequence) <= tuple_(*window.until))
        .order_by(columns.epoch, columns.sequence)
        .limit(window.size)
    )


def _entry_for_customer(row: Any) -> pb.TimelineEntry | None:
    """Return a stored event as the customer may see it, or None: what is said inside stays inside."""
    entry = entry_of(row.event, row.sealed)
    if entry.type == "TicketCommented" and entry.summary == INSIDE_COMMENT:
        return None
    asks_others = entry.type == "TicketPaused" and entry.summary != WAITS_FOR_CUSTOMER
    if asks_others or entry.type == "ComplaintClosed":
        entry.text = ""
    entry.summary = FOR_CUSTOMER.get(entry.type, entry.summary)
    entry.page_token = encode_token(row.epoch, row.sequence)
    return entry
