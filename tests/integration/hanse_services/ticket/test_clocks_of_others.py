"""A ticket changes hands in the order in which that is told, whatever the clock of who tells it says."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from google.protobuf.message import Message

from hanse.times import instant
from hanse_protos.log.v1.log_pb2 import Event
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from tests.integration.hanse_services.ticket.desk import MONDAY, MUNICH, SHANGHAI, Desk
from tests.integration.hanse_services.ticket.engaged import Engaged, engaged_at
from tests.integration.hanse_services.ticket.test_agreements import agree
from tests.integration.hanse_services.ticket.test_clocks import resolution
from tests.integration.hanse_services.ticket.test_repair import explain
from tests.integration.hanse_services.ticket.test_restoring import lose_and_restore, without_texts

HOUR = timedelta(hours=1)


@pytest.fixture
async def agreed(desk: Desk) -> Desk:
    """Shanghai's desk, with four hours agreed with who provides."""
    return await agree(desk)


async def held(desk: Desk, ticket: str) -> list[tuple[str, float]]:
    """Return who held a ticket, and from how many hours after Monday's begin on."""
    clock = resolution(await desk.get(ticket))
    return [(segment.unit, (instant(segment.start_time) - MONDAY) / HOUR) for segment in clock.segments]


async def is_settled(desk: Desk, engaged: Engaged, state: str) -> bool:
    """Whether the provider's clock is in a state, and the rows are what history makes of them, now and later."""
    [clock] = (await desk.engagement(engaged.name)).clocks
    found = [pb.Clock.State.Name(clock.state) == state]
    for hours in (0, 8):
        desk.clock.advance(hours=hours)
        await desk.evaluate(engaged.ticket)
        found.append((await explain(desk, engaged.ticket)).agrees)
    return all(found)


async def test_a_provider_whose_clock_is_set_back_delivers_when_it_accepted_and_not_before(agreed: Desk) -> None:
    engaged = await engaged_at(agreed, pb.OFFERED)
    await agreed.is_told(engaged.accepted(at=agreed.clock.advance(hours=2)))
    agreed.clock.advance(hours=1)
    await agreed.is_told(engaged.delivered(at=MONDAY + 1.5 * HOUR))
    assert await held(agreed, engaged.ticket) == [(SHANGHAI, 0), (MUNICH, 2), (SHANGHAI, 2)]
    engagement = await agreed.engagement(engaged.name)
    assert [instant(time) for time in (engagement.accept_time, engagement.deliver_time)] == [MONDAY + 2 * HOUR] * 2
    assert instant(resolution(await agreed.get(engaged.ticket)).due_time) == MONDAY + 10 * HOUR
    assert await is_settled(agreed, engaged, "MET")


async def test_a_provider_whose_clock_is_behind_delivers_again_after_the_rejection(agreed: Desk) -> None:
    engaged = await engaged_at(agreed, pb.OFFERED)

    def behind() -> datetime:
        return agreed.clock.advance(hours=1) - 2 * HOUR

    agreed.clock.advance(hours=2)
    await agreed.is_told(engaged.accepted(at=behind()))
    await agreed.is_told(engaged.delivered(at=behind()))
    agreed.clock.advance(minutes=30)
    await agreed.engage("RejectEngagement", engaged.name)
    await agreed.is_told(engaged.delivered(at=behind()))
    assert await held(agreed, engaged.ticket) == [
        (SHANGHAI, 0), (MUNICH, 1), (SHANGHAI, 2), (MUNICH, 4.5), (SHANGHAI, 4.5),
    ]  # fmt: skip
    assert await is_settled(agreed, engaged, "MET")


async def test_a_provider_accepts_when_it_was_asked_for_and_not_before(agreed: Desk) -> None:
    agreed.clock.now = MONDAY - 24 * HOUR
    name = (await agreed.open()).name
    agreed.clock.advance(hours=12)
    # Both of the customer's clocks have run out by now, and at 90 per cent Munich was to be asked.
    await agreed.evaluate(name)
    engaged = Engaged(f"{name}/engagements/e1")
    await agreed.is_told(engaged.offered())
    await agreed.is_told(engaged.accepted(at=MONDAY - 72 * HOUR))
    assert await held(agreed, name) == [(SHANGHAI, -24), (MUNICH, -12)]
    assert "SlaBreachWithdrawn" not in await agreed.told_types()
    assert await is_settled(agreed, engaged, "RUNNING")


async def test_a_provider_tells_of_no_delivery_before_its_acceptance_though_its_own_clock_was_set_back(
    munich: Desk,
) -> None:
    engaged = await engaged_at(munich, pb.ACCEPTED)
    munich.clock.advance(hours=-1)
    await munich.engage("DeliverEngagement", engaged.name)
    fact = await munich.fact(told.EngagementDelivered)
    assert instant(Event.FromString(fact.event).occur_time) == MONDAY


async def test_an_engagement_whose_provider_s_clock_is_behind_comes_back_as_it_was(agreed: Desk) -> None:
    engaged = await engaged_at(agreed, pb.OFFERED)
    for step in (engaged.accepted, engaged.delivered, None, engaged.delivered):
        now = agreed.clock.advance(hours=3)
        if step is None:
            await agreed.engage("RejectEngagement", engaged.name)
        else:
            await agreed.is_told(step(at=now - 5 * HOUR))
    before = [await engagement_of(agreed, engaged), await held(agreed, engaged.ticket)]
    await lose_and_restore(agreed)
    assert [await engagement_of(agreed, engaged), await held(agreed, engaged.ticket)] == before


async def engagement_of(desk: Desk, engaged: Engaged) -> Message:
    """Return an engagement without what is lost, and without the ticket as who told the last fact had it."""
    engagement = await desk.engagement(engaged.name)
    engagement.ClearField("ticket")
    return without_texts(engagement)
