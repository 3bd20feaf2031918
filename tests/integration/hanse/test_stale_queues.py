"""A reaction that is renamed, or is no more, leaves no queue behind that grows for ever. On both brokers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from kombu import Connection

from hanse.telling.names import Subscription, event_exchange
from hanse_protos.ticket.v1 import events_pb2 as events
from tests.integration.hanse.test_relay import ids_in
from tests.integration.hanse.told import SUBSCRIPTIONS
from tests.integration.hanse.told_unit import Broker, ToldUnit

TICKET = "units/shanghai/tickets/a"
ENGAGEMENTS, TICKETS = SUBSCRIPTIONS
RENAMED = Subscription("told", "ticket", "ticket.*", "on_ticket_before")
DROPPED = Subscription("told", "ticket", "ticket.opened", "on_opened")


@pytest.fixture
async def unit(told_unit: ToldUnit) -> AsyncIterator[ToldUnit]:
    """A unit whose broker is left clean also where a queue stays on purpose."""
    yield told_unit
    told_unit.broker.delete([RENAMED, DROPPED])


async def tell(unit: ToldUnit, *subscriptions: Subscription) -> str:
    """Tell a fact through a relay that declares these subscriptions, and return its id."""
    before = await unit.cursor("ticket")
    [told] = await unit.tell("ticket", (TICKET, events.TicketOpened()))
    async with unit.relaying(subscriptions):
        await unit.relayed("ticket", before + 1)
    return told


def is_there(broker: Broker, subscription: Subscription) -> bool:
    """Return whether a queue is there, and bound where the broker can tell."""
    with Connection(broker.url) as connection:
        if broker.url.startswith("amqp"):
            try:
                connection.channel().queue_declare(queue=subscription.queue.name, passive=True)
            except connection.channel_errors:
                return False
            return True
        bindings = connection.default_channel.get_table(event_exchange(subscription.source).name)
        return subscription.queue.name in {binding[-1] for binding in bindings}


async def test_what_waits_for_a_renamed_reaction_goes_on_to_it_in_order(unit: ToldUnit) -> None:
    told = [await tell(unit, ENGAGEMENTS, RENAMED) for _ in range(3)]
    assert is_there(unit.broker, RENAMED)
    told.append(await tell(unit, ENGAGEMENTS, TICKETS))
    assert ids_in(unit.broker.bodies(TICKETS)) == told
    assert not is_there(unit.broker, RENAMED)


async def test_a_queue_without_an_heir_keeps_what_it_has_and_grows_no_more(unit: ToldUnit) -> None:
    told = await tell(unit, ENGAGEMENTS, TICKETS, DROPPED)
    await tell(unit, ENGAGEMENTS, TICKETS)
    assert ids_in(unit.broker.bodies(DROPPED)) == [told]


async def test_an_empty_queue_without_an_heir_is_removed(unit: ToldUnit) -> None:
    await tell(unit, ENGAGEMENTS, TICKETS, DROPPED)
    unit.broker.bodies(DROPPED)
    await tell(unit, ENGAGEMENTS, TICKETS)
    assert not is_there(unit.broker, DROPPED)


async def test_queues_that_are_declared_stay_with_what_is_in_them(unit: ToldUnit) -> None:
    told = [await tell(unit, ENGAGEMENTS, TICKETS) for _ in range(2)]
    assert ids_in(unit.broker.bodies(TICKETS)) == told
