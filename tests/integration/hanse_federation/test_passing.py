"""Headquarters passes texts from one side of an engagement to the other, and keeps none of them for long."""

from typing import Any

import pytest

from hanse.log.follow import START, read_after
from hanse.log.sealing import texts_of
from hanse.names import HEADQUARTERS, downstream_name
from hanse.policy import load_yaml
from hanse_federation.headquarters.routing import offer_engagement
from hanse_federation.model import LOG
from hanse_protos.federation.v1 import group_pb2 as pb
from hanse_protos.policy.v1.policy_pb2 import Policy
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as ticket
from tests.integration.hanse_federation.group import (
    EVERYTHING,
    Group,
    Unit,
    engagement_summary,
    eventually,
    start_unit,
    summary,
)
from tests.support import POLICY_YAML

TICKET = "units/shanghai/tickets/t1"
NAME = f"{TICKET}/engagements/e1"
PREFERENCE = """'provider.unit == "units/munich" ? 1 : 0'"""
SHARING = """
sharing:
  - {events: [EngagementRequested, TicketCommented, EngagementWorkNoted], fields: ["*"], audience: COUNTERPART}
  - {events: [EngagementRequested], fields: [reason], audience: HEADQUARTERS}
"""


async def enact(group: Group, *units: Unit, preference: str = PREFERENCE) -> None:
    document = load_yaml(POLICY_YAML.replace("0 - load", preference) + SHARING)
    policy = Policy(name="policies/1", version=1, document=document)
    await group.enact(policy)
    for unit in units:
        await unit.enact(policy)


@pytest.fixture
async def offered(group: Group, shanghai: Unit, munich: Unit) -> None:
    """An engagement that is offered to Munich, with texts."""
    await enact(group, shanghai, munich)
    request = told.EngagementRequested(engagement=engagement_summary(NAME))
    await shanghai.tell((NAME, request), sealed={"title": "显示屏黑屏", "reason": "90 %"})
    await shanghai.caught_up()
    await group.execute(offer_engagement, pb.OfferEngagementRequest(name=NAME), pb.OfferEngagementResponse)
    await munich.caught_up()


async def answer(unit: Unit, kind: Any, state: int, **sealed: str) -> None:
    await unit.tell(
        (NAME, kind(engagement=engagement_summary(NAME, provider=unit.name, offer=1, state=state))), sealed=sealed
    )
    await unit.caught_up()


async def accept(munich: Unit) -> None:
    await answer(munich, told.EngagementAccepted, ticket.ACCEPTED)


async def in_the_stream_to(group: Group, unit: str) -> list[dict[str, str]]:
    """Return the texts that headquarters keeps in its stream to a unit."""
    records = await group.hq.database.read(read_after, LOG, downstream_name(unit), START, EVERYTHING)
    return [texts for record in records if (texts := texts_of(record.sealed))]


async def test_the_request_keeps_its_texts_while_a_provider_is_looked_for(offered: None, shanghai: Unit) -> None:
    assert texts_of((await shanghai.taken())[0].sealed) == {"title": "显示屏黑屏", "reason": "90 %"}


async def test_once_it_is_taken_only_what_was_granted_to_headquarters_stays(
    offered: None, shanghai: Unit, munich: Unit
) -> None:
    await accept(munich)
    assert texts_of((await shanghai.taken())[0].sealed) == {"reason": "90 %"}


async def test_once_it_is_called_off_too(offered: None, shanghai: Unit, munich: Unit) -> None:
    withdrawn = told.EngagementWithdrawn(engagement=engagement_summary(NAME, state=ticket.WITHDRAWN))
    await shanghai.tell((NAME, withdrawn))
    await shanghai.caught_up()
    assert texts_of((await shanghai.taken())[0].sealed) == {"reason": "90 %"}


async def test_a_note_reaches_the_other_side_and_is_not_in_the_copy(
    offered: None, shanghai: Unit, munich: Unit
) -> None:
    await accept(munich)
    await answer(munich, told.EngagementWorkNoted, ticket.ACCEPTED, text="Netzteil gemessen")
    await shanghai.caught_up()
    assert texts_of((await shanghai.told())[-1].sealed) == {"text": "Netzteil gemessen"}
    assert texts_of((await munich.taken())[-1].sealed) == {}


async def test_a_comment_that_goes_to_nobody_is_not_kept_either(offered: None, shanghai: Unit) -> None:
    comment = told.TicketCommented(ticket=summary(TICKET, holder="units/munich"))
    await shanghai.tell((TICKET, comment), sealed={"text": "Frau Chen calls again"})
    await shanghai.caught_up()
    assert texts_of((await shanghai.taken())[-1].sealed) == {}


async def test_the_stream_to_a_unit_loses_them_when_they_have_arrived(
    group: Group, offered: None, munich: Unit
) -> None:
    async def forgotten() -> bool:
        return await in_the_stream_to(group, munich.name) == []

    await eventually(forgotten)
    assert texts_of((await munich.told())[0].sealed) == {"title": "显示屏黑屏", "reason": "90 %"}
    assert (await munich.verification(downstream_name(munich.name))).intact


async def test_what_waits_for_a_unit_keeps_them(group: Group, offered: None, shanghai: Unit, munich: Unit) -> None:
    await accept(munich)
    munich.line.cut()
    comment = told.TicketCommented(ticket=summary(TICKET, holder="units/munich"))
    await shanghai.tell((TICKET, comment), sealed={"text": "It is dark again"})
    await shanghai.caught_up()
    assert {"text": "It is dark again"} in await in_the_stream_to(group, munich.name)
    munich.line.heal()
    await munich.caught_up()
    assert texts_of((await munich.told())[-1].sealed) == {"text": "It is dark again"}


async def test_headquarters_own_desk_keeps_what_it_was_given(group: Group, shanghai: Unit) -> None:
    desk = await start_unit(group, HEADQUARTERS)
    await enact(group, shanghai, preference="0")
    await shanghai.tell((NAME, told.EngagementRequested(engagement=engagement_summary(NAME))), sealed={"title": "Dark"})
    await shanghai.caught_up()
    await group.execute(offer_engagement, pb.OfferEngagementRequest(name=NAME), pb.OfferEngagementResponse)
    await desk.caught_up()
    await desk.stop()
    assert await in_the_stream_to(group, HEADQUARTERS) == [{"title": "Dark"}]
