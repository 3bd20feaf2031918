"""The relay tells everything, in order, and moves on only when the broker has it. On both brokers."""

from __future__ import annotations

import asyncio

import pytest

from hanse.log.append import Entry, append
from hanse.log.events import Origin, new_event
from hanse.log.follow import START, save_cursor
from hanse.telling.relay import BATCH_RECORDS, FOLLOWER, FollowedLog, Relay
from hanse_protos.log.v1.log_pb2 import Event, LogRecord
from hanse_protos.ticket.v1 import events_pb2 as events
from tests.integration.hanse.told import SUBSCRIPTIONS, TELLER
from tests.integration.hanse.told_unit import STREAMS, UNIT, ToldUnit
from tests.support import OCCUR_TIME

TICKET = "units/shanghai/tickets/a"
ENGAGEMENTS, TICKETS = SUBSCRIPTIONS

LIFE = (events.TicketOpened(), events.TicketCommented(), events.TicketAssigned(), events.TicketResolved())


def ids_in(bodies: list[bytes]) -> list[str]:
    return [Event.FromString(LogRecord.FromString(body).event).event_id for body in bodies]


async def test_what_was_told_before_anybody_listened_waits_in_order_of_the_log(told_unit: ToldUnit) -> None:
    told = await told_unit.tell("ticket", *((TICKET, payload) for payload in LIFE * 3))
    async with told_unit.relaying():
        await told_unit.relayed("ticket", len(told))
    assert ids_in(told_unit.broker.bodies(TICKETS)) == told


async def test_a_backlog_longer_than_a_batch_is_told_in_order(told_unit: ToldUnit) -> None:
    count = 2 * BATCH_RECORDS + 7
    told = await told_unit.tell("ticket", *((TICKET, events.TicketCommented()) for _ in range(count)))
    async with told_unit.relaying():
        await told_unit.relayed("ticket", count)
    assert ids_in(told_unit.broker.bodies(TICKETS)) == told


async def test_what_happens_amid_a_long_backlog_of_another_log_does_not_wait_for_its_end(
    told_unit: ToldUnit, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell_batch, told = Relay._tell_batch, list[str]()

    async def tell_batch_and_note(relay: Relay, followed: FollowedLog) -> int:
        records = await tell_batch(relay, followed)
        told.extend([followed.source] * bool(records))
        if told == ["ticket", "ticket"]:
            await told_unit.tell("federation", (f"{TICKET}/engagements/e1", events.EngagementWorkNoted()))
        return records

    monkeypatch.setattr(Relay, "_tell_batch", tell_batch_and_note)
    count = 5 * BATCH_RECORDS
    await told_unit.tell("ticket", *((TICKET, events.TicketCommented()) for _ in range(count)))
    async with told_unit.relaying():
        await told_unit.relayed("ticket", count)
    assert told[2] == "federation"


async def test_a_fact_is_told_as_its_record_with_what_is_sealed(told_unit: ToldUnit) -> None:
    await told_unit.tell("federation", (f"{TICKET}/engagements/e1", events.EngagementWorkNoted(), "看过了"))
    async with told_unit.relaying():
        await told_unit.relayed("federation", 1)
    [record] = [LogRecord.FromString(body) for body in told_unit.broker.bodies(ENGAGEMENTS)]
    assert (record.stream, record.epoch, record.sequence) == (STREAMS["federation"], 1, 1)
    assert [field.value for field in record.sealed] == ["看过了"]
    assert len(record.hash) == 32


async def test_each_source_is_told_to_its_own_readers(told_unit: ToldUnit) -> None:
    await told_unit.tell("ticket", (TICKET, events.EngagementWorkNoted()))
    [told] = await told_unit.tell("federation", (TICKET, events.EngagementWorkNoted()))
    async with told_unit.relaying():
        await told_unit.relayed("ticket", 1)
        await told_unit.relayed("federation", 1)
    assert ids_in(told_unit.broker.bodies(ENGAGEMENTS)) == [told]


async def test_a_type_that_this_version_does_not_know_is_told_like_any_other(told_unit: ToldUnit) -> None:
    known = new_event(Origin(UNIT, "tests"), TICKET, events.TicketOpened(), OCCUR_TIME)
    event = Event.FromString(known.event)
    event.type = "hanse_protos.ticket.v9.TicketTeleported"
    unknown = Entry(known.event_id, TICKET, event.type, OCCUR_TIME, event.SerializeToString(), None)
    await told_unit.database.write(append, TELLER.log, STREAMS["ticket"], [unknown])
    async with told_unit.relaying():
        await told_unit.relayed("ticket", 1)
    assert ids_in(told_unit.broker.bodies(TICKETS)) == [str(unknown.event_id)]


async def test_the_cursor_stays_while_the_broker_does_not_confirm(told_unit: ToldUnit) -> None:
    async with told_unit.relaying():
        await told_unit.tell("ticket", (TICKET, events.TicketOpened()))
        await told_unit.relayed("ticket", 1)
        async with told_unit.broker.paused():
            await told_unit.tell("ticket", (TICKET, events.TicketResolved()))
            await asyncio.sleep(1)
            assert await told_unit.cursor("ticket") == 1
        await told_unit.relayed("ticket", 2)


async def test_what_happens_while_the_broker_is_away_is_told_when_it_is_back(told_unit: ToldUnit) -> None:
    async with told_unit.relaying():
        told = await told_unit.tell("ticket", (TICKET, events.TicketOpened()))
        await told_unit.relayed("ticket", 1)
        await told_unit.broker.kill()
        told += await told_unit.tell("ticket", (TICKET, events.TicketResolved()))
        await asyncio.sleep(0.5)
        assert await told_unit.cursor("ticket") == 1
        await told_unit.broker.server.start()
        await told_unit.relayed("ticket", 2)
    assert ids_in(told_unit.broker.bodies(TICKETS)) == told


async def test_a_relay_that_died_before_its_cursor_moved_tells_again(told_unit: ToldUnit) -> None:
    told = await told_unit.tell("ticket", (TICKET, events.TicketOpened()))
    async with told_unit.relaying():
        await told_unit.relayed("ticket", 1)
    await told_unit.database.write(save_cursor, TELLER.log, FOLLOWER, STREAMS["ticket"], START)
    async with told_unit.relaying():
        await told_unit.relayed("ticket", 1)
    assert ids_in(told_unit.broker.bodies(TICKETS)) == told * 2


async def test_a_fact_that_nobody_waits_for_does_not_hold_up_the_log(told_unit: ToldUnit) -> None:
    await told_unit.tell("ticket", (TICKET, events.EngagementRequested()))
    async with told_unit.relaying():
        await told_unit.relayed("ticket", 1)


@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)  # Only RabbitMQ says that a queue is missing.
async def test_rabbitmq_gets_a_deleted_queue_back_with_what_it_missed(told_unit: ToldUnit) -> None:
    async with told_unit.relaying():
        await told_unit.tell("ticket", (TICKET, events.TicketOpened()))
        await told_unit.relayed("ticket", 1)
        told_unit.broker.delete([TICKETS])
        told = await told_unit.tell("ticket", (TICKET, events.TicketResolved()))
        await told_unit.relayed("ticket", 2)
    assert ids_in(told_unit.broker.bodies(TICKETS)) == told
