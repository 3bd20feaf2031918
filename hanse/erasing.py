"""Erasing: the texts about a ticket are taken out of everything that a service's schema keeps, for good.

Texts are in few places: beside the events of a log (its own, or a copy), beside the events in the inbox, in the records
of dead letters, in the answers that are kept for repeated requests, and in the service's own tables. This erases the
first four; a service erases the last by itself, in the same transaction. Hash chains stay whole: they are over the
events, which hold a salted digest of each text, and with the salt gone nobody can tell any more what it was of.

A text that is still on its way must not come back. So the ticket's name stays as an `erasure`, and whoever stores a
text asks first: a text about an erased ticket is dropped, and its event is stored without it. Asking and erasing
exclude each other by a lock of the schema, or a text could slip in between the two.

Erasing twice changes nothing. What fails rolls back with its transaction, and is done when the fact comes again.
"""

from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from google.protobuf.message import DecodeError
from sqlalchemy import ARRAY, LargeBinary, Text, any_, bindparam, func, literal, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from hanse.names import ticket_in
from hanse.schema import ServiceSchema
from hanse_protos.log.v1.log_pb2 import Event, LogRecord
from hanse_protos.ticket.v1.events_pb2 import TicketErased

ERASED = "[erased]"
"""What stands where a text stood that people look at."""

ERASING = TicketErased.DESCRIPTOR.full_name
"""The type of the fact that carries it on. It depends on no other fact, so it is never held behind one."""

_LOCK_CLASS = 0x4572
"""The first half of the advisory locks of erasing; the second is the schema's. It only has to differ from others'."""


def keep_out_erasing(session: Session, schema: ServiceSchema) -> None:
    """Let nobody erase in this schema until the transaction ends: call it before asking what is erased."""
    _lock(session, schema, "pg_advisory_xact_lock_shared")


def _lock(session: Session, schema: ServiceSchema, function: str) -> None:
    session.execute(
        text(f"SELECT {function}(:class, hashtext(:schema))"), {"class": _LOCK_CLASS, "schema": schema.name}
    )


def erased_among(session: Session, schema: ServiceSchema, tickets: Iterable[str]) -> set[str]:
    """Return which of some tickets were erased."""
    asked = bindparam("asked", list(tickets), ARRAY(Text))
    return set(session.scalars(select(schema.erasure.c.ticket).where(schema.erasure.c.ticket == any_(asked))))


def is_erased(session: Session, schema: ServiceSchema, resource: str) -> bool:
    """Return whether a text about a resource may not be kept; hold erasing off until the transaction ends."""
    ticket = ticket_in(resource)
    if not ticket:
        return False
    keep_out_erasing(session, schema)
    return bool(erased_among(session, schema, [ticket]))


def erase_ticket(session: Session, schema: ServiceSchema, ticket: str) -> None:
    """Erase the texts about a ticket from the kernel's tables of a schema, whichever streams it keeps."""
    _lock(session, schema, "pg_advisory_xact_lock")
    session.execute(upsert(schema.erasure).values(ticket=ticket).on_conflict_do_nothing())
    for table in (schema.log.record, schema.inbox):
        session.execute(
            update(table).where(is_about(table.c.resource, ticket), table.c.sealed.is_not(None)).values(sealed=None)
        )
    _erase_dead_letters(session, schema, ticket)


def is_about(resource: Any, ticket: str) -> Any:
    """Return the condition that a resource is the ticket or inside it; the index by resource serves both halves."""
    return (resource == ticket) | resource.startswith(f"{ticket}/", autoescape=True)


def _erase_dead_letters(session: Session, schema: ServiceSchema, ticket: str) -> None:
    """Erase the texts in dead letters, of which there are few, and in what people said of them."""
    letter, record = schema.dead_letter, schema.log.record
    for event_id, reaction, content in session.execute(
        select(letter.c.event_id, letter.c.reaction, letter.c.record).where(_names(letter.c.record, ticket))
    ).all():
        place = (letter.c.event_id == event_id, letter.c.reaction == reaction)
        erased = _letter_without_texts(content, ticket)
        if erased != content:
            session.execute(update(letter).where(*place).values(record=erased, reason=""))
        decided_on = record.c.resource.contains(f"/deadLetters/{event_id}.", autoescape=True)
        session.execute(update(record).where(decided_on, record.c.sealed.is_not(None)).values(sealed=None))


def _names(content: Any, ticket: str) -> Any:
    """Return the condition that bytes hold a ticket's name."""
    return func.pg_catalog.position(content, literal(ticket.encode(), LargeBinary)) > 0


def _letter_without_texts(content: bytes, ticket: str) -> bytes:
    """Return a dead letter's record without texts about a ticket. Garbage can't be applied, and nothing of it stays."""
    try:
        record = LogRecord.FromString(content)
        about = ticket_in(Event.FromString(record.event).resource)
    except DecodeError:
        return b""
    return without_texts(record).SerializeToString() if about == ticket else content


def storable(session: Session, schema: ServiceSchema, content: bytes) -> bytes:
    """Return what may be kept of a told record that becomes a dead letter: without texts, where they were erased."""
    try:
        record = LogRecord.FromString(content)
        resource = Event.FromString(record.event).resource
    except DecodeError:
        return content
    if not record.sealed or not is_erased(session, schema, resource):
        return content
    return without_texts(record).SerializeToString()


def without_texts(record: LogRecord) -> LogRecord:
    """Return a record as it is stored and applied once its texts are erased."""
    bare = LogRecord()
    bare.CopyFrom(record)
    bare.ClearField("sealed")
    return bare


def erase_answers(
    session: Session, schema: ServiceSchema, resources: Iterable[str], blank: Callable[[bytes], bytes | None]
) -> None:
    """Erase the texts in the answers that are kept for repeated requests.

    Every change tells a fact that names its request, so the log knows which requests were about a resource. `blank`
    returns an answer without its texts, or None for one that stays as it is.
    """
    ids = {request_id for resource in resources for request_id in _requests_about(session, schema, resource)}
    asked = bindparam("asked", list(ids), ARRAY(schema.request.c.request_id.type))
    columns = schema.request.c
    query = select(columns.request_id, columns.response).where(columns.request_id == any_(asked))
    for request_id, response in session.execute(query).all():
        erased = blank(response)
        if erased is not None:
            session.execute(update(schema.request).where(columns.request_id == request_id).values(response=erased))


def _requests_about(session: Session, schema: ServiceSchema, resource: str) -> set[UUID]:
    record = schema.log.record.c
    events = session.scalars(select(record.event).where(is_about(record.resource, resource)))
    return {UUID(event.request_id) for content in events if (event := Event.FromString(content)).request_id}
