"""A shared desk: all of its units are asked at once, one of them gets it, and nobody has it twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hanse.log.sealing import texts_of
from hanse.policy import load_yaml
from hanse_federation.headquarters.routing import expire_offer, offer_engagement
from hanse_federation.headquarters.views import list_group_engagements
from hanse_protos.federation.v1 import group_pb2 as pb
from hanse_protos.policy.v1.policy_pb2 import Policy
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as ticket
from tests.integration.hanse_federation.group import Group, Unit, engagement_summary, start_unit
from tests.support import POLICY_YAML

NAME = "units/shanghai/tickets/t1/engagements/e1"
DESK = "displays"
RACES = 10

VIENNA_AND_A_DESK = """
  - {unit: units/vienna, title: Vienna, calendar: always, languages: [de], skills: [display]}
desks:
  - {id: displays, title: Displays, units: [units/munich, units/vienna], when: ticket.category == "display"}
sharing:
  - {events: [EngagementRequested], fields: ["*"], audience: COUNTERPART}
targets:"""
POLICY = Policy(
    name="policies/1",
    version=1,
    document=load_yaml(POLICY_YAML.replace("\ntargets:", VIENNA_AND_A_DESK, 1)),
)


@pytest.fixture
async def vienna(group: Group) -> Unit:
    return await start_unit(group, "units/vienna")


@pytest.fixture(autouse=True)
async def offered(group: Group, shanghai: Unit, munich: Unit, vienna: Unit) -> pb.Offer:
    """Shanghai asks for an engagement, and headquarters offers it to the desk."""
    await group.enact(POLICY)
    for unit in (shanghai, munich, vienna):
        await unit.enact(POLICY)
    requested = told.EngagementRequested(engagement=engagement_summary(NAME))
    await shanghai.tell((NAME, requested), sealed={"title": "显示屏黑屏"})
    await shanghai.caught_up()
    return await offer(group)


async def offer(group: Group, name: str = NAME) -> pb.Offer:
    """Let headquarters make the next offer."""
    request = pb.OfferEngagementRequest(name=name)
    return (await group.execute(offer_engagement, request, pb.OfferEngagementResponse)).offer


async def asked(group: Group, shanghai: Unit, number: int) -> str:
    """Let Shanghai ask for another engagement, and headquarters offer it to the desk; return its name."""
    name = f"units/shanghai/tickets/t{number}/engagements/e1"
    await shanghai.tell((name, told.EngagementRequested(engagement=engagement_summary(name))))
    await shanghai.caught_up()
    await offer(group, name)
    return name


async def tell(unit: Unit, payload_type: Any, state: ticket.EngagementState.ValueType, *, name: str = NAME) -> None:
    """Let a unit of the desk tell something on the first offer."""
    engagement = engagement_summary(name, provider=unit.name, offer=1, state=state, desk=DESK)
    await unit.tell((name, payload_type(engagement=engagement)))


async def settled(*units: Unit) -> None:
    """Wait until what was told has gone up, and what follows has come down."""
    for _ in range(2):
        for unit in units:
            await unit.caught_up()


async def states(group: Group) -> dict[str, ticket.EngagementSummary]:
    request = pb.ListGroupEngagementsRequest(parent="units/-")
    reply = await group.hq.database.read(list_group_engagements, request)
    return {each.engagement.name: each.engagement for each in reply.engagements}


async def offers(group: Group) -> list[pb.OfferState.ValueType]:
    request = pb.ListGroupEngagementsRequest(parent="units/-")
    [engagement] = (await group.hq.database.read(list_group_engagements, request)).engagements
    return [each.state for each in engagement.offers]


async def test_all_units_of_the_desk_are_asked_at_once(
    offered: pb.Offer, munich: Unit, vienna: Unit, shanghai: Unit
) -> None:
    await settled(munich, vienna, shanghai)
    assert (offered.desk, offered.provider, list(offered.units)) == (DESK, "", ["units/munich", "units/vienna"])
    for unit in (munich, vienna):
        assert await unit.told_types() == ["EngagementRequested", "EngagementOffered"]
        assert texts_of((await unit.told())[0].sealed) == {"title": "显示屏黑屏"}
    assert await shanghai.told_types() == ["EngagementOffered"]


async def test_the_first_acceptance_counts_and_the_others_lose_the_offer(
    group: Group, munich: Unit, vienna: Unit, shanghai: Unit
) -> None:
    await tell(munich, told.EngagementAccepted, ticket.ACCEPTED)
    await settled(munich, vienna, shanghai)
    engagement = (await states(group))[NAME]
    assert (engagement.state, engagement.provider) == (ticket.ACCEPTED, "units/munich")
    assert (await vienna.told_types())[2:] == ["EngagementOfferWithdrawn"]
    assert (await munich.told_types())[2:] == []
    assert (await shanghai.told_types())[1:] == ["EngagementAccepted"]


async def test_of_two_that_accept_at_the_same_moment_one_has_it(
    group: Group, munich: Unit, vienna: Unit, shanghai: Unit
) -> None:
    names = [NAME, *[await asked(group, shanghai, number) for number in range(2, RACES + 1)]]
    await asyncio.gather(
        *(
            tell(unit, told.EngagementAccepted, ticket.ACCEPTED, name=name)
            for name in names
            for unit in (munich, vienna)
        )
    )
    await settled(munich, vienna, shanghai)
    winners = {name: engagement.provider for name, engagement in (await states(group)).items()}
    accepted = [record.decoded() for record in await shanghai.told() if record.type.endswith("EngagementAccepted")]
    assert sorted((event.resource, event.unit) for event in accepted) == sorted(winners.items())
    for unit in (munich, vienna):
        lost = {record.resource for record in await unit.told() if record.type.endswith("EngagementOfferWithdrawn")}
        assert lost == {name for name, winner in winners.items() if winner != unit.name}


async def test_the_loser_s_work_goes_nowhere(munich: Unit, vienna: Unit, shanghai: Unit) -> None:
    await tell(munich, told.EngagementAccepted, ticket.ACCEPTED)
    await settled(munich)
    await tell(vienna, told.EngagementAccepted, ticket.ACCEPTED)
    await tell(vienna, told.EngagementDelivered, ticket.DELIVERED)
    await tell(munich, told.EngagementDelivered, ticket.DELIVERED)
    await settled(munich, vienna, shanghai)
    units = [record.decoded().unit for record in await shanghai.told() if record.type.endswith("EngagementDelivered")]
    assert units == ["units/munich"]


async def test_the_offer_stands_until_the_last_unit_has_declined(group: Group, munich: Unit, vienna: Unit) -> None:
    await tell(munich, told.EngagementDeclined, ticket.DECLINED)
    await settled(munich)
    assert await offers(group) == [pb.OPEN]
    await tell(vienna, told.EngagementDeclined, ticket.DECLINED)
    await settled(vienna)
    assert await offers(group) == [pb.DECLINED]
    assert list((await offer(group)).units) == ["units/hq"]


async def test_who_has_declined_can_t_accept(group: Group, munich: Unit, vienna: Unit) -> None:
    await tell(munich, told.EngagementDeclined, ticket.DECLINED)
    await tell(munich, told.EngagementAccepted, ticket.ACCEPTED)
    await settled(munich)
    assert await offers(group) == [pb.OPEN]
    assert (await munich.told_types())[2:] == ["EngagementOfferWithdrawn"]


async def test_an_offer_that_ran_out_ends_for_every_unit_of_the_desk(
    group: Group, offered: pb.Offer, munich: Unit, vienna: Unit, shanghai: Unit
) -> None:
    group.later(minutes=15)
    await group.execute(expire_offer, pb.ExpireOfferRequest(name=NAME, offer=offered.number), pb.ExpireOfferResponse)
    await settled(munich, vienna, shanghai)
    assert {(await unit.told_types())[-1] for unit in (munich, vienna, shanghai)} == {"EngagementOfferExpired"}


async def test_a_withdrawal_by_the_home_unit_reaches_every_unit_of_the_desk(
    munich: Unit, vienna: Unit, shanghai: Unit
) -> None:
    withdrawn = engagement_summary(NAME, state=ticket.WITHDRAWN, desk=DESK)
    await shanghai.tell((NAME, told.EngagementWithdrawn(engagement=withdrawn)))
    await settled(shanghai, munich, vienna)
    assert {(await unit.told_types())[-1] for unit in (munich, vienna)} == {"EngagementWithdrawn"}
