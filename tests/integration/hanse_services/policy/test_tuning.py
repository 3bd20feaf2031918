"""A unit tunes the policy for itself, on a real database and over real gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from sqlalchemy.orm import Session

from hanse.clock import utc_now
from hanse.identity import Role
from hanse.migrations import service_migrations
from hanse.policy import load_override_yaml, load_yaml
from hanse.policy.store import PolicyStore
from hanse.rpc.client import RemoteError, remote_errors
from hanse.runtime import Runtime
from hanse.telling.inbox import Inbox
from hanse.times import put_time
from hanse.work import Cause, Work
from hanse_protos.policy.v1 import tuning_pb2 as pb
from hanse_protos.policy.v1.policy_pb2 import Policy, PolicyPublished
from hanse_protos.policy.v1.tuning_pb2_grpc import PolicyTuningServiceStub
from hanse_services.policy.commands import EFFECTS
from hanse_services.policy.model import SCHEMA
from hanse_services.policy.servicer import served
from hanse_services.policy.tuning import tune_policy
from tests.interleaving import interleaved
from tests.support import POLICY_YAML, Caller, MakeExecutor, MakeRuntime, Serve, apply, record_of, told

if TYPE_CHECKING:
    from hanse_protos.policy.v1.tuning_pb2_grpc import PolicyTuningServiceAsyncStub

POLICY = service_migrations("hanse_services.policy")
SHANGHAI = "units/shanghai"
TUNABLE = "tunable: {offer_timeout: {floor: 5m, ceiling: %s}, capacity: {floor: 1, ceiling: 9}}"


async def enact(runtime: Runtime, version: int, longest: str, effective_time: datetime | None = None) -> None:
    """Let headquarters publish a version that bounds the time of an offer."""
    document = load_yaml(POLICY_YAML + TUNABLE % longest)
    policy = Policy(name=f"policies/{version}", version=version, document=document)
    put_time(policy.effective_time, effective_time)
    record = record_of(PolicyPublished(policy=policy), policy.name, unit="units/hq", service="policy")
    await apply(runtime, SCHEMA, record, EFFECTS)


StartUnit = Callable[[], Awaitable[tuple[Runtime, "PolicyTuningServiceAsyncStub"]]]


@pytest.fixture
def start_unit(make_runtime: MakeRuntime, make_executor: MakeExecutor, serve: Serve) -> StartUnit:
    async def start() -> tuple[Runtime, PolicyTuningServiceAsyncStub]:
        runtime = make_runtime(SHANGHAI, POLICY)
        await enact(runtime, 1, "2h")
        caller: Caller = await serve(runtime, served(runtime, make_executor(runtime, SCHEMA)))
        return runtime, PolicyTuningServiceStub(caller.channel(Role.LEAD, actor="agents/wang"))

    return start


def tuning(text: str) -> pb.TunePolicyRequest:
    return pb.TunePolicyRequest(document=load_override_yaml(text), request_id=str(uuid4()))


async def test_an_override_within_the_bounds_is_numbered_and_told(start_unit: StartUnit) -> None:
    runtime, service = await start_unit()
    override = await service.TunePolicy(tuning("offer_timeout: 1h"))
    assert (override.name, override.policy_version, override.submitter) == (
        "units/shanghai/policyOverrides/1",
        1,
        "units/shanghai/agents/wang",
    )
    event, payload = (await told(runtime, SCHEMA))[-1]
    assert (event.resource, payload) == (override.name, pb.PolicyTuned(override=override))
    assert await service.GetPolicyOverride(pb.GetPolicyOverrideRequest(name=override.name)) == override


async def test_one_outside_is_refused_with_its_places_and_leaves_nothing(start_unit: StartUnit) -> None:
    runtime, service = await start_unit()
    before = await told(runtime, SCHEMA)
    with pytest.raises(RemoteError) as caught, remote_errors():
        await service.TunePolicy(tuning("{offer_timeout: 3h, capacity: 50}"))
    assert (caught.value.reason, caught.value.metadata["paths"]) == (
        "POLICY_OVERRIDE_INVALID",
        "offer_timeout, capacity",
    )
    assert "5m to 2h" in str(caught.value)
    assert list((await service.ListPolicyOverrides(pb.ListPolicyOverridesRequest())).overrides) == []
    assert await told(runtime, SCHEMA) == before


async def test_overrides_at_once_are_all_different_and_listed_the_newest_first(start_unit: StartUnit) -> None:
    _, service = await start_unit()
    await asyncio.gather(*(service.TunePolicy(tuning(f"capacity: {number}")) for number in range(1, 6)))
    first = await service.ListPolicyOverrides(pb.ListPolicyOverridesRequest(page_size=3))
    page = pb.ListPolicyOverridesRequest(page_size=3, page_token=first.next_page_token)
    second = await service.ListPolicyOverrides(page)
    assert [override.version for override in (*first.overrides, *second.overrides)] == [5, 4, 3, 2, 1]


async def test_a_version_that_drops_a_place_is_told_and_the_place_is_shown(start_unit: StartUnit) -> None:
    runtime, service = await start_unit()
    override = await service.TunePolicy(tuning("{offer_timeout: 1h, capacity: 5}"))
    await enact(runtime, 2, "30m")
    _, payload = (await told(runtime, SCHEMA))[-1]
    assert isinstance(payload, pb.TuningCurtailed)
    assert (payload.override, payload.policy) == (override.name, "policies/2")
    [shown] = (await service.ListPolicyOverrides(pb.ListPolicyOverridesRequest())).overrides
    assert [problem.path for problem in shown.dropped] == ["offer_timeout"] == [each.path for each in payload.dropped]


async def test_what_a_version_to_come_drops_of_a_later_override_is_told_with_the_override(
    start_unit: StartUnit,
) -> None:
    runtime, service = await start_unit()
    await enact(runtime, 2, "30m", effective_time=datetime.now(UTC) + timedelta(days=365))
    override = await service.TunePolicy(tuning("{offer_timeout: 1h, capacity: 5}"))
    (_, tuned), (_, curtailed) = (await told(runtime, SCHEMA))[-2:]
    assert isinstance(tuned, pb.PolicyTuned) and isinstance(curtailed, pb.TuningCurtailed)
    assert (curtailed.override, curtailed.policy) == (override.name, "policies/2")
    assert [problem.path for problem in curtailed.dropped] == ["offer_timeout"]


async def test_a_version_that_comes_while_an_override_is_put_in_force_tells_what_it_drops_of_that(
    start_unit: StartUnit,
) -> None:
    runtime, _ = await start_unit()

    def tune(session: Session) -> pb.PolicyOverride:
        cause = Cause(f"{SHANGHAI}/agents/wang", "r")
        return tune_policy(Work(session, SHANGHAI, cause, utc_now(), PolicyStore(SCHEMA)), tuning("offer_timeout: 1h"))

    override, _ = await interleaved(runtime.database, tune, partial(enact, runtime, 2, "30m"))
    _, payload = (await told(runtime, SCHEMA))[-1]
    assert isinstance(payload, pb.TuningCurtailed)
    assert (payload.override, payload.policy) == (override.name, "policies/2")


async def test_an_override_that_comes_while_a_version_is_put_in_force_is_judged_by_that(start_unit: StartUnit) -> None:
    runtime, service = await start_unit()

    def enact_now(session: Session) -> None:
        document = load_yaml(POLICY_YAML + TUNABLE % "30m")
        policy = Policy(name="policies/2", version=2, document=document)
        record = record_of(PolicyPublished(policy=policy), policy.name, unit="units/hq", service="policy")
        Inbox(SCHEMA, SHANGHAI).apply(session, record, lambda work, fact: EFFECTS[type(fact.payload)](work, fact))

    async def tune() -> str:
        with pytest.raises(RemoteError) as caught, remote_errors():
            await service.TunePolicy(tuning("offer_timeout: 1h"))
        return caught.value.reason

    _, reason = await interleaved(runtime.database, enact_now, tune)
    assert reason == "POLICY_OVERRIDE_INVALID"
