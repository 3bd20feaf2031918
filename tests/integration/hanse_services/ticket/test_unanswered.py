"""A condition of the policy that has no answer for a ticket stops nothing, and is shown."""

from __future__ import annotations

from datetime import timedelta

from hanse.identity import Role
from hanse.policy import load_yaml
from hanse.policy.store import PolicyStore
from hanse_protos.policy.v1.policy_pb2 import Policy
from hanse_protos.ticket.v1 import repair_pb2 as rpc
from hanse_protos.ticket.v1 import repair_pb2_grpc as stubs
from hanse_services.ticket.model import SCHEMA
from tests.integration.hanse_services.ticket.desk import POLICY_YAML, Desk

VERSION = 7_000
"""No other test's: a version never changes, so a desk keeps it compiled."""
NO_ANSWER = "int(ticket.product) > 3"
OUTGROWS_ITS_BUDGET = f"[{'1, ' * 60}1]"


async def test_everything_goes_on_and_the_explanation_says_what_had_no_answer(desk: Desk) -> None:
    document = load_yaml(POLICY_YAML)
    document.targets.insert(0, document.targets[0])
    document.targets[0].id, document.targets[0].when = "urgent", NO_ANSWER
    document.targets[1].clocks.resolution.pause = NO_ANSWER
    numbers = OUTGROWS_ITS_BUDGET
    document.ladder[0].when = f"{numbers}.all(a, {numbers}.all(b, {numbers}.all(c, {numbers}.all(d, a + d > 0))))"
    policy = Policy(name=f"policies/{VERSION}", version=VERSION, document=document)
    await desk.runtime.database.write(PolicyStore(SCHEMA).enact, policy)
    name = (await desk.open(product="SAP")).name
    desk.clock.advance(hours=1)
    await desk.do("PauseTicket", name)
    desk.clock.advance(hours=9)
    answer = await desk.evaluate(name)
    # The rung at 60 % is left out; the one at 80 %, the warnings and the breaches are not.
    assert sorted(answer.actions) == [
        "BREACH on RESOLUTION at 100 %",
        "BREACH on RESPONSE at 100 %",
        "CLIMB on RESOLUTION at 80 %",
        "WARN on RESOLUTION at 50 %",
        "WARN on RESPONSE at 50 %",
    ]
    repairs = stubs.RepairServiceStub(desk.caller.channel(Role.LEAD))
    explained = await repairs.ExplainClocks(rpc.ExplainClocksRequest(name=name))
    problems = {condition.path: condition.problem for condition in explained.unanswered}
    assert problems.keys() == {"targets[0].when", "targets[1].clocks.resolution.pause", "ladder[0].when"}
    assert problems["targets[0].when"] == "cannot convert string to int"
    assert (explained.policy_version, explained.agrees) == (VERSION, True)
    ticket = await desk.do("ResolveTicket", name)
    assert [clock.used_duration.ToTimedelta() for clock in ticket.clocks][1] == timedelta(hours=10)
