"""The home unit asks its peers itself, and rules on their answers; a desk listens to its peers and to nobody else."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest

from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from tests.integration.hanse_services.ticket.desk import (
    HEADQUARTERS,
    MUNICH,
    POLICY_YAML,
    SHANGHAI,
    Desk,
    StartDesk,
)
from tests.integration.hanse_services.ticket.engaged import OFFER_LASTS, Engaged, engaged_at
from tests.integration.hanse_services.ticket.test_shifts import enact

VIENNA = "units/vienna"
FIRST = 10_001


async def asked(desk: Desk) -> Engaged:
    """Return an engagement that the desk has offered to Munich itself."""
    engaged = await engaged_at(desk, pb.REQUESTED)
    await desk.offer_to_peers(engaged.name, MUNICH)
    return Engaged(engaged.name, MUNICH, offer=FIRST, peer=True)


async def test_a_peer_that_can_be_reached_is_asked(desk: Desk) -> None:
    engaged = await engaged_at(desk, pb.REQUESTED)
    offered = await desk.offer_to_peers(engaged.name, MUNICH)
    assert (offered.state, offered.provider, offered.peer, offered.offer) == (pb.OFFERED, MUNICH, True, FIRST)
    assert (await desk.told_types())[-1] == "EngagementOffered"


@pytest.mark.parametrize("reachable", [(), (HEADQUARTERS,), (VIENNA,)])
async def test_nobody_else_is_asked(desk: Desk, reachable: tuple[str, ...]) -> None:
    engaged = await engaged_at(desk, pb.REQUESTED)
    before = await desk.engagement(engaged.name)
    assert await desk.offer_to_peers(engaged.name, *reachable) == before


async def test_a_peer_is_asked_also_for_a_category_that_the_policy_has_dropped(desk: Desk) -> None:
    engaged = await engaged_at(desk, pb.REQUESTED)
    await enact(desk, POLICY_YAML.replace("id: display,", "id: screens,"))
    assert (await desk.offer_to_peers(engaged.name, MUNICH)).provider == MUNICH


async def test_nobody_is_asked_where_no_version_knows_the_category(desk: Desk) -> None:
    engaged = await engaged_at(desk, pb.REQUESTED)
    await enact(desk, POLICY_YAML.replace("id: display,", "id: screens,"))
    with psycopg.connect(desk.runtime.settings.database_url) as connection:
        connection.execute("UPDATE ticket.engagement SET policy_version = 7")
    assert (await desk.offer_to_peers(engaged.name, MUNICH)).state == pb.REQUESTED


async def test_while_an_offer_stands_no_other_is_made(desk: Desk) -> None:
    engaged = await asked(desk)
    await desk.offer_to_peers(engaged.name, MUNICH)
    assert (await desk.told_types()).count("EngagementOffered") == 1


async def test_what_headquarters_has_offered_is_not_offered_again(desk: Desk) -> None:
    engaged = await engaged_at(desk, pb.DECLINED)
    assert (await desk.offer_to_peers(engaged.name, MUNICH)).state == pb.DECLINED


async def test_an_offer_whose_time_is_up_ends_and_the_peer_is_not_asked_twice(desk: Desk) -> None:
    engaged = await asked(desk)
    desk.clock.now += OFFER_LASTS
    assert (await desk.offer_to_peers(engaged.name, MUNICH)).state == pb.EXPIRED
    assert (await desk.offer_to_peers(engaged.name, MUNICH)).state == pb.EXPIRED
    assert (await desk.told_types())[-2:] == ["EngagementOffered", "EngagementOfferExpired"]


async def test_an_acceptance_hands_the_ticket_over(desk: Desk) -> None:
    engaged = await asked(desk)
    await desk.is_told(engaged.accepted(at=desk.clock.now))
    assert (await desk.get(engaged.ticket)).holder == MUNICH


async def test_an_acceptance_that_comes_too_late_is_taken_back(desk: Desk) -> None:
    engaged = await asked(desk)
    desk.clock.now += OFFER_LASTS
    await desk.offer_to_peers(engaged.name)
    await desk.is_told(engaged.accepted(at=desk.clock.now))
    assert (await desk.get(engaged.ticket)).holder == SHANGHAI
    withdrawn = told.EngagementOfferWithdrawn.FromString((await desk.records())[-1].decoded().payload)
    assert (withdrawn.engagement.provider, withdrawn.engagement.offer) == (MUNICH, FIRST)


async def test_an_offer_that_headquarters_made_meanwhile_changes_nothing(desk: Desk) -> None:
    engaged = await asked(desk)
    await desk.is_told(Engaged(engaged.name, HEADQUARTERS, offer=1).offered())
    assert (await desk.engagement(engaged.name)).provider == MUNICH


async def test_headquarters_goes_on_where_the_peer_has_declined(desk: Desk) -> None:
    engaged = await asked(desk)
    await desk.is_told(engaged.declined())
    await desk.is_told(Engaged(engaged.name, HEADQUARTERS, offer=20_001).offered())
    engagement = await desk.engagement(engaged.name)
    assert (engagement.state, engagement.provider, engagement.peer) == (pb.OFFERED, HEADQUARTERS, False)


# As the peer.


@pytest.fixture
async def munich(start_desk: StartDesk) -> Desk:
    return await start_desk(MUNICH)


async def test_a_peer_s_offer_is_taken_like_any_other(munich: Desk) -> None:
    engaged = Engaged(f"{SHANGHAI}/tickets/1/engagements/e1", MUNICH, offer=FIRST, peer=True)
    await munich.is_told(engaged.requested())
    await munich.is_told(engaged.offered(at=munich.clock.now + timedelta(hours=1), by=SHANGHAI))
    accepted = await munich.engage("AcceptEngagement", engaged.name)
    assert (accepted.state, accepted.peer) == (pb.ACCEPTED, True)
    await munich.is_told(engaged.offer_withdrawn(by=SHANGHAI))
    assert (await munich.engagement(engaged.name)).state == pb.WITHDRAWN


async def test_an_offer_by_a_unit_that_is_no_peer_counts_for_nothing(munich: Desk) -> None:
    engaged = Engaged(f"{VIENNA}/tickets/1/engagements/e1", MUNICH, offer=FIRST, peer=True)
    await munich.is_told(engaged.requested())
    await munich.is_told(engaged.offered(by=VIENNA))
    assert (await munich.engagement(engaged.name)).state == pb.REQUESTED


async def test_the_home_unit_does_not_speak_for_headquarters(munich: Desk) -> None:
    engaged = Engaged(f"{SHANGHAI}/tickets/1/engagements/e1")
    await munich.is_told(engaged.requested())
    await munich.is_told(engaged.offered(by=SHANGHAI))
    assert (await munich.engagement(engaged.name)).state == pb.REQUESTED
