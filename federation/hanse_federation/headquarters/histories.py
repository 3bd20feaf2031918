"""Tickets' histories, read from the logs that headquarters has: what happened, free of any policy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from google.protobuf.message import Message

from hanse.log.follow import StoredRecord
from hanse.names import home_of
from hanse.policy.facts import class_name
from hanse.policy.what_if import History, Stretch
from hanse.times import instant
from hanse_protos.log.v1.log_pb2 import Event
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as pb

EVENTS: dict[str, type[Message]] = {
    event.DESCRIPTOR.full_name: event
    for event in (
        told.TicketOpened,
        told.TicketCommented,
        told.TicketAssigned,
        told.TicketEscalated,
        told.TicketPaused,
        told.TicketResumed,
        told.TicketHandedOver,
        told.TicketResolved,
        told.TicketReopened,
        told.TicketClosed,
    )
}
"""The events that say how a ticket stands, by their full names."""

ENDED = frozenset({pb.RESOLVED, pb.CLOSED})
PARTNERS = "partners/"


@dataclass(slots=True)
class TicketHistory:
    """A history as it grows, event by event."""

    opened: pb.TicketSummary
    policy_version: int
    """The version that governed the ticket when it was opened; 0 where none did."""
    stretches: list[Stretch] = field(default_factory=list)
    response_time: datetime | None = None
    resolve_time: datetime | None = None

    @property
    def open_time(self) -> datetime:
        """When it was opened."""
        return self.stretches[0].start

    def take(self, ticket: pb.TicketSummary, at: datetime) -> None:
        """Note how the ticket stands from an instant on. One that lies before what is known counts as that."""
        current = self.stretches[-1] if self.stretches else None
        if current:
            at = max(at, current.end or current.start)
        ended, running = ticket.state in ENDED, ticket.state != pb.WAITING
        if current and current.end is None:
            if not ended and (current.holder, current.running) == (ticket.holder, running):
                return
            self.stretches[-1] = Stretch(current.holder, current.running, current.start, at)
        if ended:
            self.resolve_time = self.resolve_time or at
        else:
            self.resolve_time = None
            self.stretches.append(Stretch(ticket.holder, running, at, None))

    def finished(self) -> History:
        """Return what happened, for a policy to be laid over."""
        ticket = self.opened
        return History(
            ticket=ticket.name,
            home=home_of(ticket.name),
            priority=pb.Priority.Name(ticket.priority),
            category=ticket.category,
            language=ticket.language,
            product=ticket.product,
            service=ticket.service,
            customer_class=class_name(ticket.customer_class),
            tier=ticket.tier,
            stretches=tuple(self.stretches),
            response_time=self.response_time,
            resolve_time=self.resolve_time,
        )


class Histories:
    """The histories of one unit's tickets, read from its stream in order."""

    def __init__(self) -> None:
        self.by_ticket: dict[str, TicketHistory] = {}

    def take_all(self, records: Iterable[StoredRecord]) -> None:
        """Take the next records of the stream."""
        for record in records:
            self._take(record)

    def _take(self, record: StoredRecord) -> None:
        """Take a record of the stream; one that says nothing of how a ticket stands is passed over."""
        kind = EVENTS.get(record.type)
        if kind is None:
            return
        event = record.decoded()
        fact = kind.FromString(event.payload)
        ticket: pb.TicketSummary = fact.ticket  # type: ignore[attr-defined]  # Each of EVENTS has it.
        if isinstance(fact, told.TicketOpened):
            self.by_ticket[ticket.name] = TicketHistory(ticket, event.policy_version)
        history = self.by_ticket.get(ticket.name)
        if history is None:
            return
        at = instant(event.occur_time)
        if _answers(fact, event) and history.response_time is None:
            history.response_time = at
        history.take(ticket, at)


def _answers(fact: Message, event: Event) -> bool:
    """Whether a fact is an answer to the customer: a public comment that is not the customer's own."""
    return isinstance(fact, told.TicketCommented) and fact.public and not event.actor.startswith(PARTNERS)
