"""What headquarters makes of offers that a home unit has made itself, to a peer, while it could not be reached."""

from __future__ import annotations

from typing import Any

import pytest

from hanse.policy import load_yaml
from hanse.times import timestamp
from hanse_federation.headquarters.routing import expire_offer, offer_engagement
from hanse_federation.headquarters.views import list_group_engagements
from hanse_protos.federation.v1 import group_pb2 as pb
from hanse_protos.policy.v1.policy_pb2 import Policy
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as ticket
from tests.integration.hanse_federation.group import Group, Unit, engagement_summary
from tests.support import OCCUR_TIME, POLICY_YAML

NAME = "units/shanghai/tickets/t1/engagements/e1"
PEER_OFFER = 10_001
HQ_FIRST = """'provider.unit == "units/hq" ? 1 : 0'"""
PEERS = "peers:\n  - units: [units/shanghai, units/munich]\n"


def policy(peers: str = PEERS) -> Policy:
    """Return the small policy, in which headquarters' own desk is asked first."""
    return Policy(name="policies/1", version=1, document=load_yaml(POLICY_YAML.replace("0 - load", HQ_FIRST) + peers))


@pytest.fixture(autouse=True)
async def in_force(group: Group, shanghai: Unit, munich: Unit) -> None:
    await group.enact(policy())


async def tell(unit: Unit, payload_type: Any, state: ticket.EngagementState.ValueType, **fields: Any) -> None:
    """Let a unit tell something on the peer offer, and wait until headquarters has it."""
    values: dict[str, Any] = {"provider": "units/munich", "offer": PEER_OFFER, "peer": True} | fields
    payload = payload_type(engagement=engagement_summary(NAME, state=state, **values))
    if payload_type is told.EngagementOffered:
        payload.expire_time.CopyFrom(timestamp(OCCUR_TIME))
    await unit.tell((NAME, payload), policy_version=1)
    await unit.caught_up()


async def home_asks(shanghai: Unit) -> None:
    await tell(shanghai, told.EngagementRequested, ticket.REQUESTED, provider="", offer=0, peer=False)


async def home_offers(shanghai: Unit) -> None:
    await tell(shanghai, told.EngagementOffered, ticket.OFFERED)


async def offer(group: Group) -> pb.OfferEngagementResponse:
    """Let headquarters' escalation ask for an offer."""
    return await group.execute(offer_engagement, pb.OfferEngagementRequest(name=NAME), pb.OfferEngagementResponse)


async def known(group: Group) -> pb.GroupEngagement:
    request = pb.ListGroupEngagementsRequest(parent="units/-")
    [engagement] = (await group.hq.database.read(list_group_engagements, request)).engagements
    return engagement


async def offers(group: Group) -> list[tuple[int, str, pb.OfferState.ValueType]]:
    return [(each.number, each.provider, each.state) for each in (await known(group)).offers]


async def test_headquarters_adopts_what_the_home_unit_tells_and_offers_nothing(group: Group, shanghai: Unit) -> None:
    await home_asks(shanghai)
    await home_offers(shanghai)
    answer = await offer(group)
    assert (answer.offer.number, answer.offer.provider, answer.offer.peer) == (PEER_OFFER, "units/munich", True)


async def test_what_was_offered_is_passed_on_with_the_request(shanghai: Unit, munich: Unit) -> None:
    await home_asks(shanghai)
    await home_offers(shanghai)
    await munich.caught_up()
    assert await munich.told_types() == ["EngagementRequested", "EngagementOffered"]


async def test_headquarters_adopts_what_the_peer_tells_where_that_comes_first(
    group: Group, shanghai: Unit, munich: Unit
) -> None:
    await tell(munich, told.EngagementAccepted, ticket.ACCEPTED)
    await tell(munich, told.EngagementDelivered, ticket.DELIVERED)
    assert (await known(group)).engagement.state == ticket.DELIVERED
    await home_asks(shanghai)
    await home_offers(shanghai)
    assert (await offer(group)).settled
    assert await offers(group) == [(PEER_OFFER, "units/munich", pb.ACCEPTED)]
    await munich.caught_up()
    assert "EngagementOfferWithdrawn" not in await munich.told_types()


async def test_a_confirmation_that_comes_before_the_acceptance_takes_nothing_back(
    group: Group, shanghai: Unit, munich: Unit
) -> None:
    await home_asks(shanghai)
    await home_offers(shanghai)
    await tell(shanghai, told.EngagementConfirmed, ticket.CONFIRMED)
    await tell(munich, told.EngagementAccepted, ticket.ACCEPTED)
    await munich.caught_up()
    assert (await known(group)).engagement.state == ticket.CONFIRMED
    assert await offers(group) == [(PEER_OFFER, "units/munich", pb.ACCEPTED)]
    assert "EngagementOfferWithdrawn" not in await munich.told_types()


@pytest.mark.parametrize("accepted", [False, True])
@pytest.mark.parametrize("first", ["home", "peer"])
async def test_where_both_have_made_an_offer_the_home_unit_s_counts(
    group: Group, shanghai: Unit, munich: Unit, *, accepted: bool, first: str
) -> None:
    hq_desk = await group.unit("units/hq")
    await home_asks(shanghai)
    assert (await offer(group)).offer.provider == "units/hq"
    if accepted:
        await tell(hq_desk, told.EngagementAccepted, ticket.ACCEPTED, provider="units/hq", offer=1, peer=False)
    if first == "home":
        await home_offers(shanghai)
    await tell(munich, told.EngagementAccepted, ticket.ACCEPTED)
    if first == "peer":
        await home_offers(shanghai)
    await hq_desk.caught_up()
    assert await offers(group) == [
        (1, "units/hq", pb.WITHDRAWN),
        (PEER_OFFER, "units/munich", pb.ACCEPTED),
    ]
    withdrawn = [record for record in await hq_desk.told() if record.type.endswith("EngagementOfferWithdrawn")]
    [payload] = [told.EngagementOfferWithdrawn.FromString(record.decoded().payload) for record in withdrawn]
    assert (payload.engagement.provider, payload.engagement.offer) == ("units/hq", 1)
    assert (await known(group)).engagement.provider == "units/munich"


async def test_the_peer_s_word_alone_starts_no_search(group: Group, shanghai: Unit, munich: Unit) -> None:
    await tell(munich, told.EngagementDeclined, ticket.DECLINED)
    assert (await offer(group)).settled
    await home_asks(shanghai)
    assert (await offer(group)).offer.provider == "units/hq"


async def test_headquarters_goes_on_in_a_series_of_its_own_once_the_home_unit_s_offer_has_ended(
    group: Group, shanghai: Unit
) -> None:
    await home_asks(shanghai)
    await home_offers(shanghai)
    await tell(shanghai, told.EngagementOfferExpired, ticket.EXPIRED)
    answer = await offer(group)
    await shanghai.caught_up()
    offered = told.EngagementOffered.FromString((await shanghai.told())[-1].decoded().payload)
    assert (answer.offer.number, answer.offer.provider, answer.offer.peer) == (20_001, "units/hq", False)
    assert (offered.engagement.offer, offered.engagement.peer) == (20_001, False)


async def test_only_the_home_unit_ends_its_own_offer(group: Group, shanghai: Unit) -> None:
    await home_asks(shanghai)
    await home_offers(shanghai)
    group.later(hours=1)
    request = pb.ExpireOfferRequest(name=NAME, offer=PEER_OFFER)
    after = (await group.execute(expire_offer, request, pb.ExpireOfferResponse)).offer
    assert (after.state, after.expire_time.ToDatetime(group.now.tzinfo) > group.now) == (pb.OPEN, True)


async def test_the_home_unit_has_the_last_word_on_an_acceptance_of_its_own_offer(
    group: Group, shanghai: Unit, munich: Unit
) -> None:
    await home_asks(shanghai)
    await home_offers(shanghai)
    await tell(munich, told.EngagementAccepted, ticket.ACCEPTED)
    # The home unit had ended the offer before the acceptance reached it.
    await tell(shanghai, told.EngagementOfferExpired, ticket.EXPIRED)
    await tell(shanghai, told.EngagementOfferWithdrawn, ticket.WITHDRAWN)
    await munich.caught_up()
    assert (await munich.told_types())[-1] == "EngagementOfferWithdrawn"
    assert (await offer(group)).offer.provider == "units/hq"


async def test_who_is_no_peer_under_the_policy_offers_nothing(group: Group, shanghai: Unit, munich: Unit) -> None:
    stranger = {"provider": "units/hq"}
    await home_asks(shanghai)
    await tell(shanghai, told.EngagementOffered, ticket.OFFERED, **stranger)
    assert await offers(group) == []
