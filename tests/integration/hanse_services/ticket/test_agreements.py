"""What is agreed with tiers, providers and suppliers, and what a ticket that is reclassified is promised."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hanse.policy import load_yaml
from hanse.policy.store import PolicyStore
from hanse.times import instant
from hanse_protos.policy.v1.policy_pb2 import Policy
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.model import SCHEMA
from tests.integration.hanse_services.ticket.desk import MONDAY, MUNICH, POLICY_YAML, SHANGHAI, Desk, StartDesk, refused
from tests.integration.hanse_services.ticket.engaged import Engaged, engaged_at
from tests.integration.hanse_services.ticket.test_clocks import resolution
from tests.integration.hanse_services.ticket.test_repair import explain, repaired

AGREED = POLICY_YAML.replace(
    "targets:\n",
    """agreements:
  - {id: tier-1, kind: TIER, when: ticket.tier == 1, duration: 2h}
  - {id: provider, kind: ENGAGEMENT, duration: 4h, warn_percents: [50]}
  - {id: acme, kind: SUPPLIER, supplier: acme-panels, duration: 8h, clock: {time: ELAPSED}}
targets:
  - {id: p1, when: 'ticket.priority == "P1"', response: 10m, resolution: 4h, warn_percents: [50]}
""",
)


async def agree(desk: Desk, text: str = AGREED, version: int = 103) -> Desk:
    # A desk keeps what it has compiled of a version, so no other test has this one.
    policy = Policy(name=f"policies/{version}", version=version, document=load_yaml(text))
    await desk.runtime.database.write(PolicyStore(SCHEMA).enact, policy)
    return desk


@pytest.fixture
async def agreed(desk: Desk) -> Desk:
    """Shanghai's desk, with agreements in its policy."""
    return await agree(desk)


def clocks(ticket: pb.Ticket, towards: pb.Clock.Towards.ValueType) -> dict[str, tuple[str, timedelta]]:
    return {
        clock.party: (pb.Clock.State.Name(clock.state), clock.used_duration.ToTimedelta())
        for clock in ticket.clocks
        if clock.towards == towards
    }


async def test_a_tier_has_its_time_for_its_stay_and_running_out_is_no_breach_of_the_ticket(agreed: Desk) -> None:
    name = (await agreed.open()).name
    agreed.clock.advance(hours=3)
    answer = await agreed.evaluate(name)
    assert "BREACH on TIER_WORK at 100 %" in answer.actions
    breached = [told.SlaBreached.FromString(r.decoded().payload) for r in await agreed.records() if "SlaBr" in r.type]
    by_tier = next(each for each in breached if each.kind == pb.Clock.TIER_WORK)
    assert (by_tier.towards, by_tier.party) == (pb.Clock.UNIT, "tier-1")
    ticket = await agreed.do("EscalateTicket", name)
    # There is no agreement for tier 2.
    assert clocks(ticket, pb.Clock.UNIT) == {"tier-1": ("BREACHED", timedelta(hours=3))}


async def test_what_was_agreed_alone_breaks_no_promise_to_the_customer(agreed: Desk) -> None:
    name = (await agreed.open()).name
    await agreed.do("CommentTicket", name, public=True)
    agreed.clock.advance(hours=3)
    # It climbs before anybody has noticed that the tier was late: the clock ends, and breaches first.
    await agreed.do("EscalateTicket", name)
    last = await agreed.records()
    breached = next(told.SlaBreached.FromString(r.decoded().payload) for r in last if "SlaBreached" in r.type)
    assert (breached.kind, breached.ticket.breached) == (pb.Clock.TIER_WORK, False)


async def test_a_provider_s_clock_runs_from_acceptance_to_delivery_and_goes_on_after_a_rejection(agreed: Desk) -> None:
    engaged = await engaged_at(agreed, pb.OFFERED)
    await agreed.is_told(engaged.accepted(at=MONDAY))
    await agreed.is_told(engaged.delivered(at=agreed.clock.advance(hours=1)))
    agreed.clock.now = MONDAY + timedelta(hours=3)
    await agreed.engage("RejectEngagement", engaged.name)
    agreed.clock.advance(hours=2)
    [clock] = (await agreed.engagement(engaged.name)).clocks
    assert (clock.party, clock.engagement, clock.number) == (MUNICH, engaged.name, 1)
    ticket = await agreed.do("AssignTicket", engaged.ticket)
    # Munich's calendar counts: an hour before the delivery, two after the rejection; Shanghai's tier stood meanwhile.
    assert clocks(ticket, pb.Clock.UNIT)[MUNICH] == ("RUNNING", timedelta(hours=3))
    assert clocks(ticket, pb.Clock.UNIT)["tier-1"][1] == timedelta(hours=2)


async def test_the_provider_sees_the_same_clock_from_what_it_knows(start_desk: StartDesk) -> None:
    munich = await agree(await start_desk(MUNICH))
    engaged = Engaged(f"{SHANGHAI}/tickets/1/engagements/e1", policy_version=103)
    await munich.is_told(engaged.requested())
    await munich.is_told(engaged.offered())
    await munich.engage("AcceptEngagement", engaged.name)
    [clock] = (await munich.engagement(engaged.name)).clocks
    assert (clock.kind, clock.party, clock.target) == (pb.Clock.ENGAGEMENT_WORK, MUNICH, "provider")
    assert clock.due_time.ToDatetime(MONDAY.tzinfo) == MONDAY + timedelta(hours=4)


async def test_a_supplier_s_clock_runs_while_the_ticket_waits_for_it_by_name(agreed: Desk) -> None:
    name = (await agreed.open()).name
    await agreed.do("PauseTicket", name, waiting_for="vendor", supplier="acme-panels")
    agreed.clock.advance(hours=3)
    ticket = await agreed.do("ResumeTicket", name)
    assert clocks(ticket, pb.Clock.SUPPLIER) == {"acme-panels": ("MET", timedelta(hours=3))}
    await agreed.do("PauseTicket", name, waiting_for="vendor", supplier="acme-panels")
    ticket = await agreed.get(name)
    assert [clock.number for clock in ticket.clocks if clock.towards == pb.Clock.SUPPLIER] == [1, 2]
    assert ticket.supplier == "acme-panels"


@pytest.mark.parametrize(("whom", "supplier"), [("customer", "acme-panels"), ("vendor", "nobody")])
async def test_nobody_waits_for_a_supplier_that_nothing_is_agreed_with(agreed: Desk, whom: str, supplier: str) -> None:
    name = (await agreed.open()).name
    with refused() as refusal:
        await agreed.do("PauseTicket", name, waiting_for=whom, supplier=supplier)
    assert (refusal.reason, (await agreed.get(name)).state) == ("VALIDATION_FAILED", pb.NEW)


async def test_a_reclassified_ticket_is_promised_anew_from_its_opening(agreed: Desk) -> None:
    name = (await agreed.open(priority=pb.P3)).name
    agreed.clock.advance(hours=3)
    ticket = await agreed.do("ReclassifyTicket", name, priority=pb.P1)
    resolution = next(clock for clock in ticket.clocks if clock.kind == pb.Clock.RESOLUTION)
    assert (ticket.target, resolution.target) == ("p1", "p1")
    assert resolution.due_time.ToDatetime(MONDAY.tzinfo) == MONDAY + timedelta(hours=4)
    assert resolution.used_duration.ToTimedelta() == timedelta(hours=3)
    # Half of four hours is over already; the warning is made up for at once.
    assert "WARN on RESOLUTION at 50 %" in (await agreed.evaluate(name)).actions
    reclassified = next(record for record in await agreed.records() if "Reclassified" in record.type)
    fact = told.TicketReclassified.FromString(reclassified.decoded().payload)
    assert (fact.from_priority, fact.ticket.priority, fact.from_target, fact.target) == (pb.P3, pb.P1, "every", "p1")


async def test_what_had_run_out_before_a_ticket_was_reclassified_stays_late_though_nobody_had_noticed(
    agreed: Desk,
) -> None:
    name = (await agreed.open(priority=pb.P1)).name
    await agreed.do("CommentTicket", name, public=True)
    agreed.clock.advance(hours=4, minutes=30)
    ticket = await agreed.do("ReclassifyTicket", name, priority=pb.P3)
    clock = resolution(ticket)
    assert (clock.state, instant(clock.breach_time)) == (pb.Clock.BREACHED, MONDAY + timedelta(hours=4))
    types = await agreed.told_types()
    assert types.index("SlaBreached") < types.index("TicketReclassified")
    assert (await explain(agreed, name)).agrees


async def test_a_ticket_is_not_reclassified_into_a_category_that_the_policy_does_not_have(agreed: Desk) -> None:
    ticket = await agreed.open()
    with refused() as refusal:
        await agreed.do("ReclassifyTicket", ticket.name, category="nothing", priority=pb.P1)
    assert (refusal.reason, (await agreed.get(ticket.name)).etag) == ("CATEGORY_UNKNOWN", ticket.etag)


async def test_reclassifying_changes_something(agreed: Desk) -> None:
    name = (await agreed.open()).name
    with refused() as refusal:
        await agreed.do("ReclassifyTicket", name, priority=pb.PRIORITY_UNSPECIFIED)
    assert refusal.reason == "VALIDATION_FAILED"


async def test_a_ticket_that_nothing_was_promised_for_gets_its_clocks_from_its_opening_on(desk: Desk) -> None:
    text = AGREED.replace("{id: every, response", "{id: every, when: 'ticket.priority != \"P4\"', response")
    policy = Policy(name="policies/104", version=104, document=load_yaml(text))
    await desk.runtime.database.write(PolicyStore(SCHEMA).enact, policy)
    name = (await desk.open(priority=pb.P4)).name
    desk.clock.advance(minutes=30)
    await desk.do("PauseTicket", name)
    desk.clock.advance(hours=1)
    await desk.do("ResumeTicket", name)
    desk.clock.advance(hours=1)
    ticket = await desk.do("ReclassifyTicket", name, priority=pb.P2)
    [response, resolution] = (clock for clock in ticket.clocks if clock.towards == pb.Clock.CUSTOMER)
    # Half an hour, and after the wait half an hour more.
    assert response.breach_time.ToDatetime(MONDAY.tzinfo) == MONDAY + timedelta(hours=2)
    assert resolution.used_duration.ToTimedelta() == timedelta(hours=1.5)
    assert (await desk.told_types())[-3:] == ["TicketReclassified", "TicketClocksRepaired", "SlaBreached"]
    await desk.evaluate(name)
    assert not (await repaired(desk, name, preview=True)).changed
