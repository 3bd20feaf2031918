"""A unit that tells what is another's to tell harms nobody: its record is kept, and is no fact."""

from typing import Any

import pytest
from sqlalchemy import text

from hanse_federation.link.showing import list_alarms
from hanse_protos.federation.v1 import group_pb2 as pb
from hanse_protos.policy.v1.policy_pb2 import HierarchyStep
from hanse_protos.settlement.v1.settlement_pb2 import PAYABLE, ChargePosted
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as ticket
from tests.every_fact import CHARGE, COMPLAINT, ESCALATION, OVERRIDE, TICKET, TOLD
from tests.integration.hanse_federation.group import Group, Unit, start_unit, summary
from tests.integration.hanse_federation.test_metrics import measure
from tests.integration.hanse_federation.test_routing import answer, offer, requested

__all__ = ["requested"]

VIEWS = (
    "group_ticket", "group_clock", "hand_over", "group_escalation", "group_complaint", "group_charge", "unit_override",
    "policy_acknowledgement", "group_engagement", "offer", "erasure",
)  # fmt: skip
"""Whatever headquarters makes of facts."""


async def known(group: Group) -> dict[str, list[Any]]:
    """Return all that headquarters has made of facts, and how much it has passed on with how many texts."""
    queries = {view: f"SELECT * FROM federation.{view} ORDER BY 1, 2" for view in VIEWS}  # noqa: S608 - the words are ours.
    queries["passed on"] = "SELECT stream, hash FROM federation.log_head WHERE stream LIKE 'units/hq/%' ORDER BY 1"
    queries["texts"] = (
        "SELECT stream, count(sealed) FROM federation.log_record WHERE stream LIKE 'units/shanghai/%' GROUP BY 1"
    )
    async with group.hq.database.engine.connect() as connection:
        return {name: list(await connection.execute(text(query))) for name, query in queries.items()}


@pytest.fixture
async def truth(group: Group, requested: str, munich: Unit, shanghai: Unit) -> None:
    """Headquarters knows something of everything that Shanghai, and Munich as its provider, may tell."""
    await offer(group)
    await munich.caught_up()
    await answer(munich, told.EngagementAccepted, 1, ticket.ACCEPTED)
    opened = told.TicketOpened(ticket=summary(TICKET.name))
    opened.ticket.clocks.add(kind=ticket.Clock.RESOLUTION, number=1, state=ticket.Clock.RUNNING)
    raised = told.TicketEscalationRaised(ticket=opened.ticket, escalation=ESCALATION)
    raised.escalation.level = HierarchyStep.HEADQUARTERS
    complaint, charge = told.ComplaintOpened(complaint=COMPLAINT), ChargePosted(charge=CHARGE)
    complaint.complaint.stage, charge.charge.leg = 1, PAYABLE
    await shanghai.tell((TICKET.name, opened))
    await shanghai.tell(
        (TICKET.name, told.TicketHandedOver(ticket=opened.ticket, from_unit=shanghai.name, to_unit=munich.name)),
        (ESCALATION.name, raised),
        (COMPLAINT.name, complaint),
        sealed={"text": "words"},
    )
    await shanghai.tell((CHARGE.name, charge), service="settlement")
    await shanghai.caught_up()
    await munich.caught_up()


def lies_of(unit: str) -> list[tuple[str, Any]]:
    """Return a fact of every kind that is not a unit's to tell about Shanghai's resources."""
    return [(resource, payload) for payload, resource, tellers in TOLD if unit not in tellers]


async def test_what_is_anothers_to_tell_changes_nothing_and_is_an_alarm(
    group: Group, truth: None, munich: Unit
) -> None:
    before, vienna = await known(group), await start_unit(group, "units/vienna")
    admitted = await known(group)
    for unit in (vienna, munich):
        await unit.tell(*lies_of(unit.name), sealed={"text": "a lie"})
        await unit.caught_up()
    after = await known(group)
    assert {name: rows for name, rows in after.items() if rows != admitted[name]} == {}
    assert {name for name, rows in before.items() if not rows} == {"unit_override", "policy_acknowledgement", "erasure"}
    alarms = (await group.hq.database.read(list_alarms, pb.ListAlarmsRequest())).alarms
    assert {(alarm.reason, alarm.subject) for alarm in alarms} == {
        ("FACT_FOREIGN", "units/vienna"),
        ("FACT_FOREIGN", "units/munich"),
    }
    assert all(OVERRIDE.name in alarm.problem for alarm in alarms)
    assert (await measure(group.hq))["hanse.link.foreign_facts", "units/vienna"] > len(VIEWS)


async def test_a_hand_over_that_was_claimed_does_not_stop_the_true_one(
    group: Group, munich: Unit, shanghai: Unit
) -> None:
    hand_over = told.TicketHandedOver(ticket=TICKET, from_unit="units/shanghai", to_unit="units/munich")
    await munich.tell((TICKET.name, hand_over))
    await munich.caught_up()
    await shanghai.tell((TICKET.name, hand_over))
    await shanghai.caught_up()
    rows = (await known(group))["hand_over"]
    assert [(row.ticket, row.home, row.sequence) for row in rows] == [(TICKET.name, "units/shanghai", 1)]
