"""A schema for tests of the kernel: a log, what keeps commands idempotent, and one table of counters."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.wrappers_pb2 import Int64Value, StringValue
from sqlalchemy import BigInteger, Column, Table, Text, create_engine, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from hanse.database import with_driver
from hanse.errors import IllegalTransition
from hanse.log.append import Entry
from hanse.log.events import Origin, new_event
from hanse.names import stream_name
from hanse.schema import ServiceSchema
from hanse.work import Work
from tests.support import OCCUR_TIME

UNIT = "units/shanghai"
SCHEMA = ServiceSchema("kernel")
STREAM = stream_name(UNIT, SCHEMA.name)
COUNTER = Table(
    "counter", SCHEMA.metadata, Column("name", Text, primary_key=True), Column("value", BigInteger, nullable=False)
)
PLENTY = 100_000


def create_schema(url: str) -> None:
    engine = create_engine(with_driver(url, "psycopg"))
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {SCHEMA.name}"))
        SCHEMA.metadata.create_all(connection)
    engine.dispose()


def entry(what: str, **sealed: str) -> Entry:
    return new_event(
        Origin(UNIT, f"{UNIT}/agents/li"), f"{UNIT}/things/{what}", StringValue(value=what), OCCUR_TIME, sealed
    )


def entries(*whats: str) -> Sequence[Entry]:
    return [entry(what) for what in whats]


def count_up(work: Work, request: StringValue) -> Int64Value:
    """Count a name up, and tell it. A name that begins with "bad" is counted and then refused."""
    statement = insert(COUNTER).values(name=request.value, value=1)
    counted = statement.on_conflict_do_update(index_elements=["name"], set_={"value": COUNTER.c.value + 1})
    value = work.session.execute(counted.returning(COUNTER.c.value)).scalar_one()
    work.tell(f"{UNIT}/counters/{request.value}", StringValue(value=request.value), text=f"{value}")
    if request.value.startswith("bad"):
        raise IllegalTransition(f"{request.value} at {value}", resource=request.value)
    if request.value.startswith("broken"):
        raise ZeroDivisionError("a defect")
    return Int64Value(value=value)


def counters(session: Session) -> dict[str, int]:
    return {row.name: row.value for row in session.execute(COUNTER.select())}
