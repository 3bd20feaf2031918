"""Everything arrives once, in order, whatever happens to the line."""

import asyncio

import pytest

from hanse.names import stream_name
from hanse_federation.link import sending
from hanse_federation.link.batches import end_of
from hanse_federation.link.frames import CREDIT_RECORDS
from hanse_federation.link.sending import CreditWindow, Sender, everything, upstream_sources
from hanse_protos.policy.v1.policy_pb2 import PolicyAcknowledged
from tests.integration.hanse_federation.group import QUICK, WAIT_SECONDS, Group, Unit

READ_RECORDS = 50
"""How much a sender reads at a time in the test of turns."""


async def test_what_a_unit_tells_reaches_headquarters(munich: Unit) -> None:
    await munich.open_tickets(3)
    await munich.caught_up()
    assert await munich.taken() == await munich.sent()
    assert len(await munich.taken()) == 3


async def test_a_unit_that_was_cut_off_catches_up_in_order(munich: Unit) -> None:
    await munich.open_tickets(5)
    munich.line.cut()
    for number in range(20):
        await munich.open_tickets(100, first=100 + 100 * number)
    munich.line.heal()
    await munich.caught_up()
    assert await munich.taken() == await munich.sent()
    assert len(await munich.taken()) == 2005


async def test_a_line_that_swallows_bytes_is_noticed_and_dialled_anew(munich: Unit) -> None:
    munich.line.cut(half_open=True)
    await munich.open_tickets(10)
    munich.line.heal()
    await munich.caught_up()
    assert len(await munich.taken()) == 10


async def test_a_backlog_from_before_the_first_contact_arrives(group: Group) -> None:
    munich = await group.unit("units/munich", agent=False)
    await munich.open_tickets(3_000)
    munich.start()
    await munich.caught_up()
    assert await munich.taken() == await munich.sent()


async def test_a_backlog_gets_over_a_line_that_is_too_slow_for_a_full_batch(group: Group) -> None:
    munich = await group.unit("units/munich", agent=False)
    await munich.open_tickets(1_000)
    munich.line.bytes_per_second = 60_000
    size_bytes = sum(len(record.event) for record in await munich.sent())
    assert size_bytes > QUICK.silence_seconds * munich.line.bytes_per_second
    munich.start()
    await munich.caught_up()


async def test_a_policy_that_is_acknowledged_amid_a_backlog_does_not_wait_for_its_end(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "MAX_READ_RECORDS", READ_RECORDS)
    munich = await group.unit("units/munich", agent=False)
    await munich.open_tickets(10 * READ_RECORDS)
    sender, sent = await sender_of(munich), list[str]()
    async with asyncio.timeout(WAIT_SECONDS):
        async for batch in sender.batches(munich.runtime.wakeup):
            sender.window.acknowledge(batch.stream, end_of(batch))
            sent += [batch.stream] * len(batch.events)
            if batch.stream == stream_name(munich.name, "policy"):
                break
            if len(sent) == READ_RECORDS:
                await tell_and_wake(munich, "policy")
    assert len(sent) <= 2 * READ_RECORDS + 1


async def sender_of(unit: Unit) -> Sender:
    """Return who sends a unit's streams to a receiver that has nothing."""
    window = CreditWindow(CREDIT_RECORDS)
    sender = Sender(unit.runtime.database, upstream_sources(unit.name), window, everything)
    await sender.begin({})
    return sender


async def tell_and_wake(unit: Unit, service: str) -> None:
    """Append a fact to one of a unit's streams, and wait until all who follow that have been woken."""
    with unit.runtime.wakeup.subscription([stream_name(unit.name, service)]) as waiter:
        await unit.tell(("policies/1", PolicyAcknowledged()), service=service)
        await waiter.wait()
