"""What the home unit's desk does about what headquarters and the provider tell of an engagement."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hanse.policy.store import PolicyStore
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.model import SCHEMA
from tests.integration.hanse_services.ticket.desk import (
    HEADQUARTERS,
    MONDAY,
    MUNICH,
    SHANGHAI,
    Desk,
    policy,
    refused,
)
from tests.integration.hanse_services.ticket.engaged import Engaged, engaged_at
from tests.integration.hanse_services.ticket.test_clocks import resolution, used
from tests.integration.hanse_services.ticket.test_repair import explain

OSLO = "units/oslo"


async def state_of(desk: Desk, engaged: Engaged) -> pb.EngagementState.ValueType:
    return (await desk.engagement(engaged.name)).state


async def test_an_offer_shows_who_is_asked(desk: Desk) -> None:
    engaged = await engaged_at(desk, pb.OFFERED)
    engagement = await desk.engagement(engaged.name)
    assert (engagement.provider, engagement.offer, engagement.HasField("offer_expire_time")) == (MUNICH, 1, True)


async def test_declined_and_expired_offers_are_followed_by_the_next(desk: Desk) -> None:
    engaged = await engaged_at(desk, pb.DECLINED)
    second = Engaged(engaged.name, HEADQUARTERS, offer=2)
    third = Engaged(engaged.name, MUNICH, offer=3)
    states = []
    for fact in (second.offered(), second.expired(), third.offered(), third.accepted()):
        assert await desk.is_told(fact)
        engagement = await desk.engagement(engaged.name)
        states.append((engagement.state, engagement.provider))
    assert states == [
        (pb.OFFERED, HEADQUARTERS), (pb.EXPIRED, HEADQUARTERS), (pb.OFFERED, MUNICH), (pb.ACCEPTED, MUNICH),
    ]  # fmt: skip


async def test_an_acceptance_hands_the_ticket_over_and_a_delivery_hands_it_back(desk: Desk) -> None:
    engaged = await engaged_at(desk, pb.ACCEPTED)
    assert (await desk.get(engaged.ticket)).holder == MUNICH
    await desk.is_told(engaged.delivered())
    ticket, engagement = await desk.get(engaged.ticket), await desk.engagement(engaged.name)
    assert (ticket.holder, engagement.solution) == (SHANGHAI, "Changed the board")
    assert (await desk.told_types()).count("TicketHandedOver") == 2


async def test_a_rejection_hands_the_ticket_over_again_and_it_can_be_delivered_again(desk: Desk) -> None:
    engaged = await engaged_at(desk, pb.DELIVERED)
    rejected = await desk.engage("RejectEngagement", engaged.name)
    assert (rejected.state, (await desk.get(engaged.ticket)).holder) == (pb.ACCEPTED, MUNICH)
    await desk.is_told(engaged.delivered())
    assert (await desk.engage("ConfirmEngagement", engaged.name)).state == pb.CONFIRMED


async def test_a_withdrawal_takes_the_ticket_back(desk: Desk) -> None:
    engaged = await engaged_at(desk, pb.ACCEPTED)
    await desk.engage("WithdrawEngagement", engaged.name)
    assert (await desk.get(engaged.ticket)).holder == SHANGHAI


async def test_a_ticket_comes_back_when_its_provider_leaves_the_group_and_goes_to_the_next(desk: Desk) -> None:
    engaged = await engaged_at(desk, pb.ACCEPTED)
    await desk.is_told(engaged.reassigned())
    ticket, engagement = await desk.get(engaged.ticket), await desk.engagement(engaged.name)
    assert (ticket.holder, engagement.state, engagement.provider) == (SHANGHAI, pb.REQUESTED, "")
    second = Engaged(engaged.name, HEADQUARTERS, offer=2)
    await desk.is_told(second.offered())
    await desk.is_told(second.accepted())
    assert (await desk.get(engaged.ticket)).holder == HEADQUARTERS


@pytest.mark.parametrize("state", [pb.ACCEPTED, pb.DELIVERED], ids=pb.EngagementState.Name)
async def test_a_recall_takes_the_ticket_back_for_good(desk: Desk, state: pb.EngagementState.ValueType) -> None:
    engaged = await engaged_at(desk, state)
    recalled = await desk.engage("RecallEngagement", engaged.name)
    assert (recalled.state, (await desk.get(engaged.ticket)).holder) == (pb.WITHDRAWN, SHANGHAI)
    # What the provider tells meanwhile changes nothing, and nothing can be confirmed.
    await desk.is_told(engaged.delivered())
    with refused() as refusal:
        await desk.engage("ConfirmEngagement", engaged.name)
    assert refusal.reason == "ILLEGAL_TRANSITION"
    assert (await desk.get(engaged.ticket)).holder == SHANGHAI


async def test_an_engagement_that_is_reassigned_is_held_at_home_until_the_next_provider_accepts(desk: Desk) -> None:
    engaged = await engaged_at(desk, pb.ACCEPTED)
    desk.clock.advance(hours=1)
    reassigned = await desk.engage("ReassignEngagement", engaged.name)
    holders = [(await desk.get(engaged.ticket)).holder]
    await desk.is_told(engaged.delivered(at=desk.clock.now))
    second = Engaged(engaged.name, HEADQUARTERS, offer=2)
    await desk.is_told(second.offered())
    await desk.is_told(second.accepted(at=desk.clock.advance(hours=1)))
    holders.append((await desk.get(engaged.ticket)).holder)
    assert ((reassigned.state, reassigned.provider), holders) == ((pb.REQUESTED, ""), [SHANGHAI, HEADQUARTERS])
    desk.clock.advance(hours=1)
    clock = resolution(await desk.do("CommentTicket", engaged.ticket))
    # An hour on each one's calendar, at 09:00 in Munich: nothing is lost and nothing counts twice.
    assert [segment.unit for segment in clock.segments if segment.used_duration.seconds] == [
        MUNICH, SHANGHAI, HEADQUARTERS,
    ]  # fmt: skip
    assert used(clock) == timedelta(hours=3)


async def test_what_the_final_owner_has_can_not_be_reassigned(desk: Desk) -> None:
    engaged = await engaged_at(desk, pb.ACCEPTED, final=True)
    with refused() as refusal:
        await desk.engage("ReassignEngagement", engaged.name)
    assert (refusal.reason, (await desk.get(engaged.ticket)).holder) == ("ILLEGAL_TRANSITION", MUNICH)


async def test_a_ticket_that_goes_to_and_fro_is_counted_and_stopped(desk: Desk) -> None:
    limited = policy(2)
    limited.document.return_limit.returns = 3
    await desk.runtime.database.write(PolicyStore(SCHEMA).enact, limited)
    engaged = await engaged_at(desk, pb.DELIVERED)
    counted = [(await desk.get(engaged.ticket)).returns]
    await desk.engage("RejectEngagement", engaged.name)
    counted.append((await desk.get(engaged.ticket)).returns)
    await desk.is_told(engaged.delivered())
    counted.append((await desk.get(engaged.ticket)).returns)
    assert counted == [1, 2, 3]
    with refused() as refusal:
        await desk.engage("RejectEngagement", engaged.name)
    assert refusal.reason == "TICKET_RETURNED_TOO_OFTEN"
    assert (await desk.engage("ReassignEngagement", engaged.name)).state == pb.REQUESTED


async def test_the_clocks_run_on_the_provider_s_calendar_from_acceptance_to_delivery(desk: Desk) -> None:
    # Munich works from 08:00 to 16:00 UTC, Shanghai's desk always.
    desk.clock.now = MONDAY + timedelta(hours=6)
    engaged = await engaged_at(desk, pb.OFFERED)
    opened = desk.clock.now
    accepted, delivered = opened + timedelta(hours=1), opened + timedelta(hours=20)
    desk.clock.now = opened + timedelta(hours=22)
    await desk.is_told(engaged.accepted(at=accepted))
    await desk.is_told(engaged.delivered(at=delivered))
    clock = resolution(await desk.do("CommentTicket", engaged.ticket))
    stretches = [
        (segment.unit, segment.calendar, segment.start_time.ToDatetime(MONDAY.tzinfo) - opened, segment.used_duration)
        for segment in clock.segments
    ]
    assert [(unit, calendar, start) for unit, calendar, start, _ in stretches] == [
        (SHANGHAI, "always", timedelta(0)),
        (MUNICH, "office", timedelta(hours=1)),
        (SHANGHAI, "always", timedelta(hours=20)),
    ]
    # 14:00 to 15:00 here; 15:00 to 16:00 and 08:00 to 10:00 there; 10:00 to 12:00 here.
    assert [part.ToTimedelta() / timedelta(hours=1) for *_, part in stretches] == [1, 3, 2]
    assert used(clock) == timedelta(hours=6)


@pytest.mark.parametrize("ahead", [timedelta(days=400), timedelta(days=365 * 200)], ids=["a year", "two centuries"])
async def test_a_provider_whose_clock_is_ahead_has_the_ticket_from_when_the_home_unit_heard_of_it(
    desk: Desk, ahead: timedelta
) -> None:
    engaged = await engaged_at(desk, pb.OFFERED)
    desk.clock.advance(hours=1)
    await desk.is_told(engaged.accepted(at=desk.clock.now + ahead))
    desk.clock.advance(hours=2)
    await desk.is_told(engaged.delivered(at=desk.clock.now + ahead))
    clock = resolution(await desk.do("CommentTicket", engaged.ticket))
    starts = [(segment.unit, segment.start_time.ToDatetime(MONDAY.tzinfo) - MONDAY) for segment in clock.segments]
    assert starts == [(SHANGHAI, timedelta(0)), (MUNICH, timedelta(hours=1)), (SHANGHAI, timedelta(hours=3))]
    engagement = await desk.engagement(engaged.name)
    assert engagement.deliver_time.ToDatetime(MONDAY.tzinfo) == desk.clock.now
    await desk.evaluate(engaged.ticket)
    assert (await explain(desk, engaged.ticket)).agrees


async def test_what_is_heard_of_after_a_pause_counts_from_before_it(desk: Desk) -> None:
    engaged = await engaged_at(desk, pb.OFFERED)
    desk.clock.advance(hours=2)
    await desk.do("PauseTicket", engaged.ticket)
    await desk.is_told(engaged.accepted(at=MONDAY + timedelta(hours=1)))
    clock = resolution(await desk.do("CommentTicket", engaged.ticket))
    assert [(segment.unit, segment.running) for segment in clock.segments] == [
        (SHANGHAI, True), (MUNICH, True), (MUNICH, False),
    ]  # fmt: skip
    assert used(clock) == timedelta(hours=2)


async def test_a_provider_that_joined_the_group_later_works_on_the_home_unit_s_calendar(desk: Desk) -> None:
    engaged = await engaged_at(desk, pb.ACCEPTED, provider=OSLO)
    [*_, segment] = resolution(await desk.do("CommentTicket", engaged.ticket)).segments
    assert (segment.unit, segment.calendar) == (OSLO, "always")


@pytest.mark.parametrize("step", ["offered", "declined", "accepted", "delivered"])
async def test_a_fact_that_is_delivered_twice_is_applied_once(desk: Desk, step: str) -> None:
    state = {"offered": pb.REQUESTED, "declined": pb.OFFERED, "accepted": pb.OFFERED, "delivered": pb.ACCEPTED}[step]
    engaged = await engaged_at(desk, state)
    fact = getattr(engaged, step)()
    assert await desk.is_told(fact)
    before, head = await desk.engagement(engaged.name), await desk.head()
    assert not await desk.is_told(fact)
    assert (await desk.engagement(engaged.name), await desk.head()) == (before, head)


WRONG_WRITERS = [
    ("offered", pb.REQUESTED, MUNICH),
    ("offered", pb.REQUESTED, SHANGHAI),
    ("expired", pb.OFFERED, MUNICH),
    ("accepted", pb.OFFERED, OSLO),
    ("accepted", pb.OFFERED, HEADQUARTERS),
    ("declined", pb.OFFERED, OSLO),
    ("delivered", pb.ACCEPTED, OSLO),
    ("confirmed", pb.DELIVERED, MUNICH),
    ("rejected", pb.DELIVERED, MUNICH),
    ("withdrawn", pb.ACCEPTED, MUNICH),
    ("confirmed", pb.DELIVERED, SHANGHAI),
]


@pytest.mark.parametrize(("step", "state", "writer"), WRONG_WRITERS)
async def test_a_fact_by_a_unit_that_may_not_write_it_changes_nothing(
    desk: Desk, step: str, state: pb.EngagementState.ValueType, writer: str
) -> None:
    engaged = await engaged_at(desk, state)
    before, head = await desk.engagement(engaged.name), await desk.head()
    await desk.is_told(getattr(engaged, step)(by=writer))
    assert (await desk.engagement(engaged.name), await desk.head()) == (before, head)


LATE = [
    ("accepted", pb.REQUESTED),
    ("accepted", pb.DECLINED),
    ("accepted", pb.EXPIRED),
    ("accepted", pb.WITHDRAWN),
    ("accepted", pb.DELIVERED),
    ("declined", pb.ACCEPTED),
    ("declined", pb.WITHDRAWN),
    ("delivered", pb.OFFERED),
    ("delivered", pb.CONFIRMED),
    ("delivered", pb.WITHDRAWN),
    ("expired", pb.ACCEPTED),
    ("expired", pb.WITHDRAWN),
    ("offered", pb.ACCEPTED),
    ("offered", pb.CONFIRMED),
    ("offer_withdrawn", pb.ACCEPTED),
]


@pytest.mark.parametrize(("step", "state"), LATE)
async def test_a_fact_that_no_longer_applies_changes_nothing(
    desk: Desk, step: str, state: pb.EngagementState.ValueType
) -> None:
    engaged = await engaged_at(desk, state)
    before, head = await desk.engagement(engaged.name), await desk.head()
    await desk.is_told(getattr(engaged, step)())
    assert (await desk.engagement(engaged.name), await desk.head()) == (before, head)


@pytest.mark.parametrize("step", ["declined", "accepted", "expired"])
async def test_an_answer_to_an_earlier_offer_does_not_answer_the_present_one(desk: Desk, step: str) -> None:
    engaged = await engaged_at(desk, pb.EXPIRED)
    await desk.is_told(Engaged(engaged.name, MUNICH, offer=2).offered())
    await desk.is_told(getattr(engaged, step)())
    assert await state_of(desk, engaged) == pb.OFFERED


async def test_an_earlier_offer_that_arrives_late_does_not_replace_the_present_one(desk: Desk) -> None:
    engaged = await engaged_at(desk, pb.REQUESTED)
    await desk.is_told(Engaged(engaged.name, HEADQUARTERS, offer=2).offered())
    await desk.is_told(Engaged(engaged.name, MUNICH, offer=1).offered())
    engagement = await desk.engagement(engaged.name)
    assert (engagement.provider, engagement.offer) == (HEADQUARTERS, 2)


async def test_an_offer_that_crossed_the_withdrawal_does_not_revive_the_engagement(desk: Desk) -> None:
    engaged = await engaged_at(desk, pb.REQUESTED)
    await desk.engage("WithdrawEngagement", engaged.name)
    await desk.is_told(engaged.offered())
    assert await state_of(desk, engaged) == pb.WITHDRAWN


async def test_a_provider_can_not_confirm_over_grpc_what_is_not_its_to_confirm(munich: Desk) -> None:
    engaged = await engaged_at(munich, pb.DELIVERED)
    with refused() as refusal:
        await munich.engage("ConfirmEngagement", engaged.name)
    assert refusal.reason == "RESOURCE_NOT_FOUND"
