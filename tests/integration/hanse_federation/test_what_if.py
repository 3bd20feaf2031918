"""Two policies are compared over what the group's tickets did, from headquarters' copy of the logs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hanse.policy import load_yaml
from hanse.policy.facts import facts_of
from hanse.policy.histories import TicketHistory
from hanse.policy.what_if import Judge, Regime, Verdict
from hanse.times import timestamp
from hanse_federation.headquarters.what_if import compare_policy
from hanse_federation.membership.retirement import retire_unit
from hanse_protos.federation.v1 import what_if_pb2 as pb
from hanse_protos.federation.v1.membership_pb2 import RetireUnitRequest, RetireUnitResponse
from hanse_protos.policy.v1.policy_pb2 import Policy, ServiceTarget
from hanse_protos.policy.v1.tuning_pb2 import OverrideDocument, PolicyOverride, PolicyTuned
from hanse_protos.ticket.v1.events_pb2 import TicketClocksRepaired
from hanse_protos.ticket.v1.ticket_pb2 import P2, TicketSummary
from tests.integration.hanse_federation.group import Group, Unit
from tests.support import POLICY_YAML, small_policy


async def compared(group: Group, judge: Judge, policy: Policy | None = None) -> pb.WhatIfSummary:
    """Compare a draft with what is in force, and return what it comes to in the one unit that has tickets."""
    request = pb.ComparePolicyRequest(document=(policy or small_policy()).document)
    news = [each async for each in compare_policy(group.hq.database, request, judge)]
    [summary] = [each.summary for each in news if each.WhichOneof("news") == "summary" and each.summary.tickets]
    return summary


async def test_a_ticket_of_before_the_first_version_is_judged_by_the_one_in_force_and_not_by_one_to_come(
    group: Group, munich: Unit
) -> None:
    await group.enact()
    to_come = small_policy()
    to_come.version = 9
    to_come.effective_time.CopyFrom(timestamp(datetime.now(UTC) + timedelta(days=30)))
    await group.enact(to_come)
    await munich.open_tickets(1)
    await munich.caught_up()
    versions: list[int] = []

    def judge(regime: Regime, ticket: TicketHistory, now: datetime) -> Verdict:
        versions.append(regime.clocks.version)
        return Verdict()

    await compared(group, judge)
    assert versions == [small_policy().version, 0]


async def test_a_ticket_that_was_put_under_another_override_is_judged_by_that_before(
    group: Group, munich: Unit
) -> None:
    tunable = load_yaml(POLICY_YAML + "tunable: {capacity: {floor: 1, ceiling: 9}}")
    await group.enact(Policy(name="policies/1", version=1, document=tunable))
    await munich.open_tickets(1)
    await tell_capacity(munich, 6)
    under = TicketSummary(name=f"{munich.name}/tickets/t1", policy_override=1)
    await munich.tell((under.name, TicketClocksRepaired(ticket=under, policy_version=1, previous_policy_version=1)))
    await munich.caught_up()
    regimes: list[Regime] = []

    def judge(regime: Regime, ticket: TicketHistory, now: datetime) -> Verdict:
        regimes.append(regime)
        return Verdict()

    await compared(group, judge, Policy(document=tunable))
    before = regimes[0].clocks
    assert (before.version, before.override, before.profile(munich.name).capacity) == (1, 1, 6)


async def tell_capacity(unit: Unit, capacity: int) -> None:
    """Tell that a unit has tuned its capacity."""
    name, document = f"{unit.name}/policyOverrides/1", OverrideDocument(capacity=capacity)
    override = PolicyOverride(name=name, unit=unit.name, version=1, document=document)
    await unit.tell((name, PolicyTuned(override=override)), service="policy")
    await unit.caught_up()


async def test_a_ticket_that_a_condition_has_no_answer_for_is_counted_and_the_others_are_judged(
    group: Group, munich: Unit
) -> None:
    faulty = small_policy()
    faulty.document.targets[0].when = 'ticket.product == "SAP" && int(ticket.product) > 3'
    await group.enact(faulty)
    await munich.open_tickets(3)
    await munich.caught_up()
    targets: list[tuple[int, ServiceTarget | None]] = []

    def judge(regime: Regime, ticket: TicketHistory, now: datetime) -> Verdict:
        product = "SAP" if ticket.opened.name.endswith("t2") else "LX-4"
        facts = facts_of(regime.clocks, TicketSummary(category="display", priority=P2, product=product), munich.name)
        targets.append((regime.clocks.version, regime.clocks.target_for(facts)))
        return Verdict(climbs=1)

    summary = await compared(group, judge, faulty)
    assert (summary.tickets, summary.unknown, summary.after.climbs) == (3, 1, 2)
    # Under the policy that governs the ticket the condition does not hold; of the draft that is the question.
    assert targets.count((small_policy().version, None)) == 3


async def test_routing_is_judged_by_what_other_units_say_of_themselves_and_by_who_has_left_the_clocks_are_not(
    group: Group, munich: Unit, shanghai: Unit
) -> None:
    tunable = load_yaml(POLICY_YAML + "tunable: {capacity: {floor: 1, ceiling: 9}}")
    await group.enact(Policy(name="policies/1", version=1, document=tunable))
    await munich.open_tickets(1)
    await munich.caught_up()
    await tell_capacity(shanghai, 5)
    await tell_capacity(munich, 6)
    await group.execute(retire_unit, RetireUnitRequest(unit=shanghai.name, reason="sold"), RetireUnitResponse)
    regimes: list[Regime] = []

    def judge(regime: Regime, ticket: TicketHistory, now: datetime) -> Verdict:
        regimes.append(regime)
        return Verdict()

    await compared(group, judge, Policy(document=tunable))
    after = regimes[-1]
    capacities = [
        [standards.profile(unit.name).capacity for unit in (shanghai, munich)]
        for standards in (after.clocks, after.routing)
    ]
    assert (capacities, after.gone) == ([[0, 6], [5, 6]], frozenset({shanghai.name}))
