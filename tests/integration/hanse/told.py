"""A small service that is told things, for the tests of relay and reactions; its process imports it by name."""

from __future__ import annotations

import time

from sqlalchemy import BigInteger, Column, Identity, Table, Text, func, insert

from hanse.log.events import Fact
from hanse.log.tables import Time
from hanse.schema import ServiceSchema
from hanse.telling.names import Subscription
from hanse.work import Work
from hanse_protos.ticket.v1 import events_pb2 as events

SCHEMA = ServiceSchema("told")
EFFECT = Table(
    "effect",
    SCHEMA.metadata,
    Column("number", BigInteger, Identity(), primary_key=True),
    Column("event_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("time", Time, nullable=False, server_default=func.clock_timestamp()),
)

TELLER = ServiceSchema("teller")
"""Another service, whose log the relay follows."""

SUBSCRIPTIONS = (
    Subscription("told", "federation", "engagement.*", "on_engagement"),
    Subscription("told", "ticket", "ticket.*", "on_ticket"),
)

POISON = "units/shanghai/tickets/poison"
"""What is told of tickets whose names begin so can't be applied."""
SLOW = "units/shanghai/tickets/slow"
SLOW_SECONDS = 0.2


def note(work: Work, fact: Fact) -> None:
    """Write down what was told, in the order in which it was applied."""
    if fact.event.resource.startswith(POISON):
        raise ValueError("this one is poison")
    values = {
        "event_id": fact.event.event_id,
        "type": fact.event.type,
        "resource": fact.event.resource,
        "text": fact.texts.get("text", ""),
    }
    work.session.execute(insert(EFFECT).values(values))
    if fact.event.resource == SLOW:
        time.sleep(SLOW_SECONDS)


EFFECTS = {
    events.TicketOpened: note,
    events.TicketCommented: note,
    events.TicketResolved: note,
    events.EngagementWorkNoted: note,
}
