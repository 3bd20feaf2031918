"""The inbox: what others tell, applied once.

The event's id is recorded in the same transaction as the effect. A broker that delivers twice changes nothing; a
process that dies in between has done neither. The inbox keeps the event too, so that a ticket's timeline can show what
happened to it in other units.

What another unit tells that is not its own to tell (`hanse.authority`) is no fact: it is left out, with a warning, and
has neither an effect nor a place in a timeline. The copy of the stream that brought it has it all the same.
"""

from collections.abc import Callable
from uuid import UUID

import structlog
from google.protobuf.message import Message
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from hanse.authority import may_tell
from hanse.clock import Clock, utc_now
from hanse.erasing import is_erased, without_texts
from hanse.log.append import Entry, append
from hanse.log.events import Fact, payload_of
from hanse.log.sealing import check_sealed
from hanse.names import stream_name
from hanse.policy.store import PolicyStore
from hanse.schema import ServiceSchema
from hanse.telling.metrics import left_out
from hanse.times import instant
from hanse.work import Cause, Work
from hanse_protos.log.v1.log_pb2 import Event, LogRecord, SealedFields

Effect = Callable[[Work, Fact], None]
"""What a service does about a fact; it may change state and tell facts of its own."""


logger = structlog.get_logger(__name__)


class Inbox:
    """The inbox of one service of one unit."""

    def __init__(self, schema: ServiceSchema, unit: str, *, clock: Clock = utc_now) -> None:
        self.schema = schema
        self.unit = unit
        self._clock = clock
        self._policies = PolicyStore(schema)

    def apply(self, session: Session, record: LogRecord, effect: Effect) -> bool:
        """Apply a record in the session's transaction; return False where that was done before.

        An event of a type that this version does not know is recorded and has no effect.
        """
        entries = self.perform(session, record, effect)
        if entries:
            append(session, self.schema.log, stream_name(self.unit, self.schema.name), entries)
        return entries is not None

    def perform(self, session: Session, record: LogRecord, effect: Effect) -> list[Entry] | None:
        """Do what `apply` does, but for appending: return what the effect tells, None where it was done before."""
        event = Event.FromString(record.event)
        check_sealed(event, record.sealed)
        if record.sealed and is_erased(session, self.schema, event.resource):
            # It was on its way when its ticket was erased.
            record = without_texts(record)
        payload = payload_of(event)
        if payload is not None and self._is_foreign(event, payload):
            return []
        if not self._record(session, event, record):
            return None
        if payload is None:
            return []
        fact = Fact(event, payload, {field.field: field.value for field in record.sealed})
        cause = Cause(
            actor=f"{self.unit}/services/{self.schema.name}",
            request_id=event.request_id,
            trace_context=event.trace_context,
        )
        work = Work(session, self.unit, cause, self._clock(), self._policies)
        effect(work, fact)
        session.flush()
        return work.entries

    def _is_foreign(self, event: Event, payload: Message) -> bool:
        """Whether another unit tells what is not its own to tell. What this unit's services tell is theirs."""
        if event.unit == self.unit or may_tell(event, payload):
            return False
        left_out(event.unit)
        logger.warning(
            "a unit told what is another's to tell",
            unit=event.unit,
            event_id=event.event_id,
            resource=event.resource,
            type=event.type,
        )
        return True

    def _record(self, session: Session, event: Event, record: LogRecord) -> bool:
        sealed = SealedFields(fields=record.sealed).SerializeToString() if record.sealed else None
        statement = upsert(self.schema.inbox).values(
            event_id=UUID(event.event_id),
            resource=event.resource,
            type=event.type,
            occur_time=instant(event.occur_time),
            event=record.event,
            sealed=sealed,
        )
        done = session.execute(statement.on_conflict_do_nothing().returning(self.schema.inbox.c.event_id))
        return done.one_or_none() is not None
