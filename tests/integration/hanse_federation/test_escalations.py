"""What a unit escalates to headquarters is shown there, and headquarters' word that it was seen goes back home."""

from hanse.times import timestamp
from hanse_federation.headquarters.escalations import acknowledge_group_escalation, list_group_escalations
from hanse_protos.federation.v1 import group_pb2 as pb
from hanse_protos.policy.v1.policy_pb2 import HierarchyStep
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1.escalation_pb2 import Escalation
from hanse_protos.ticket.v1.ticket_pb2 import Clock
from tests.integration.hanse_federation.group import Group, Unit, summary
from tests.support import OCCUR_TIME

TICKET = "units/shanghai/tickets/t1"


async def raise_to(unit: Unit, number: int, level: HierarchyStep.Level.ValueType) -> str:
    """Let a unit tell a level of a ticket."""
    name = f"{TICKET}/escalations/{number}"
    escalation = Escalation(
        name=name, ticket=TICKET, level=level, kind=Clock.RESOLUTION, percent=150, raise_time=timestamp(OCCUR_TIME)
    )
    await unit.tell((name, told.TicketEscalationRaised(ticket=summary(TICKET), escalation=escalation)))
    await unit.caught_up()
    return name


async def shown(group: Group) -> list[tuple[str, str]]:
    request = pb.ListGroupEscalationsRequest(unacknowledged=True)
    answer = await group.hq.database.read(list_group_escalations, request)
    return [(each.name, each.acknowledger) for each in answer.escalations]


async def test_headquarters_sees_what_it_is_told_and_the_home_unit_hears_that_it_was_seen(
    group: Group, shanghai: Unit, munich: Unit
) -> None:
    await group.enact()
    await raise_to(shanghai, 1, HierarchyStep.UNIT_MANAGER)
    name = await raise_to(shanghai, 2, HierarchyStep.HEADQUARTERS)
    assert await shown(group) == [(name, "")]
    for _ in range(2):
        seen = await group.execute(
            acknowledge_group_escalation, pb.AcknowledgeGroupEscalationRequest(name=name), Escalation
        )
    await shanghai.caught_up()
    assert (seen.acknowledger, await shown(group)) == ("units/hq/services/escalation", [])
    assert await shanghai.told_types() == ["TicketEscalationSeen"]
    assert await munich.told_types() == []
