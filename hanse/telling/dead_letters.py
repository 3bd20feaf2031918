"""Dead letters: the facts that a service of a unit could not apply, and what a person does about them.

    told ──> five tries fail ──> WAITING ──retry──> APPLIED
    told, behind a waiting one ──> HELD ──┘  └─discard──> DISCARDED

**Order is kept per ticket.** While a letter waits, what comes later about the same ticket is *held* behind it and not
tried: an effect takes a step only from a state that allows it, so a delivery that overtook its acceptance would change
nothing, for good. Held are only facts that have an effect here. When the waiting one is applied or discarded, those
held behind it are applied in the same transaction, in order, up to the first that fails; that one waits then.

A retry runs the effect as the reaction would have, once: the inbox is in the same transaction. Facts about other
tickets, and the unit's own commands, went on meanwhile, so an effect may find its fact overtaken, and changes nothing.

A letter's row stays for good, so a fact that is told once more is known as one that a person decides on, or has decided
on: nothing but a retry ever applies it. Who retried or discarded what is told too (`DeadLetterRetried`,
`DeadLetterDiscarded`), so that it stands in the log, where nobody edits it unseen; why is sealed beside it.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from types import MappingProxyType
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

from google.protobuf.message import DecodeError, Message
from sqlalchemy import Row, Table, and_, func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from hanse.database import is_passing
from hanse.discreet import discreet
from hanse.erasing import without_texts
from hanse.errors import IllegalTransition, ResourceNotFound
from hanse.log.append import Entry
from hanse.log.events import Fact
from hanse.schema import ServiceSchema
from hanse.session import Statement
from hanse.telling.inbox import Effect, Inbox
from hanse.times import timestamp
from hanse.work import Work
from hanse_protos.log.v1.log_pb2 import Event, LogRecord
from hanse_protos.telling.v1 import dead_letters_pb2 as pb

MAX_ERROR_CHARACTERS = 4_000
"""How much of an error a dead letter keeps: the reason is in it, a dump of a large message is not."""
TRACE_ID_DIGITS = 32

OPEN = (pb.WAITING, pb.HELD)
"""The states in which a letter waits for a person, or for the one before it."""

Effects = Mapping[type[Message], Effect]
Performers = Mapping[str, Callable[[Work, LogRecord], None]]
"""What does a letter's work where no reaction does: by what stands for the reaction in the letter."""
Place = tuple[datetime, UUID, str]
"""Where a letter stands among those of its service: when it was buried, its event, its reaction."""


def subject_of(resource: str) -> str:
    """Return within what the order of facts is kept: a ticket with all its engagements, or the resource itself."""
    return "/".join(resource.split("/")[:4])


def has_effect(effects: Effects, event_type: str) -> bool:
    """Return whether a type of event has an effect: what has none can't come too early."""
    return any(payload.DESCRIPTOR.full_name == event_type for payload in effects)


def chosen_by_type(effects: Effects) -> Effect:
    """Return the effect that does what the table says for the fact's type, and nothing for types that it lacks."""

    def effect(work: Work, fact: Fact) -> None:
        chosen = effects.get(type(fact.payload))
        if chosen is not None:
            chosen(work, fact)

    return effect


def describe(error: Exception) -> str:
    """Return an error as a dead letter keeps it."""
    # PostgreSQL's text can't hold a NUL, and an error may quote one.
    return discreet(error).replace("\0", "\\0")[:MAX_ERROR_CHARACTERS]


def id_of_garbage(message: bytes) -> UUID:
    """Return an id for a message that holds none, the same for the same bytes."""
    return uuid5(NAMESPACE_OID, sha256(message).hexdigest())


# What the reactions do (`hanse.telling.receiving`).


def steps_aside(session: Session, letters: Table, event: Event, message: bytes, reaction: str) -> bool:
    """Return whether a message is not to be tried: it is a letter already, or is held behind a waiting one just now.

    The letters are locked, so that a retry is over before this is decided, or sees what is held here.
    """
    columns, event_id, subject = letters.c, UUID(event.event_id), subject_of(event.resource)
    itself = and_(columns.event_id == event_id, columns.reaction == reaction)
    before = and_(columns.subject == subject, columns.subject != "", columns.state.in_(OPEN))
    query = select(columns.event_id, columns.reaction).where(or_(itself, before)).with_for_update()
    rows = {(row.event_id, row.reaction) for row in session.execute(query)}
    if rows and (event_id, reaction) not in rows:
        letter = {"event_id": event_id, "reaction": reaction, "record": message, "subject": subject}
        _add(session, letters, **letter, state=pb.HELD, error="", tries=0)
    return bool(rows)


def bury(session: Session, letters: Table, message: bytes, reaction: str, error: Exception, *, tries: int) -> UUID:
    """Keep a message that could not be applied, for a person; return the id under which it is kept."""
    try:
        event = Event.FromString(LogRecord.FromString(message).event)
        event_id, subject = UUID(event.event_id), subject_of(event.resource)
    except (DecodeError, ValueError):
        event_id, subject = id_of_garbage(message), ""
    letter = {"event_id": event_id, "reaction": reaction, "record": message, "subject": subject}
    _add(session, letters, **letter, state=pb.WAITING, error=describe(error), tries=tries)
    return event_id


# What takes facts in without a reaction: it says itself within what their order is kept.


def keep(session: Session, letters: Table, record: LogRecord, *, reaction: str, subject: str, error: str = "") -> None:
    """Keep a record that could not be taken in, or, without an error, one that is held behind such a one."""
    event_id, state = UUID(Event.FromString(record.event).event_id), pb.WAITING if error else pb.HELD
    letter = {"event_id": event_id, "reaction": reaction, "record": record.SerializeToString(), "subject": subject}
    # By the clock and not by the transaction's beginning: letters are released in the order in which they were kept.
    kept = {"create_time": func.clock_timestamp(), "tries": 1 if error else 0}
    _add(session, letters, **letter, **kept, state=state, error=error)


def waiting_subjects(session: Session, letters: Table, reaction: str) -> set[str]:
    """Return the subjects of which letters wait; no retry of them is under way, or begins, in this transaction."""
    return {row[0] for row in _waiting(letters).rows(session, reaction=reaction)}


@lru_cache
def _waiting(letters: Table) -> Statement:
    return Statement(f"""
        SELECT subject FROM "{letters.schema}".dead_letter
        WHERE state IN ('WAITING', 'HELD') AND reaction = :reaction
        ORDER BY create_time, event_id, reaction FOR UPDATE
    """)  # noqa: S608 - the name is ours.


def _add(session: Session, letters: Table, **row: object) -> None:
    session.execute(upsert(letters).values(row).on_conflict_do_nothing())


# What people do.


class DeadLetters:
    """The dead letters of one service of a unit: what is there, and the commands on them."""

    def __init__(
        self, schema: ServiceSchema, unit: str, effects: Effects, performers: Performers = MappingProxyType({})
    ) -> None:
        self.service = schema.name
        self.unit = unit
        self._table = schema.dead_letter
        self._parent = f"{unit}/services/{schema.name}"
        self._inbox = Inbox(schema, unit)
        self._effect = chosen_by_type(effects)
        self._performers = performers

    def page(
        self, session: Session, after: Place | None, limit: int, *, show_resolved: bool
    ) -> tuple[list[pb.DeadLetter], list[Place]]:
        """Return the letters after a place, in the order in which they were told, and the place of each."""
        columns = self._table.c
        query = select(self._table).order_by(columns.create_time, columns.event_id, columns.reaction).limit(limit)
        if after:
            query = query.where(tuple_(columns.create_time, columns.event_id, columns.reaction) > tuple_(*after))
        if not show_resolved:
            query = query.where(columns.state.in_(OPEN))
        rows = session.execute(query).all()
        return [self._to_proto(row) for row in rows], [(row.create_time, row.event_id, row.reaction) for row in rows]

    def get(self, session: Session, name: str) -> pb.DeadLetter:
        """Return a letter with its event. Raises ResourceNotFound."""
        row = self._find(session, name)
        letter = self._to_proto(row)
        if event := _event_in(row.record)[1]:
            letter.event.CopyFrom(event)
        return letter

    def retry(self, work: Work, request: pb.RetryDeadLetterRequest) -> pb.DeadLetter:
        """Apply a waiting letter, and what is held behind it; it waits on with its new error where it fails again.

        Raises ResourceNotFound, IllegalTransition.
        """
        row = self._locked(work.session, request.name, "RetryDeadLetter", pb.WAITING)
        if self._apply(work, row):
            told = pb.DeadLetterRetried(reaction=row.reaction, event_id=str(row.event_id))
            work.tell(request.name, told)
            self._release(work, row.subject)
        return self._to_proto(self._find(work.session, request.name))

    def discard(self, work: Work, request: pb.DiscardDeadLetterRequest) -> pb.DeadLetter:
        """Put a letter aside, and apply what is held behind it. Raises ResourceNotFound, IllegalTransition."""
        row = self._locked(work.session, request.name, "DiscardDeadLetter", *OPEN)
        self._resolve(work, row, pb.DISCARDED, reason=request.reason)
        told = pb.DeadLetterDiscarded(reaction=row.reaction, event_id=str(row.event_id))
        work.tell(request.name, told, reason=request.reason)
        if row.state == pb.WAITING:
            self._release(work, row.subject)
        return self._to_proto(self._find(work.session, request.name))

    def _locked(self, session: Session, name: str, verb: str, *states: pb.DeadLetterState.ValueType) -> Row[Any]:
        """Return a letter, once nobody else decides on the same ticket's. Raises where its state does not allow it."""
        columns, row = self._table.c, self._find(session, name)
        if row.subject:
            # In one order, so that of two people who decide at once one waits for the other, and not both.
            others = select(columns.event_id).where(columns.subject == row.subject, columns.state.in_(OPEN))
            session.execute(others.order_by(columns.create_time, columns.event_id, columns.reaction).with_for_update())
        row = self._find(session, name, for_update=True)
        if row.state not in states:
            state = pb.DeadLetterState.Name(row.state)
            raise IllegalTransition(
                f"{name} is {state}",
                hint="Retry or discard the one that waits before it." if row.state == pb.HELD else None,
                resource=name, from_=state, verb=verb,
            )  # fmt: skip
        return row

    def _find(self, session: Session, name: str, *, for_update: bool = False) -> Row[Any]:
        parent, _, letter = name.partition("/deadLetters/")
        event_id, _, method = letter.partition(".")
        query = select(self._table).where(
            self._table.c.event_id == UUID(event_id), self._table.c.reaction == f"{self.service}.{method}"
        )
        row = session.execute(query.with_for_update() if for_update else query).one_or_none()
        if parent != self._parent or row is None:
            raise ResourceNotFound(resource=name)
        return row

    def _release(self, work: Work, subject: str) -> None:
        """Apply what is held of a subject, in order; the first that fails waits, and the others behind it."""
        columns = self._table.c
        held = select(self._table).where(columns.subject == subject, columns.subject != "", columns.state == pb.HELD)
        for row in work.session.execute(held.order_by(columns.create_time, columns.event_id)).all():
            if not self._apply(work, row):
                return

    def _apply(self, work: Work, row: Row[Any]) -> bool:
        """Apply a letter as its reaction would have, and keep what came of it; return whether it is applied."""
        error = self._try(work, row)
        if error is None:
            self._resolve(work, row, pb.APPLIED, tries=row.tries + 1, last_try_time=work.now)
        else:
            values = {"error": describe(error), "tries": row.tries + 1, "last_try_time": work.now}
            self._change(work.session, row, state=pb.WAITING, **values)
        return error is None

    def _try(self, work: Work, row: Row[Any]) -> Exception | None:
        """Apply a letter's record; return the error that is its own, with everything else as if never tried."""
        remembered = dict(work.session.info)
        try:
            with work.session.begin_nested():
                entries = self._perform(work, row.reaction, LogRecord.FromString(row.record))
        except Exception as error:
            # What was remembered about the tables during the try may have been rolled back with it.
            work.session.info.clear()
            work.session.info.update(remembered)
            if is_passing(error):
                raise
            return error
        work.entries.extend(entries or ())
        return None

    def _perform(self, work: Work, reaction: str, record: LogRecord) -> list[Entry] | None:
        """Do what a reaction does about a record, and return what that tells."""
        if perform := self._performers.get(reaction):
            perform(work, record)
            return None
        return self._inbox.perform(work.session, record, self._effect)

    def _resolve(self, work: Work, row: Row[Any], state: pb.DeadLetterState.ValueType, **values: object) -> None:
        # Nobody needs its texts any more.
        values["record"] = _without_texts(row.record)
        self._change(work.session, row, state=state, resolver=work.cause.actor, resolve_time=work.now, **values)

    def _change(self, session: Session, row: Row[Any], **values: object) -> None:
        columns = self._table.c
        place = (columns.event_id == row.event_id, columns.reaction == row.reaction)
        session.execute(update(self._table).where(*place).values(**values))

    def _to_proto(self, row: Row[Any]) -> pb.DeadLetter:
        method = row.reaction.partition(".")[2]
        letter = pb.DeadLetter(
            name=f"{self._parent}/deadLetters/{row.event_id}.{method}",
            service=self.service,
            reaction=row.reaction,
            state=row.state,
            event_id=str(row.event_id),
            error=row.error,
            tries=row.tries,
            create_time=timestamp(row.create_time),
            last_try_time=timestamp(row.last_try_time),
            resolver=row.resolver,
            reason=row.reason,
        )
        if row.resolve_time:
            letter.resolve_time.CopyFrom(timestamp(row.resolve_time))
        _add_event(letter, row.record)
        return letter


def _without_texts(message: bytes) -> bytes:
    record, _ = _event_in(message)
    return without_texts(record).SerializeToString() if record and record.sealed else message


def _add_event(letter: pb.DeadLetter, message: bytes) -> None:
    record, event = _event_in(message)
    if record is None or event is None:
        return
    letter.event_type, letter.resource = event.type, event.resource
    letter.stream, letter.sequence = record.stream, record.sequence
    letter.occur_time.CopyFrom(event.occur_time)
    letter.trace_id = _trace_id(event.trace_context)


def _event_in(message: bytes) -> tuple[LogRecord | None, Event | None]:
    """Return the record and the event in a message; nothing where it holds none."""
    try:
        record = LogRecord.FromString(message)
        event = Event.FromString(record.event)
        UUID(event.event_id)
    except (DecodeError, ValueError):
        return None, None
    return record, event


def _trace_id(traceparent: str) -> str:
    """Return the trace's id in a W3C traceparent, "00-<trace>-<span>-01"."""
    parts = traceparent.split("-")
    return parts[1] if len(parts) == 4 and len(parts[1]) == TRACE_ID_DIGITS else ""
