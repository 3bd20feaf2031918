"""An independent unit publishes for itself, in force at once, until the group's first version supersedes its own."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from hanse.config import Mode
from hanse.identity import Role
from hanse.migrations import service_migrations
from hanse.policy import load_yaml
from hanse.rpc.client import RemoteError, remote_errors
from hanse.runtime import Runtime
from hanse_protos.policy.v1.policy_pb2 import (
    GetPolicyRequest,
    ListPoliciesRequest,
    Policy,
    PolicyAcknowledged,
    PolicyDocument,
    PolicyPublished,
    PublishPolicyRequest,
)
from hanse_protos.policy.v1.policy_pb2_grpc import PolicyServiceStub
from hanse_services.policy.commands import EFFECTS
from hanse_services.policy.model import SCHEMA
from hanse_services.policy.servicer import served
from tests.support import MakeExecutor, MakeRuntime, Serve, apply, record_of, small_policy, told

if TYPE_CHECKING:
    from hanse_protos.policy.v1.policy_pb2_grpc import PolicyServiceAsyncStub

OSLO = "units/oslo"
OWN_YAML = """
title: Oslo's own standards
categories:
  - {id: display, titles: {en: Displays}, skill: display}
calendars:
  - {id: always, time_zone: Etc/UTC, shifts: [{days: MON-SUN, start: "00:00", end: "24:00"}]}
units:
  - {unit: units/oslo, title: Oslo, calendar: always, languages: [nb, en], skills: [display]}
targets:
  - {id: every, response: 1h, resolution: 8h}
routing: {eligible: "true", score: 0 - load, offer_timeout: 15m, rounds: 1, final_owner: units/oslo}
rates:
  - {id: every, amount: 900 NOK}
"""


@pytest.fixture
def oslo(make_runtime: MakeRuntime) -> Runtime:
    return make_runtime(OSLO, service_migrations("hanse_services.policy"), mode=Mode.INDEPENDENT, hub_address="")


@pytest.fixture
async def policies(oslo: Runtime, make_executor: MakeExecutor, serve: Serve) -> PolicyServiceAsyncStub:
    caller = await serve(oslo, served(oslo, make_executor(oslo, SCHEMA)))
    return PolicyServiceStub(caller.channel(Role.STANDARDS))


def publication(document: PolicyDocument | None = None) -> PublishPolicyRequest:
    return PublishPolicyRequest(document=document or load_yaml(OWN_YAML), request_id=str(uuid4()))


async def in_force(policies: PolicyServiceAsyncStub) -> Policy:
    return await policies.GetPolicy(GetPolicyRequest(name="policies/current"))


async def receive_group_policy(oslo: Runtime) -> None:
    policy = small_policy()
    record = record_of(PolicyPublished(policy=policy), policy.name, unit="units/hq", service="policy")
    await apply(oslo, SCHEMA, record, EFFECTS)


async def test_what_is_published_is_in_force_at_once(policies: PolicyServiceAsyncStub) -> None:
    published = [await policies.PublishPolicy(publication()) for _ in range(2)]
    assert [policy.name for policy in published] == ["policies/own-1", "policies/own-2"]
    assert (await in_force(policies)).name == "policies/own-2"


async def test_its_services_are_told_and_nobody_else_is(oslo: Runtime, policies: PolicyServiceAsyncStub) -> None:
    await policies.PublishPolicy(publication())
    assert [type(payload) for _, payload in await told(oslo, SCHEMA)] == [PolicyAcknowledged]


async def test_an_earlier_version_can_be_read_by_its_name(policies: PolicyServiceAsyncStub) -> None:
    for _ in range(2):
        await policies.PublishPolicy(publication())
    first = await policies.GetPolicy(GetPolicyRequest(name="policies/own-1"))
    assert (first.name, first.document.title) == ("policies/own-1", "Oslo's own standards")


async def test_the_groups_first_version_supersedes_all_of_the_own(
    oslo: Runtime, policies: PolicyServiceAsyncStub
) -> None:
    for _ in range(2):
        await policies.PublishPolicy(publication())
    await receive_group_policy(oslo)
    listed = await policies.ListPolicies(ListPoliciesRequest())
    assert (await in_force(policies)).name == "policies/1"
    assert [policy.name for policy in listed.policies] == ["policies/1", "policies/own-2", "policies/own-1"]


async def test_a_policy_that_lists_another_unit_is_refused_at_its_place(policies: PolicyServiceAsyncStub) -> None:
    with pytest.raises(RemoteError) as caught, remote_errors():
        await policies.PublishPolicy(publication(small_policy().document))
    assert caught.value.reason == "POLICY_INVALID"
    assert caught.value.metadata["paths"] == "units[0].unit, units[1].unit, units[2].unit"


async def test_a_unit_that_was_in_the_group_publishes_no_more_of_its_own(
    oslo: Runtime, policies: PolicyServiceAsyncStub
) -> None:
    await receive_group_policy(oslo)
    with pytest.raises(RemoteError) as caught, remote_errors():
        await policies.PublishPolicy(publication())
    assert caught.value.reason == "GROUP_POLICY_IN_FORCE"
