"""Erased tickets at the two ends of a link: copies lose their texts, and texts that are still on their way stay out.

A ticket's home tells `TicketErased` in its own stream. At headquarters that takes the texts about the ticket out of
every stream that is kept here, in the transaction that stores the fact: the copies of the units' streams, and the
streams to the units, delivered or not. The fact is passed on to every unit that was ever asked to work on the ticket.
A unit that was offline hears of it in its turn: what stands before it in its stream comes without texts by then, and
what was read for sending just before comes before it, and is erased by it.

What such a unit still has to send up about the ticket loses its texts in the transaction that stores it, and is passed
on without them: the ticket's name stays as an `erasure`. Erasing waits for batches that bring texts, and they for it,
so that none slips in between (`hanse.erasing`).
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from hanse.authority import may_tell
from hanse.erasing import erase_ticket, erased_among, is_about, keep_out_erasing
from hanse.log.events import Fact
from hanse.names import ticket_in
from hanse.work import Work
from hanse_federation.link.receiving import Arrival, OpenedBatch
from hanse_federation.model import SCHEMA, Orphan
from hanse_protos.ticket.v1.events_pb2 import TicketErased


def tickets_erased_before(session: Session, batches: Iterable[OpenedBatch]) -> set[str]:
    """Return the erased tickets that batches bring texts about; none more is erased until the transaction ends."""
    tickets = {ticket_in(resource) for batch in batches for resource in batch.texts_about} - {""}
    if not tickets:
        return set()
    keep_out_erasing(session, SCHEMA)
    return erased_among(session, SCHEMA, tickets)


def without_texts_about(tickets: set[str], facts: Sequence[Arrival]) -> Sequence[Arrival]:
    """Return facts without what they say about some tickets."""
    if not tickets:
        return facts
    return [fact._replace(sealed=()) if ticket_in(fact.event.resource) in tickets else fact for fact in facts]


def tickets_erased_by(facts: Iterable[Arrival]) -> set[str]:
    """Return the tickets whose homes told that they were erased."""
    return {
        fact.payload.ticket.name
        for fact in facts
        if isinstance(fact.payload, TicketErased) and may_tell(fact.event, fact.payload)
    }


def erase(session: Session, tickets: Iterable[str]) -> None:
    """Erase tickets' texts from every stream that is kept here: call it when all is stored and passed on."""
    for ticket in sorted(tickets):
        erase_ticket(session, SCHEMA, ticket)
        # Records that a stream has lost are kept apart, and would be played back with their texts.
        session.execute(update(Orphan).where(is_about(Orphan.resource, ticket)).values(sealed=None))


def ticket_erased(work: Work, fact: Fact) -> None:
    """Erase the texts of a ticket from this unit's copy of headquarters' stream."""
    payload: Any = fact.payload
    erase(work.session, [payload.ticket.name])
