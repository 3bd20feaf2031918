"""What the provider's desk does about what headquarters and the home unit tell of an engagement."""

from __future__ import annotations

import pytest

from hanse.times import timestamp
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from tests.integration.hanse_services.ticket.desk import (
    HEADQUARTERS,
    MONDAY,
    MUNICH,
    SHANGHAI,
    Desk,
    StartDesk,
    refused,
)
from tests.integration.hanse_services.ticket.engaged import OFFER_LASTS, Engaged, engaged_at
from tests.support import record_of

OSLO = "units/oslo"


async def state_of(desk: Desk, engaged: Engaged) -> pb.EngagementState.ValueType:
    return (await desk.engagement(engaged.name)).state


async def test_an_offered_engagement_shows_what_the_home_unit_shares(munich: Desk) -> None:
    engaged = await engaged_at(munich, pb.OFFERED)
    engagement = await munich.engagement(engaged.name)
    assert (engagement.title, engagement.description, engagement.reason) == ("Screen is dark", "Since noon", "90 %")


async def test_a_ticket_that_an_engagement_shares_is_read_at_the_provider(munich: Desk) -> None:
    engaged = await engaged_at(munich, pb.OFFERED)
    ticket = await munich.get(engaged.ticket)
    assert (ticket.name, ticket.title, ticket.category) == (engaged.ticket, "Screen is dark", "display")


async def test_a_ticket_that_is_shared_is_not_changed_by_the_provider(munich: Desk) -> None:
    engaged = await engaged_at(munich, pb.ACCEPTED)
    with refused() as refusal:
        await munich.do("ResolveTicket", engaged.ticket)
    assert refusal.reason == "RESOURCE_NOT_FOUND"


async def test_without_a_grant_the_engagement_comes_without_its_texts(munich: Desk) -> None:
    engaged = Engaged(f"{SHANGHAI}/tickets/2/engagements/e1")
    fact = engaged.requested()
    fact.ClearField("sealed")
    await munich.is_told(fact)
    await munich.is_told(engaged.offered())
    assert (await munich.engage("AcceptEngagement", engaged.name)).title == ""


async def test_a_declined_offer_can_be_made_again(munich: Desk) -> None:
    engaged = await engaged_at(munich, pb.DECLINED)
    again = Engaged(engaged.name, MUNICH, offer=2)
    await munich.is_told(again.requested())
    await munich.is_told(again.offered())
    accepted = await munich.engage("AcceptEngagement", engaged.name)
    assert (accepted.state, accepted.offer) == (pb.ACCEPTED, 2)


@pytest.mark.parametrize("state", [pb.ACCEPTED, pb.DELIVERED], ids=pb.EngagementState.Name)
async def test_an_acceptance_that_came_too_late_is_taken_back_whatever_was_done_since(
    munich: Desk, state: pb.EngagementState.ValueType
) -> None:
    engaged = await engaged_at(munich, state)
    await munich.is_told(engaged.offer_withdrawn())
    assert await state_of(munich, engaged) == pb.WITHDRAWN


async def test_after_a_late_acceptance_the_next_offer_begins_afresh(munich: Desk) -> None:
    engaged = await engaged_at(munich, pb.ACCEPTED)
    await munich.is_told(engaged.offer_withdrawn())
    await munich.is_told(Engaged(engaged.name, MUNICH, offer=2).offered())
    engagement = await munich.engagement(engaged.name)
    assert (engagement.state, engagement.assignee, engagement.HasField("accept_time")) == (pb.OFFERED, "", False)


@pytest.mark.parametrize("state", [pb.OFFERED, pb.ACCEPTED, pb.DELIVERED], ids=pb.EngagementState.Name)
async def test_a_withdrawal_reaches_the_provider_also_when_a_delivery_crossed_it(
    munich: Desk, state: pb.EngagementState.ValueType
) -> None:
    engaged = await engaged_at(munich, state)
    await munich.is_told(engaged.withdrawn())
    assert await state_of(munich, engaged) == pb.WITHDRAWN


async def test_a_rejected_solution_is_delivered_again_and_confirmed(munich: Desk) -> None:
    engaged = await engaged_at(munich, pb.DELIVERED)
    await munich.is_told(engaged.rejected())
    assert await state_of(munich, engaged) == pb.ACCEPTED
    await munich.engage("DeliverEngagement", engaged.name, solution="Changed the screen")
    await munich.is_told(engaged.confirmed())
    assert await state_of(munich, engaged) == pb.CONFIRMED


WRONG_WRITERS = [
    ("offered", pb.REQUESTED, SHANGHAI),
    ("expired", pb.OFFERED, SHANGHAI),
    ("offer_withdrawn", pb.ACCEPTED, SHANGHAI),
    ("confirmed", pb.DELIVERED, MUNICH),
    ("confirmed", pb.DELIVERED, OSLO),
    ("confirmed", pb.DELIVERED, HEADQUARTERS),
    ("rejected", pb.DELIVERED, OSLO),
    ("withdrawn", pb.ACCEPTED, OSLO),
    ("accepted", pb.OFFERED, OSLO),
    ("accepted", pb.OFFERED, MUNICH),
]


@pytest.mark.parametrize(("step", "state", "writer"), WRONG_WRITERS)
async def test_a_fact_by_a_unit_that_may_not_write_it_changes_nothing(
    munich: Desk, step: str, state: pb.EngagementState.ValueType, writer: str
) -> None:
    engaged = await engaged_at(munich, state)
    before, head = await munich.engagement(engaged.name), await munich.head()
    await munich.is_told(getattr(engaged, step)(by=writer))
    assert (await munich.engagement(engaged.name), await munich.head()) == (before, head)


async def test_an_engagement_in_another_unit_s_name_is_not_kept(munich: Desk) -> None:
    engaged = Engaged(f"{SHANGHAI}/tickets/3/engagements/e1")
    payload = told.EngagementRequested(engagement=engaged.summary(pb.REQUESTED))
    await munich.is_told(record_of(payload, engaged.name, unit=OSLO))
    with refused() as refusal:
        await munich.engagement(engaged.name)
    assert refusal.reason == "RESOURCE_NOT_FOUND"


@pytest.mark.parametrize("step", ["offered", "expired", "offer_withdrawn"])
async def test_what_concerns_an_earlier_offer_does_not_change_the_present_one(munich: Desk, step: str) -> None:
    engaged = await engaged_at(munich, pb.EXPIRED)
    second = Engaged(engaged.name, MUNICH, offer=2)
    await munich.is_told(second.offered())
    before = await munich.engage("AcceptEngagement", engaged.name)
    await munich.is_told(getattr(engaged, step)())
    assert await munich.engagement(engaged.name) == before


async def test_the_two_desks_agree_through_the_whole_protocol(start_desk: StartDesk) -> None:
    home, provider = await start_desk(SHANGHAI), await start_desk(MUNICH)
    name = (await home.engage("RequestEngagement", (await home.open()).name)).name
    await provider.is_told(await home.fact(told.EngagementRequested))
    steps = [
        (provider, "DeclineEngagement", told.EngagementDeclined),
        (provider, "AcceptEngagement", told.EngagementAccepted),
        (provider, "DeliverEngagement", told.EngagementDelivered),
        (home, "RejectEngagement", told.EngagementRejected),
        (provider, "DeliverEngagement", told.EngagementDelivered),
        (home, "ConfirmEngagement", told.EngagementConfirmed),
    ]
    offers = iter(Engaged(name, MUNICH, number) for number in (1, 2))
    for actor, verb, kind in steps:
        if verb in ("DeclineEngagement", "AcceptEngagement"):
            fact = next(offers).offered()
            await home.is_told(fact)
            await provider.is_told(fact)
        await actor.engage(verb, name)
        other = provider if actor is home else home
        assert await other.is_told(await actor.fact(kind))
        states = {(await desk.engagement(name)).state for desk in (home, provider)}
        assert len(states) == 1, verb
    assert states == {pb.CONFIRMED}


async def test_an_offer_runs_out_at_the_time_that_headquarters_set(munich: Desk) -> None:
    engaged = await engaged_at(munich, pb.REQUESTED)
    await munich.is_told(engaged.offered(at=MONDAY))
    assert (await munich.engagement(engaged.name)).offer_expire_time == timestamp(MONDAY + OFFER_LASTS)


@pytest.mark.parametrize("state", [pb.ACCEPTED, pb.DELIVERED], ids=pb.EngagementState.Name)
@pytest.mark.parametrize("fact", ["recalled", "reassignment_requested", "offer_withdrawn"])
async def test_what_is_taken_from_the_provider_is_not_worked_on_any_more(
    munich: Desk, state: pb.EngagementState.ValueType, fact: str
) -> None:
    engaged = await engaged_at(munich, state)
    assert await munich.is_told(getattr(engaged, fact)())
    assert await state_of(munich, engaged) == pb.WITHDRAWN
    with refused() as refusal:
        await munich.engage("NoteEngagementWork", engaged.name)
    assert refusal.reason == "ILLEGAL_TRANSITION"


async def test_another_unit_can_not_ask_for_another_provider(munich: Desk) -> None:
    engaged = await engaged_at(munich, pb.ACCEPTED)
    await munich.is_told(engaged.reassignment_requested(by=OSLO))
    assert await state_of(munich, engaged) == pb.ACCEPTED
