"""A unit leaves in good order: its work goes to others, its link is refused, what it has told stays."""

from __future__ import annotations

import pytest

from hanse.errors import HanseError
from hanse.log.follow import START, read_after
from hanse.log.verify import verify
from hanse_federation.headquarters.views import list_units
from hanse_federation.link.showing import list_links
from hanse_federation.membership.retirement import retire_unit
from hanse_federation.model import LOG, GroupEngagement
from hanse_protos.federation.v1 import membership_pb2 as pb
from hanse_protos.federation.v1.group_pb2 import ListUnitsRequest
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
from tests.integration.hanse_federation.test_routing import NAME, answer, offer, sharing_policy

MUNICH = "units/munich"


async def retire(group: Group, unit: str = MUNICH) -> pb.RetireUnitResponse:
    request = pb.RetireUnitRequest(unit=unit, reason="sold")
    response: pb.RetireUnitResponse = await group.execute(retire_unit, request, pb.RetireUnitResponse)
    return response


@pytest.fixture
async def engaged(group: Group, shanghai: Unit, munich: Unit) -> str:
    """An engagement of Shanghai that Munich works on; headquarters' own desk could take it too."""
    await start_unit(group, "units/hq")
    await group.enact(sharing_policy())
    await shanghai.tell((NAME, told.EngagementRequested(engagement=engagement_summary(NAME))))
    await shanghai.caught_up()
    made = await offer(group)
    assert made.provider == MUNICH
    await munich.caught_up()
    await answer(munich, told.EngagementAccepted, 1, ticket.ACCEPTED)
    return NAME


async def test_what_it_worked_on_is_offered_to_the_next(group: Group, engaged: str, shanghai: Unit) -> None:
    assert list((await retire(group)).reassigned_engagements) == [engaged]
    await shanghai.caught_up()
    assert (await shanghai.told_types())[-2:] == ["EngagementReassigned", "EngagementOffered"]
    row = await group.hq.database.read(lambda session: session.get_one(GroupEngagement, engaged))
    assert (row.state, row.provider, row.offer) == (ticket.OFFERED, "units/hq", 2)


async def test_nothing_new_is_offered_to_it(group: Group, engaged: str, shanghai: Unit) -> None:
    await retire(group)
    name = "units/shanghai/tickets/t2/engagements/e1"
    await shanghai.tell((name, told.EngagementRequested(engagement=engagement_summary(name))))
    await shanghai.caught_up()
    assert (await offer(group, name)).provider == "units/hq"


async def test_its_open_tickets_are_listed(group: Group, munich: Unit) -> None:
    await munich.open_tickets(3)
    closed = "units/munich/tickets/t2"
    await munich.tell((closed, told.TicketClosed(ticket=summary(closed, state=ticket.CLOSED))))
    await munich.caught_up()
    answered = await retire(group)
    assert list(answered.open_tickets) == ["units/munich/tickets/t1", "units/munich/tickets/t3"]
    assert answered.open_ticket_count == 2


async def test_what_it_had_asked_for_is_called_off(group: Group, engaged: str, munich: Unit) -> None:
    assert list((await retire(group, "units/shanghai")).withdrawn_engagements) == [engaged]
    await munich.caught_up()
    assert (await munich.told_types())[-1] == "EngagementOfferWithdrawn"


async def test_its_link_is_refused_and_its_copy_verifies(group: Group, munich: Unit) -> None:
    await munich.open_tickets(4)
    await munich.caught_up()
    await retire(group)

    async def refused() -> bool:
        answered = await group.hq.database.read(list_units, ListUnitsRequest())
        [status] = [each for each in answered.units if each.unit == MUNICH]
        return not status.reachable and "UNIT_RETIRED" in status.last_error

    await eventually(refused)
    stream = "units/munich/streams/ticket"
    assert (await group.hq.database.read(verify, LOG, stream)).intact
    assert len(await group.hq.database.read(read_after, LOG, stream, START, EVERYTHING)) == 4


async def test_its_link_is_shown_no_more(group: Group, munich: Unit) -> None:
    await retire(group)
    links = (await group.hq.database.read(list_links, group.hq.unit)).links
    assert MUNICH not in {link.unit for link in links}


async def test_retiring_a_unit_again_finds_nothing_more_to_do(group: Group, engaged: str) -> None:
    assert (await retire(group)).reassigned_engagements
    assert not (await retire(group)).reassigned_engagements


async def test_headquarters_does_not_retire(group: Group) -> None:
    with pytest.raises(HanseError) as raised:
        await retire(group, "units/hq")
    assert raised.value.reason == "VALIDATION_FAILED"
