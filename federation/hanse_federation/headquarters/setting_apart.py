"""Facts that headquarters can't take in: each is set apart, and the line goes on.

A view, or the rule by which a fact is passed on, may refuse a fact or fail over it: its payload is none, it names a
time that no calendar knows, a text that no column holds, or it is right and this version of headquarters has a defect.
The record is stored verbatim in the copy of its stream like any other: the chain is whole, and nothing is lost. Only
its effect is left out, and kept as a dead letter of headquarters' service "federation" (`hanse.telling.dead_letters`).

    arrived ──> takes effect
            └─ fails ──> WAITING ──retry, mostly after an upgrade──> takes effect    (or a person discards it)

**Order is kept**, as behind every dead letter: what the same unit tells later about the same ticket is held behind it,
so that a delivery does not overtake its acceptance. Other tickets, streams and units go on. It is one writer's facts
that are held: nobody stops what another unit tells of its own ticket by telling nonsense about it.

Which fact of a batch fails is found by halves, each half in a savepoint. That costs, but nothing where all is well.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session

from hanse.database import is_about_server
from hanse.discreet import discreet
from hanse.errors import FactUnreadable
from hanse.log.events import short_type
from hanse.telling.dead_letters import OPEN, describe, keep, subject_of, waiting_subjects
from hanse_federation.link.receiving import Arrival, unreadable
from hanse_federation.model import SCHEMA
from hanse_protos.log.v1.log_pb2 import Event, LogRecord
from hanse_protos.telling.v1.dead_letters_pb2 import APPLIED
from hanse_protos.ticket.v1.events_pb2 import TicketErased

ABSORBING = f"{SCHEMA.name}.absorb"
"""What stands for a reaction in the dead letters of facts that were set apart."""

_letters = SCHEMA.dead_letter

MAX_SHOWN = 1_000
"""How many are looked at to be shown: a unit that tells more nonsense than that is known by the first of it."""

Take = Callable[[Sequence[Arrival]], None]

logger = structlog.get_logger(__name__)


def behind_nothing(session: Session, facts: Sequence[Arrival]) -> Sequence[Arrival]:
    """Return the facts that may take effect, and keep those that are held behind one that was set apart before."""
    waiting = waiting_subjects(session, _letters, ABSORBING)
    return _let_through(session, facts, waiting) if waiting else facts


def refuse_unopened(facts: Sequence[Arrival]) -> None:
    """Raise FactUnreadable where a fact could not be opened."""
    for fact in facts:
        if fact.problem:
            raise _problem_of(fact)


def take_apart(session: Session, facts: Sequence[Arrival], take: Take) -> list[Arrival]:
    """Let facts take effect in their order, set those apart over which that fails, and return those that have.

    Raises what is the database's own trouble.
    """
    return _take(session, facts, take, set())


def that_took_effect(session: Session, facts: Sequence[Arrival]) -> list[Arrival]:
    """Return those of facts that have had their effect here: the others are set apart, held, or discarded."""
    without = select(_letters.c.event_id).where(_is_of(facts), _letters.c.state != APPLIED)
    left_out = {str(event_id) for event_id in session.scalars(without)}
    return [fact for fact in facts if fact.event.event_id not in left_out]


def forget_set_apart(session: Session, facts: Sequence[Arrival]) -> None:
    """Forget that facts were set apart which their writer has lost: what it tells again counts anew."""
    session.execute(delete(_letters).where(_is_of(facts)))


def _is_of(facts: Sequence[Arrival]) -> ColumnElement[bool]:
    ids = [UUID(fact.event.event_id) for fact in facts]
    return (_letters.c.reaction == ABSORBING) & _letters.c.event_id.in_(ids)


def _take(session: Session, facts: Sequence[Arrival], take: Take, waiting: set[str]) -> list[Arrival]:
    facts = _let_through(session, facts, waiting)
    if not facts:
        return []
    error = _try(session, facts, take)
    if error is None:
        return list(facts)
    if len(facts) == 1:
        _set_apart(session, facts[0], error)
        waiting.add(_subject(facts[0]))
        return []
    middle = len(facts) // 2
    return [taken for half in (facts[:middle], facts[middle:]) for taken in _take(session, half, take, waiting)]


def _try(session: Session, facts: Sequence[Arrival], take: Take) -> Exception | None:
    """Let facts take effect; return the error that is their own, with everything else as if never tried."""
    try:
        with session.begin_nested():
            refuse_unopened(facts)
            take(facts)
    except Exception as error:
        if is_about_server(error):
            raise
        return error
    return None


def _let_through(session: Session, facts: Sequence[Arrival], waiting: set[str]) -> list[Arrival]:
    """Keep the facts that are held behind what waits, and return the others."""
    through = []
    for fact in facts:
        # An erasure depends on no other fact.
        if _subject(fact) in waiting and type(fact.payload) is not TicketErased:
            _keep(session, fact)
        else:
            through.append(fact)
    return through


def _set_apart(session: Session, fact: Arrival, error: Exception) -> None:
    logger.error(
        "a fact was set apart",
        stream=fact.stream, epoch=fact.epoch, sequence=fact.sequence, event_id=fact.event.event_id,
        type=fact.event.type, problem=discreet(error),
    )  # fmt: skip
    _keep(session, fact, describe(error))


def _keep(session: Session, fact: Arrival, error: str = "") -> None:
    keep(session, _letters, _record(fact), reaction=ABSORBING, subject=_subject(fact), error=error)


def _subject(fact: Arrival) -> str:
    """Return within what the order is kept: what one unit tells about one ticket."""
    return f"{fact.event.unit} on {subject_of(fact.event.resource)}"


def _record(fact: Arrival) -> LogRecord:
    return LogRecord(
        stream=fact.stream, epoch=fact.epoch, sequence=fact.sequence, event=fact.content, sealed=fact.sealed
    )


def _problem_of(fact: Arrival) -> FactUnreadable:
    return unreadable(fact.stream, fact.epoch, fact.sequence, fact.problem, fact.event)


# What is shown of them.


class SetApart(NamedTuple):
    """What of a stream was set apart and waits for a person."""

    since: datetime
    epoch: int
    sequence: int
    letters: int
    first: str
    """The type, the id and the error of the first one."""

    @property
    def in_words(self) -> str:
        """What to say of it."""
        return f"{self.letters} facts wait, the first is {self.first}"


def set_apart(session: Session) -> dict[str, SetApart]:
    """Return what was set apart and waits, by stream. There are few, and mostly none."""
    waiting = select(_letters.c.create_time, _letters.c.record, _letters.c.error)
    waiting = waiting.where(_letters.c.reaction == ABSORBING, _letters.c.state.in_(OPEN))
    found: dict[str, SetApart] = {}
    for create_time, content, error in session.execute(waiting.order_by(_letters.c.create_time).limit(MAX_SHOWN)):
        record = LogRecord.FromString(content)
        event = Event.FromString(record.event)
        first = f"{short_type(event.type)} {event.event_id}: {error}"
        known = found.setdefault(record.stream, SetApart(create_time, record.epoch, record.sequence, 0, first))
        found[record.stream] = known._replace(letters=known.letters + 1)
    return found
