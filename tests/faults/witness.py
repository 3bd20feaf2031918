"""A service of the harness's own that is told everything, and whose effect is not idempotent by itself.

Most of the real effects would do no harm if they were applied twice: states allow a step once. So they can't show
whether the inbox works. The witness writes a row for whatever it is told, without any key: a fact that is applied twice
leaves two rows, one that is lost leaves none, and the rows' numbers are the order in which facts were applied.
"""

from __future__ import annotations

from kombu import Connection
from sqlalchemy import BigInteger, Column, Identity, Table, Text, create_engine, insert, text

from hanse.database import with_driver
from hanse.log.events import Fact
from hanse.schema import ServiceSchema
from hanse.telling.inbox import Effect
from hanse.telling.names import Subscription, declare
from hanse.work import Work
from hanse_protos.ticket.v1 import events_pb2 as told

SCHEMA = ServiceSchema("witness")
EFFECT = Table(
    "effect",
    SCHEMA.metadata,
    Column("number", BigInteger, Identity(), primary_key=True),
    Column("event_id", Text, nullable=False),
)
REACTIONS = "tests.faults.witness_reactions:WitnessReactions"
SUBSCRIPTIONS = (
    Subscription("witness", "ticket", "#", "on_own"),
    Subscription("witness", "federation", "#", "on_group"),
)


def note(work: Work, fact: Fact) -> None:
    """Write down what was told."""
    work.session.execute(insert(EFFECT).values(event_id=fact.event.event_id))


EFFECTS: dict[type, Effect] = {
    getattr(told, name): note for name in told.DESCRIPTOR.message_types_by_name if not name.endswith("Entry")
}


def declare_queues(broker_url: str) -> None:
    """Declare the witness's queues, as the relay does for its own subscriptions: what is told before it runs waits."""
    with Connection(broker_url) as connection:
        declare(connection, sorted({subscription.source for subscription in SUBSCRIPTIONS}), SUBSCRIPTIONS)


def create_tables(database_url: str) -> None:
    """Create the witness's tables unless they are there."""
    engine = create_engine(with_driver(database_url, "psycopg"))
    try:
        with engine.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA.name}"))
            SCHEMA.metadata.create_all(connection)
    finally:
        engine.dispose()
