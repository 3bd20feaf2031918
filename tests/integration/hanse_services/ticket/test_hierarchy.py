"""Those above the desk are told of a clock, level by level, and say that they have seen it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from hanse.identity import Role
from hanse.policy import load_yaml
from hanse.policy.store import PolicyStore
from hanse.times import instant, timestamp
from hanse_protos.policy.v1.policy_pb2 import HierarchyStep, Policy
from hanse_protos.ticket.v1 import escalation_pb2 as rpc
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_protos.ticket.v1.escalation_pb2_grpc import EscalationServiceStub
from hanse_protos.ticket.v1.service_pb2 import EraseCustomerRequest
from hanse_protos.ticket.v1.service_pb2_grpc import CustomerServiceStub
from hanse_services.ticket.model import SCHEMA
from tests.integration.hanse_services.ticket.desk import (
    HEADQUARTERS,
    MUNICH,
    POLICY_YAML,
    Desk,
    new_request_id,
    refused,
)
from tests.integration.hanse_services.ticket.test_clocks import resolution
from tests.integration.hanse_services.ticket.test_further_clocks import RESETTING
from tests.integration.hanse_services.ticket.test_restoring import lose_and_restore
from tests.support import record_of

HIERARCHY = """
hierarchy:
  - {at_percent: 50, level: DESK_LEAD, kind: RESPONSE, when: ticket.priority == "P1"}
  - {at_percent: 120, level: DESK_LEAD, acknowledge_within: 30m}
  - {at_percent: 150, level: UNIT_MANAGER, acknowledge_within: 2h}
"""
LEAD, MANAGER, TOP = HierarchyStep.DESK_LEAD, HierarchyStep.UNIT_MANAGER, HierarchyStep.HEADQUARTERS


async def lead(desk: Desk, text: str, version: int = 2) -> Desk:
    """Put a desk under a policy with the hierarchy, and without a ladder."""
    document = load_yaml(text + HIERARCHY)
    del document.ladder[:]
    policy = Policy(name=f"policies/{version}", version=version, document=document)
    await desk.runtime.database.write(PolicyStore(SCHEMA).enact, policy)
    return desk


@pytest.fixture
async def led(desk: Desk) -> Desk:
    """Shanghai's desk under a policy with a hierarchy; it works around the clock, and a solution has ten hours."""
    return await lead(desk, POLICY_YAML)


async def escalations(desk: Desk, **fields: Any) -> list[rpc.Escalation]:
    """Return the desk's escalations, the first one first."""
    stub = EscalationServiceStub(desk.caller.channel(Role.AGENT))
    reply = await stub.ListEscalations(rpc.ListEscalationsRequest(parent=desk.unit, **fields))
    return list(reversed(reply.escalations))


async def acknowledge(desk: Desk, name: str, *roles: Role) -> rpc.Escalation:
    channel = desk.caller.channel(*(roles or (Role.LEAD, Role.MANAGER)), actor="agents/chen")
    stub = EscalationServiceStub(channel)
    seen: rpc.Escalation = await stub.AcknowledgeEscalation(
        rpc.AcknowledgeEscalationRequest(name=name, request_id=new_request_id())
    )
    return seen


async def after(desk: Desk, name: str, **length: float) -> list[tuple[int, bool]]:
    """Let time pass, do what is due, and return who has been told by then, and whether since nobody below answered."""
    desk.clock.advance(**length)
    await desk.evaluate(name)
    return [(each.level, each.unanswered_below) for each in await escalations(desk)]


async def test_each_level_is_told_when_the_one_below_does_not_answer(led: Desk) -> None:
    name = (await led.open()).name
    assert await after(led, name, hours=11) == []
    assert await after(led, name, hours=1) == [(LEAD, False)]
    answered = await led.evaluate(name)
    assert answered.next_due_time.ToDatetime() == led.clock.now.replace(tzinfo=None) + timedelta(minutes=30)
    assert await after(led, name, minutes=30) == [(LEAD, False), (MANAGER, True)]
    # At 150 % the manager is told already, and still has not answered; two hours later headquarters is.
    assert await after(led, name, hours=2, minutes=29) == [(LEAD, False), (MANAGER, True), (TOP, True)]
    assert await after(led, name, days=9) == [(LEAD, False), (MANAGER, True), (TOP, True)]
    assert (await led.told_types()).count("TicketEscalationRaised") == 3


async def test_nobody_skips_that_the_next_level_is_told_of_silence(led: Desk) -> None:
    name = (await led.open()).name
    await after(led, name, hours=12)
    with refused() as refusal:
        await led.skip_step(name)
    assert refusal.reason == "NOTHING_TO_SKIP"


async def test_who_answers_keeps_it(led: Desk) -> None:
    name = (await led.open()).name
    await after(led, name, hours=12)
    [raised] = await escalations(led, unacknowledged=True)
    seen = await acknowledge(led, raised.name)
    assert (seen.acknowledger, await escalations(led, unacknowledged=True)) == ("units/shanghai/agents/chen", [])
    assert await after(led, name, hours=2, minutes=59) == [(LEAD, False)]
    # The policy's own step for the manager is told all the same.
    assert await after(led, name, minutes=1) == [(LEAD, False), (MANAGER, False)]
    await acknowledge(led, raised.name)
    assert (await led.told_types()).count("TicketEscalationAcknowledged") == 1


async def test_a_lead_does_not_answer_for_the_manager_and_the_manager_does_for_the_lead(led: Desk) -> None:
    name = (await led.open()).name
    await after(led, name, hours=12)
    await after(led, name, minutes=30)
    to_lead, to_manager = await escalations(led)
    with refused() as refusal:
        await acknowledge(led, to_manager.name, Role.LEAD)
    assert refusal.reason == "LEVEL_ABOVE_CALLER"
    for each in (to_manager, to_lead):
        await acknowledge(led, each.name, Role.MANAGER)
    assert await escalations(led, unacknowledged=True) == []


async def test_nobody_is_told_of_what_is_solved(led: Desk) -> None:
    name = (await led.open()).name
    await after(led, name, hours=12)
    await led.do("ResolveTicket", name)
    assert await after(led, name, days=9) == [(LEAD, False)]


async def test_who_was_silent_before_the_clock_began_anew_has_the_next_level_told(desk: Desk) -> None:
    await lead(desk, RESETTING, version=107)
    name = (await desk.open()).name
    await after(desk, name, hours=12)
    desk.clock.advance(minutes=10)
    ticket = await desk.do("AssignTicket", name)
    assert instant(resolution(ticket).start_time) == desk.clock.now
    assert await after(desk, name, minutes=19) == [(LEAD, False)]
    assert await after(desk, name, minutes=1) == [(LEAD, False), (MANAGER, True)]


@pytest.mark.parametrize("is_lost", [False, True])
async def test_nobody_has_to_answer_while_the_ticket_is_solved(led: Desk, *, is_lost: bool) -> None:
    name = (await led.open()).name
    await after(led, name, hours=12)
    led.clock.advance(minutes=10)
    await led.do("ResolveTicket", name)
    led.clock.advance(days=3)
    await led.do("ReopenTicket", name)
    if is_lost:
        await lose_and_restore(led)
    assert await after(led, name, minutes=19) == [(LEAD, False)]
    assert await after(led, name, minutes=1) == [(LEAD, False), (MANAGER, True)]


async def test_the_time_to_answer_is_put_off_while_the_ticket_is_solved(led: Desk) -> None:
    name = (await led.open()).name
    await after(led, name, hours=12)
    led.clock.advance(minutes=10)
    await led.do("ResolveTicket", name)
    [solved] = await escalations(led)
    led.clock.advance(days=3)
    await led.do("ReopenTicket", name)
    [reopened] = await escalations(led)
    assert not solved.HasField("acknowledge_due_time")
    assert instant(reopened.acknowledge_due_time) == led.clock.now + timedelta(minutes=20)


async def test_a_step_is_for_its_kind_of_clock_and_its_tickets(led: Desk) -> None:
    urgent, other = await led.open(priority=pb.P1), await led.open()
    assert await after(led, urgent.name, minutes=30) == await after(led, other.name) == [(LEAD, False)]
    [raised] = await escalations(led)
    assert (raised.ticket, raised.kind) == (urgent.name, pb.Clock.RESPONSE)


async def test_silence_on_one_clock_keeps_nobody_from_being_told_of_another(led: Desk) -> None:
    name = (await led.open(priority=pb.P1)).name
    await after(led, name, minutes=30)
    await after(led, name, hours=12)
    assert [(each.level, each.kind) for each in await escalations(led)][:2] == [
        (LEAD, pb.Clock.RESPONSE),
        (LEAD, pb.Clock.RESOLUTION),
    ]


async def test_only_a_lead_acknowledges(led: Desk) -> None:
    name = (await led.open()).name
    await after(led, name, hours=12)
    stub = EscalationServiceStub(led.caller.channel(Role.AGENT))
    [raised] = await escalations(led)
    with refused() as refusal:
        await stub.AcknowledgeEscalation(
            rpc.AcknowledgeEscalationRequest(name=raised.name, request_id=new_request_id())
        )
    assert refusal.reason == "ROLE_MISSING"


@pytest.mark.parametrize(("by", "counts"), [(HEADQUARTERS, True), (MUNICH, False)])
async def test_what_headquarters_was_told_headquarters_has_seen(led: Desk, by: str, *, counts: bool) -> None:
    name = (await led.open()).name
    for length in ({"hours": 12}, {"minutes": 30}, {"hours": 3}):
        await after(led, name, **length)
    *_, top = await escalations(led)
    with refused() as refusal:
        await acknowledge(led, top.name)
    assert (top.level, refusal.reason) == (TOP, "ILLEGAL_TRANSITION")
    top.acknowledge_time.CopyFrom(timestamp(led.clock.now))
    top.acknowledger = f"{by}/agents/ada"
    seen = told.TicketEscalationSeen(escalation=top)
    await led.is_told(record_of(seen, top.name, unit=by, service="federation"))
    assert ((await escalations(led))[-1].acknowledger == top.acknowledger) is counts


async def test_what_was_told_comes_back_after_a_loss_with_who_is_told_next(led: Desk) -> None:
    name = (await led.open()).name
    await after(led, name, hours=12)
    before = await escalations(led)
    await lose_and_restore(led)
    assert await escalations(led) == before
    assert await after(led, name, minutes=29) == [(LEAD, False)]
    assert await after(led, name, minutes=1) == [(LEAD, False), (MANAGER, True)]


async def test_who_had_escalations_can_be_erased(led: Desk) -> None:
    ticket = await led.open(contact=pb.Contact(display_name="Wang Fang"))
    await after(led, ticket.name, hours=12)
    [raised] = await escalations(led)
    seen = await acknowledge(led, raised.name)
    for verb in ("ResolveTicket", "CloseTicket"):
        await led.do(verb, ticket.name)
    customers = CustomerServiceStub(led.caller.channel(Role.LEAD, actor="agents/chen"))
    erased = await customers.EraseCustomer(
        EraseCustomerRequest(name=ticket.customer, request_id=new_request_id(), ground=pb.REQUEST_OF_PERSON)
    )
    assert (erased.HasField("erase_time"), await escalations(led)) == (True, [seen])
