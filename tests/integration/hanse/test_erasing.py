"""What the kernel keeps about an erased ticket has no texts, and gets none any more."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest
from sqlalchemy import Engine, create_engine, insert, select
from sqlalchemy.orm import Session

from hanse.database import with_driver
from hanse.erasing import erase_ticket, is_erased, storable
from hanse.migrations import service_migrations
from hanse_protos.log.v1.log_pb2 import Event, LogRecord
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_services.ticket.model import SCHEMA
from tests.support import MakeDatabase, record_of

TICKET, OTHER = "units/shanghai/tickets/t1", "units/shanghai/tickets/t10"
NOTE = "Frau Chen calls again"


@pytest.fixture
def session(make_database: MakeDatabase) -> Iterator[Session]:
    engine: Engine = create_engine(with_driver(make_database(service_migrations("hanse_services.ticket")), "psycopg"))
    with Session(engine) as session:
        yield session
    engine.dispose()


def told_of(ticket: str) -> LogRecord:
    return record_of(told.TicketCommented(), ticket, unit="units/shanghai", sealed={"text": NOTE})


def bury(session: Session, content: bytes, event_id: str) -> None:
    values = {"event_id": UUID(event_id), "reaction": "on_ticket", "record": content, "error": "", "tries": 5}
    session.execute(insert(SCHEMA.dead_letter).values(values))


def buried(session: Session) -> list[bytes]:
    return list(session.scalars(select(SCHEMA.dead_letter.c.record)))


def test_a_dead_letter_loses_the_texts_and_keeps_the_fact(session: Session) -> None:
    record = told_of(TICKET)
    bury(session, record.SerializeToString(), Event.FromString(record.event).event_id)
    erase_ticket(session, SCHEMA, TICKET)
    [left] = [LogRecord.FromString(content) for content in buried(session)]
    assert (left.event, list(left.sealed)) == (record.event, [])


def test_a_dead_letter_of_another_ticket_stays_as_it_is(session: Session) -> None:
    record = told_of(OTHER)
    bury(session, record.SerializeToString(), Event.FromString(record.event).event_id)
    erase_ticket(session, SCHEMA, TICKET)
    assert buried(session) == [record.SerializeToString()]


def test_garbage_that_names_the_ticket_goes(session: Session) -> None:
    bury(session, b"\xff" + TICKET.encode() + NOTE.encode(), "01890000-0000-7000-8000-000000000000")
    erase_ticket(session, SCHEMA, TICKET)
    assert buried(session) == [b""]


def test_a_message_that_is_buried_later_is_kept_without_texts(session: Session) -> None:
    erase_ticket(session, SCHEMA, TICKET)
    assert not LogRecord.FromString(storable(session, SCHEMA, told_of(TICKET).SerializeToString())).sealed
    assert LogRecord.FromString(storable(session, SCHEMA, told_of(OTHER).SerializeToString())).sealed


def test_everything_inside_a_ticket_is_erased_with_it(session: Session) -> None:
    erase_ticket(session, SCHEMA, TICKET)
    assert is_erased(session, SCHEMA, f"{TICKET}/engagements/e1")
    assert not is_erased(session, SCHEMA, OTHER)
    assert not is_erased(session, SCHEMA, "units/shanghai/articles/a1")
