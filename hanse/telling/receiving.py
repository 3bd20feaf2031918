"""Receiving a told message: once, or after several tries into the dead letters, and never lost.

Two things can go wrong, and they are kept apart:

- **The message can't be applied**: an effect raises. It is tried `MAX_TRIES` times, within a few seconds, as the reason
  may pass (another queue may bring what it needs). Then it becomes a dead letter, and the next message has its turn
  (`hanse.telling.dead_letters`). A person decides what becomes of it; what comes later about the same ticket is held.
- **The database is away**: nothing can be applied and nothing recorded. The message is tried until the database is
  back; it is not acknowledged meanwhile, and nothing overtakes it.

`receive` returns only when one of the two outcomes is committed. Whoever acknowledges after it has returned loses
nothing; whoever dies before receives the message again, and the inbox knows it.

This is the blocking side of nameko's reactions (`hanse.telling.reacting`), without nameko.
"""

import time
from collections.abc import Callable
from uuid import UUID

import structlog
from google.protobuf.message import DecodeError
from opentelemetry.trace import SpanKind
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from hanse.database import IDLE_IN_TRANSACTION_TIMEOUT_MS, LOCK_TIMEOUT_MS, is_passing, with_driver
from hanse.discreet import discreet
from hanse.erasing import ERASING, storable
from hanse.schema import ServiceSchema
from hanse.telemetry import span
from hanse.telling.dead_letters import Effects, bury, chosen_by_type, has_effect, steps_aside
from hanse.telling.inbox import Inbox
from hanse.telling.metrics import Outcome, dealt_with, try_failed
from hanse_protos.log.v1.log_pb2 import Event, LogRecord

MAX_TRIES = 5
"""How often a message is tried before it counts as poison."""
MIN_DELAY_SECONDS = 0.1
MAX_DELAY_SECONDS = 2.0
"""How long it waits between two tries: all five take about three seconds, so poison holds up nobody for long."""

CONNECT_TIMEOUT_SECONDS = 5

logger = structlog.get_logger(__name__)


def open_engine(database_url: str) -> Engine:
    """Return an engine for a service's reactions. They run one at a time, so one connection is enough."""
    options = (
        f"-c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_TIMEOUT_MS} -c lock_timeout={LOCK_TIMEOUT_MS}"
    )
    return create_engine(
        with_driver(database_url, "psycopg"),
        pool_size=1,
        max_overflow=0,
        pool_pre_ping=True,
        # An error is logged and kept, and must not quote what a customer wrote.
        hide_parameters=True,
        connect_args={"connect_timeout": CONNECT_TIMEOUT_SECONDS, "options": f"{options} -c jit=off"},
    )


class Receiver:
    """Receives what one service of one unit is told."""

    def __init__(
        self, engine: Engine, schema: ServiceSchema, unit: str, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._engine = engine
        self._letters = schema.dead_letter
        self._inbox = Inbox(schema, unit)
        self._sleep = sleep

    def receive(self, message: bytes, effects: Effects, reaction: str) -> None:
        """Apply a serialized LogRecord by the effect of its payload's type, or record it as a dead letter.

        A type that has no effect here is recorded in the inbox all the same. `reaction` names who received it.
        """
        rounds, began = 0, time.monotonic()
        while True:
            try:
                outcome = self._apply_or_bury(message, effects, reaction)
            except DBAPIError as error:
                # Also when not even the dead letter could be written: the tables may not be there yet.
                try_failed(reaction, error)
                logger.warning("a message waits for the database", reaction=reaction, error=discreet(error))
                self._sleep(_delay_seconds(rounds))
                rounds += 1
            else:
                dealt_with(reaction, outcome, time.monotonic() - began)
                return

    def _apply_or_bury(self, message: bytes, effects: Effects, reaction: str) -> Outcome:
        try:
            record = LogRecord.FromString(message)
            event = Event.FromString(record.event)
            UUID(event.event_id)
        except (DecodeError, ValueError) as error:
            self._bury(message, reaction, error, tries=1)
            return Outcome.DEAD_LETTER
        with span(f"receive {reaction}", event.trace_context, SpanKind.CONSUMER, event=event.event_id, type=event.type):
            poison = self._try(message, record, event, effects, reaction)
            if poison is not None:
                self._bury(message, reaction, poison, tries=MAX_TRIES)
        return Outcome.APPLIED if poison is None else Outcome.DEAD_LETTER

    def _try(
        self, message: bytes, record: LogRecord, event: Event, effects: Effects, reaction: str
    ) -> Exception | None:
        """Apply a record, and return the error of the last try where none succeeds."""
        # What has no effect can't have it too early.
        in_order = has_effect(effects, event.type) and event.type != ERASING
        for number in range(1, MAX_TRIES + 1):
            try:
                with Session(self._engine, expire_on_commit=False) as session, session.begin():
                    kept = storable(session, self._inbox.schema, message)
                    if not (in_order and steps_aside(session, self._letters, event, kept, reaction)):
                        self._inbox.apply(session, record, chosen_by_type(effects))
            except Exception as error:
                if is_passing(error):
                    raise
                try_failed(reaction, error)
                logger.warning("a message was not applied", reaction=reaction, tries=number, error=discreet(error))
                if number == MAX_TRIES:
                    return error
                self._sleep(_delay_seconds(number - 1))
            else:
                return None
        return None

    def _bury(self, message: bytes, reaction: str, error: Exception, *, tries: int) -> None:
        with Session(self._engine) as session, session.begin():
            kept = storable(session, self._inbox.schema, message)
            event_id = bury(session, self._letters, kept, reaction, error, tries=tries)
        logger.error("a message became a dead letter", reaction=reaction, event_id=str(event_id), exc_info=error)


def _delay_seconds(tries: int) -> float:
    """Return the wait after a try, counted from 0."""
    delay: float = min(MAX_DELAY_SECONDS, MIN_DELAY_SECONDS * 3 ** min(tries, 10))
    return delay
