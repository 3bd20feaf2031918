"""A shared desk's queue, as the desk of each unit sees it."""

from __future__ import annotations

import pytest

from hanse_protos.ticket.v1 import ticket_pb2 as pb
from tests.integration.hanse_services.ticket.desk import MUNICH, SHANGHAI, Desk, StartDesk
from tests.integration.hanse_services.ticket.engaged import Engaged, engaged_at

VIENNA = "units/vienna"


@pytest.fixture
async def munich(start_desk: StartDesk) -> Desk:
    """Munich's desk, which is offered an engagement together with Vienna's."""
    return await start_desk(MUNICH)


async def queued(munich: Desk) -> Engaged:
    engaged = Engaged(f"{SHANGHAI}/tickets/1/engagements/e1")
    await munich.is_told(engaged.requested())
    await munich.is_told(engaged.offered_to_desk(MUNICH, VIENNA))
    return engaged


async def test_a_unit_of_the_desk_sees_it_in_its_queue_and_can_take_it(munich: Desk) -> None:
    engaged = await queued(munich)
    seen = await munich.engagement(engaged.name)
    assert (seen.state, seen.desk, seen.provider) == (pb.OFFERED, "displays", MUNICH)
    assert (await munich.engage("AcceptEngagement", engaged.name)).state == pb.ACCEPTED


@pytest.mark.parametrize("accepts", [False, True])
async def test_who_was_not_the_first_loses_it_whether_it_has_accepted_or_not(munich: Desk, accepts: bool) -> None:
    engaged = await queued(munich)
    if accepts:
        await munich.engage("AcceptEngagement", engaged.name)
    await munich.is_told(engaged.offer_withdrawn())
    assert (await munich.engagement(engaged.name)).state == pb.WITHDRAWN


async def test_a_withdrawal_from_another_unit_of_the_desk_is_not_ours(munich: Desk) -> None:
    engaged = await queued(munich)
    await munich.is_told(Engaged(engaged.name, VIENNA).offer_withdrawn())
    assert (await munich.engagement(engaged.name)).state == pb.OFFERED


async def test_the_home_unit_hands_over_to_whom_headquarters_lets_through(desk: Desk) -> None:
    engaged = await engaged_at(desk, pb.REQUESTED, provider=VIENNA)
    await desk.is_told(engaged.offered_to_desk(MUNICH, VIENNA))
    assert (await desk.engagement(engaged.name)).provider == ""
    await desk.is_told(engaged.accepted())
    engagement, ticket = await desk.engagement(engaged.name), await desk.get(engaged.ticket)
    assert (engagement.state, engagement.provider, ticket.holder) == (pb.ACCEPTED, VIENNA, VIENNA)


async def test_a_decline_by_one_unit_of_the_desk_leaves_the_offer_as_it_is_at_home(desk: Desk) -> None:
    engaged = await engaged_at(desk, pb.REQUESTED)
    await desk.is_told(engaged.offered_to_desk(MUNICH, VIENNA))
    await desk.is_told(engaged.declined())
    assert (await desk.engagement(engaged.name)).state == pb.OFFERED
