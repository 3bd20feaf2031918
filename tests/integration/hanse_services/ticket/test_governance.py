"""What governed a ticket has an answer for every minute of its life."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hanse.policy import load_override_yaml
from hanse.policy.store import PolicyStore
from hanse.times import timestamp
from hanse_protos.policy.v1.tuning_pb2 import PolicyOverride
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_services.ticket.model import SCHEMA
from tests.integration.hanse_services.ticket.desk import MUNICH, SHANGHAI, Desk, policy, refused
from tests.integration.hanse_services.ticket.engaged import Engaged


async def governance(desk: Desk, ticket: str, at: datetime | None = None) -> rpc.Governance:
    request = rpc.GetGovernanceRequest(name=ticket, time=timestamp(at) if at else None)
    answer: rpc.Governance = await desk.tickets.GetGovernance(request)
    return answer


async def test_a_ticket_is_governed_by_what_it_was_opened_under_whatever_comes_into_force_later(desk: Desk) -> None:
    store = PolicyStore(SCHEMA)
    document = load_override_yaml("targets: [{target: every, resolution: 15h}]")
    for version in (1, 2):
        override = PolicyOverride(unit=desk.unit, version=version, document=document)
        await desk.runtime.database.write(store.tune, override)
        if version == 1:
            desk.clock.now = datetime.now(UTC)
            ticket = await desk.open()
    await desk.runtime.database.write(store.enact, policy(2))
    desk.clock.now = datetime.now(UTC)
    found = await governance(desk, ticket.name)
    assert (found.policy, found.override) == ("policies/1", f"{SHANGHAI}/policyOverrides/1")
    assert (found.policy_in_force, found.override_in_force) == ("policies/2", f"{SHANGHAI}/policyOverrides/2")
    assert (found.holder, found.calendar) == (SHANGHAI, "always")
    then = await governance(desk, ticket.name, ticket.open_time.ToDatetime(UTC))
    assert (then.policy_in_force, then.override_in_force) == ("policies/1", f"{SHANGHAI}/policyOverrides/1")


async def test_a_minute_before_the_ticket_was_opened_is_refused(desk: Desk) -> None:
    desk.clock.now = datetime.now(UTC)
    ticket = await desk.open()
    for wrong in (desk.clock.now - timedelta(minutes=1), datetime.now(UTC) + timedelta(days=1)):
        with refused() as refusal:
            await governance(desk, ticket.name, wrong)
        assert refusal.reason == "VALIDATION_FAILED"


async def test_while_a_provider_works_the_minute_is_the_providers_and_the_policy_stays(desk: Desk) -> None:
    start = desk.clock.now = datetime.now(UTC) - timedelta(hours=2)
    requested = await desk.engage("RequestEngagement", (await desk.open()).name)
    engaged = Engaged(requested.name)
    await desk.is_told(engaged.offered(at=start))
    await desk.is_told(engaged.accepted(at=start + timedelta(minutes=10)))
    await desk.is_told(engaged.delivered(at=start + timedelta(minutes=60)))
    desk.clock.now = start + timedelta(hours=2)
    found = [await governance(desk, engaged.ticket, start + timedelta(minutes=minute)) for minute in (5, 30, 90)]
    assert [(each.holder, each.calendar, each.engagement) for each in found] == [
        (SHANGHAI, "always", ""),
        (MUNICH, "office", engaged.name),
        (SHANGHAI, "always", ""),
    ]
    assert {each.policy for each in found} == {"policies/1"} == {found[1].engagement_policy}


async def test_what_the_conditions_saw_is_told_for_a_minute_that_is_past(desk: Desk) -> None:
    start = desk.clock.now = datetime.now(UTC) - timedelta(hours=2)
    ticket = (await desk.open()).name
    for minutes, verb, fields in (
        (10, "EscalateTicket", {}),
        (20, "PauseTicket", {"waiting_for": "customer"}),
        (30, "ResumeTicket", {}),
    ):
        desk.clock.now = start + timedelta(minutes=minutes)
        await desk.do(verb, ticket, **fields)
    desk.clock.now = start + timedelta(hours=2)
    found = [await governance(desk, ticket, start + timedelta(minutes=minute)) for minute in (5, 15, 25, 35)]
    assert [(each.facts.tier, each.current.state, each.current.waiting_for) for each in found] == [
        (1, "NEW", ""),
        (2, "IN_PROGRESS", ""),
        (2, "WAITING", "customer"),
        (2, "IN_PROGRESS", ""),
    ]
