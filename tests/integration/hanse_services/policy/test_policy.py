"""The policy service, on a real database and over real gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import uuid4

import grpc
import pytest
from sqlalchemy import func
from sqlalchemy.orm import Session

from hanse.clock import utc_now
from hanse.identity import Role
from hanse.migrations import service_migrations
from hanse.policy.store import PolicyStore
from hanse.rpc.client import RemoteError, remote_errors
from hanse.runtime import Runtime
from hanse_protos.policy.v1.policy_pb2 import (
    GetPolicyRequest,
    HierarchyStep,
    LintPolicyRequest,
    ListPoliciesRequest,
    Policy,
    PolicyAcknowledged,
    PolicyDocument,
    PolicyPublished,
    PublishPolicyRequest,
    Rate,
)
from hanse_protos.policy.v1.policy_pb2_grpc import PolicyServiceStub
from hanse_services.policy.commands import EFFECTS, publish_policy
from hanse_services.policy.model import SCHEMA
from hanse_services.policy.servicer import served
from tests.support import Caller, MakeExecutor, MakeRuntime, Serve, apply, cause_by, record_of, small_policy, told

POLICY = service_migrations("hanse_services.policy")
HEADQUARTERS, SHANGHAI = "units/hq", "units/shanghai"
ServePolicy = Callable[[str], Awaitable[tuple[Runtime, Caller]]]


@pytest.fixture
def serve_policy(make_runtime: MakeRuntime, make_executor: MakeExecutor, serve: Serve) -> ServePolicy:
    async def start(unit: str) -> tuple[Runtime, Caller]:
        runtime = make_runtime(unit, POLICY)
        return runtime, await serve(runtime, served(runtime, make_executor(runtime, SCHEMA)))

    return start


def publication(document: PolicyDocument | None = None) -> PublishPolicyRequest:
    return PublishPolicyRequest(document=document or small_policy().document, request_id=str(uuid4()))


async def receive(runtime: Runtime, policy: Policy, writer: str = HEADQUARTERS) -> bool:
    record = record_of(PolicyPublished(policy=policy), policy.name, unit=writer, service="policy")
    return await apply(runtime, SCHEMA, record, EFFECTS)


async def refusal(call: Awaitable[object]) -> RemoteError:
    with pytest.raises(RemoteError) as caught, remote_errors():
        await call
    return caught.value


async def test_versions_count_up_from_one(serve_policy: ServePolicy) -> None:
    _, caller = await serve_policy(HEADQUARTERS)
    service = PolicyServiceStub(caller.channel(Role.STANDARDS, actor="agents/ada"))
    published = [await service.PublishPolicy(publication()) for _ in range(3)]
    assert [policy.name for policy in published] == ["policies/1", "policies/2", "policies/3"]
    assert published[0].publisher == "units/hq/agents/ada"


async def test_versions_published_at_once_from_two_processes_are_all_different(
    make_runtime: MakeRuntime, make_executor: MakeExecutor
) -> None:
    runtime = make_runtime(HEADQUARTERS, POLICY)
    executors = [make_executor(runtime, SCHEMA) for _ in range(2)]
    published = await asyncio.gather(
        *(
            executor.execute(publish_policy, publication(), cause_by(), Policy)
            for executor in executors
            for _ in range(5)
        )
    )
    assert sorted(policy.version for policy in published) == list(range(1, 11))


async def test_publishing_tells_the_version_and_puts_nothing_in_force(serve_policy: ServePolicy) -> None:
    runtime, caller = await serve_policy(HEADQUARTERS)
    service = PolicyServiceStub(caller.channel(Role.STANDARDS))
    policy = await service.PublishPolicy(publication())
    [(event, payload)] = await told(runtime, SCHEMA)
    assert (event.resource, payload) == ("policies/1", PolicyPublished(policy=policy))
    assert (await refusal(service.GetPolicy(GetPolicyRequest(name="policies/current")))).reason == "POLICY_MISSING"


async def test_a_repeated_publication_is_the_first_one(serve_policy: ServePolicy) -> None:
    _, caller = await serve_policy(HEADQUARTERS)
    service = PolicyServiceStub(caller.channel(Role.STANDARDS))
    request = publication()
    assert await service.PublishPolicy(request) == await service.PublishPolicy(request)
    assert len((await service.ListPolicies(ListPoliciesRequest())).policies) == 1


async def test_only_headquarters_publishes(serve_policy: ServePolicy) -> None:
    runtime, caller = await serve_policy(SHANGHAI)
    error = await refusal(PolicyServiceStub(caller.channel(Role.STANDARDS)).PublishPolicy(publication()))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "HEADQUARTERS_ONLY")
    assert await told(runtime, SCHEMA) == []


@pytest.mark.parametrize("role", [Role.AGENT, Role.LEAD, Role.CONTROLLER, Role.SYSTEM])
async def test_only_standards_publish(role: Role, serve_policy: ServePolicy) -> None:
    _, caller = await serve_policy(HEADQUARTERS)
    error = await refusal(PolicyServiceStub(caller.channel(role)).PublishPolicy(publication()))
    assert (error.code, error.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING")


async def test_a_document_that_contradicts_itself_is_refused_with_every_place(serve_policy: ServePolicy) -> None:
    runtime, caller = await serve_policy(HEADQUARTERS)
    document = small_policy().document
    document.units[0].calendar = "nowhere"
    document.rates[0].when = "ticket.nonsense"
    error = await refusal(PolicyServiceStub(caller.channel(Role.STANDARDS)).PublishPolicy(publication(document)))
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "POLICY_INVALID")
    assert {"units[0].calendar", "rates[0].when"} <= set(error.metadata["paths"].split(", "))
    assert await told(runtime, SCHEMA) == []


async def test_a_document_that_breaks_its_contract_is_refused_with_the_place(serve_policy: ServePolicy) -> None:
    _, caller = await serve_policy(HEADQUARTERS)
    document = small_policy().document
    document.rates[1].id = "Not An Id"
    error = await refusal(PolicyServiceStub(caller.channel(Role.STANDARDS)).PublishPolicy(publication(document)))
    assert error.reason == "POLICY_INVALID"
    assert "rates[1].id" in error.metadata["paths"]


async def test_an_error_about_hundreds_of_problems_still_arrives(serve_policy: ServePolicy) -> None:
    _, caller = await serve_policy(HEADQUARTERS)
    document = small_policy().document
    document.rates.extend(Rate(id="Ä" * 80, when=f"ticket.nonsense == '{'ö' * 500}{i}'") for i in range(150))
    error = await refusal(PolicyServiceStub(caller.channel(Role.STANDARDS)).PublishPolicy(publication(document)))
    assert error.reason == "POLICY_INVALID"
    assert int(error.metadata["problems"]) > 100


async def test_linting_names_the_problems_and_publishes_nothing(serve_policy: ServePolicy) -> None:
    _, caller = await serve_policy(HEADQUARTERS)
    service = PolicyServiceStub(caller.channel(Role.STANDARDS))
    document = small_policy().document
    document.routing.final_owner = "units/atlantis"
    answer = await service.LintPolicy(LintPolicyRequest(document=document))
    assert [problem.path for problem in answer.problems] == ["routing.final_owner"]
    assert not (await service.ListPolicies(ListPoliciesRequest())).policies


async def test_linting_warns_of_what_is_hardly_meant(serve_policy: ServePolicy) -> None:
    _, caller = await serve_policy(HEADQUARTERS)
    document = small_policy().document
    document.hierarchy.add(at_percent=90, level=HierarchyStep.DESK_LEAD, kind="SUPPLIER_WORK")
    answer = await PolicyServiceStub(caller.channel(Role.STANDARDS)).LintPolicy(LintPolicyRequest(document=document))
    assert ([*answer.problems], [warning.path for warning in answer.warnings]) == ([], ["hierarchy[0].kind"])


async def test_a_published_version_comes_into_force_and_is_acknowledged(serve_policy: ServePolicy) -> None:
    runtime, caller = await serve_policy(SHANGHAI)
    await receive(runtime, small_policy())
    current = await PolicyServiceStub(caller.channel(Role.AGENT)).GetPolicy(GetPolicyRequest(name="policies/current"))
    assert current.version == 1
    assert current.HasField("acknowledge_time")
    [(event, payload)] = await told(runtime, SCHEMA)
    assert (event.resource, event.policy_version) == ("policies/1", 1)
    assert payload == PolicyAcknowledged(policy=small_policy())


async def test_a_version_is_acknowledged_once_however_often_it_is_told(serve_policy: ServePolicy) -> None:
    runtime, _ = await serve_policy(SHANGHAI)
    for _ in range(3):
        await receive(runtime, small_policy())
    assert len(await told(runtime, SCHEMA)) == 1


async def test_a_version_that_comes_late_does_not_replace_a_newer_one(serve_policy: ServePolicy) -> None:
    runtime, caller = await serve_policy(SHANGHAI)
    await receive(runtime, small_policy(2))
    await receive(runtime, small_policy(1))
    service = PolicyServiceStub(caller.channel(Role.AGENT))
    assert (await service.GetPolicy(GetPolicyRequest(name="policies/current"))).version == 2
    assert (await service.GetPolicy(GetPolicyRequest(name="policies/1"))).version == 1


async def test_another_unit_cannot_publish_by_telling(serve_policy: ServePolicy) -> None:
    runtime, caller = await serve_policy(SHANGHAI)
    await receive(runtime, small_policy(), writer="units/munich")
    service = PolicyServiceStub(caller.channel(Role.AGENT))
    assert not (await service.ListPolicies(ListPoliciesRequest())).policies
    assert await told(runtime, SCHEMA) == []


async def test_versions_are_listed_page_by_page_the_newest_first(serve_policy: ServePolicy) -> None:
    runtime, caller = await serve_policy(HEADQUARTERS)
    service = PolicyServiceStub(caller.channel(Role.STANDARDS))
    for _ in range(3):
        await service.PublishPolicy(publication())
    await receive(runtime, small_policy(1))
    first = await service.ListPolicies(ListPoliciesRequest(page_size=2))
    second = await service.ListPolicies(ListPoliciesRequest(page_size=2, page_token=first.next_page_token))
    assert [[policy.version for policy in page.policies] for page in (first, second)] == [[3, 2], [1]]
    assert second.next_page_token == ""
    assert [policy.HasField("acknowledge_time") for policy in (*first.policies, *second.policies)] == [
        False,
        False,
        True,
    ]


async def test_a_page_token_of_ones_own_making_is_refused(serve_policy: ServePolicy) -> None:
    _, caller = await serve_policy(SHANGHAI)
    service = PolicyServiceStub(caller.channel(Role.AGENT))
    assert (await refusal(service.ListPolicies(ListPoliciesRequest(page_token="!")))).reason == "PAGE_TOKEN_INVALID"


async def test_a_version_that_is_not_known_is_not_found(serve_policy: ServePolicy) -> None:
    _, caller = await serve_policy(SHANGHAI)
    error = await refusal(PolicyServiceStub(caller.channel(Role.AGENT)).GetPolicy(GetPolicyRequest(name="policies/7")))
    assert error.reason == "RESOURCE_NOT_FOUND"


async def test_a_version_for_a_time_to_come_is_there_and_not_yet_in_force(serve_policy: ServePolicy) -> None:
    runtime, caller = await serve_policy(SHANGHAI)
    later = Policy(name="policies/2", version=2, document=small_policy().document)
    later.effective_time.FromDatetime(utc_now() + timedelta(days=1))
    await receive(runtime, Policy(name="policies/1", version=1, document=small_policy().document))
    assert await receive(runtime, later)
    service = PolicyServiceStub(caller.channel(Role.AGENT))
    assert (await service.GetPolicy(GetPolicyRequest(name="policies/current"))).version == 1
    assert (await service.GetPolicy(GetPolicyRequest(name="policies/2"))).effective_time == later.effective_time
    assert await runtime.database.read(PolicyStore(SCHEMA).current_version) == 1


async def test_a_version_whose_time_has_come_is_in_force(serve_policy: ServePolicy) -> None:
    runtime, _ = await serve_policy(SHANGHAI)
    soon = Policy(name="policies/1", version=1, document=small_policy().document)
    soon.effective_time.FromDatetime(utc_now() + timedelta(hours=1))
    await receive(runtime, soon)
    assert await runtime.database.read(PolicyStore(SCHEMA).current_version) == 0

    def an_hour_passes(session: Session) -> None:
        columns, hour = SCHEMA.policy.c, timedelta(hours=1)
        times = {each: each - hour for each in (columns.enact_time, columns.effective_time)}
        session.execute(SCHEMA.policy.update().values(times))

    await runtime.database.write(an_hour_passes)
    assert await runtime.database.read(PolicyStore(SCHEMA).current_version) == 1


async def test_a_time_that_is_past_is_refused(serve_policy: ServePolicy) -> None:
    runtime, caller = await serve_policy(HEADQUARTERS)
    request = publication()
    request.effective_time.FromDatetime(utc_now() - timedelta(minutes=1))
    error = await refusal(PolicyServiceStub(caller.channel(Role.STANDARDS)).PublishPolicy(request))
    assert (error.reason, error.metadata["fields"]) == ("VALIDATION_FAILED", "effective_time")
    assert await told(runtime, SCHEMA) == []


@pytest.mark.parametrize(
    ("days", "superseded"),
    [(None, "policies/2, policies/3"), (1, "policies/2, policies/3"), (5, "policies/3"), (6, "")],
)
async def test_a_version_that_waits_for_its_time_is_not_superseded_unseen(
    days: int | None, superseded: str, serve_policy: ServePolicy
) -> None:
    runtime, caller = await serve_policy(HEADQUARTERS)
    service = PolicyServiceStub(caller.channel(Role.STANDARDS))
    now = utc_now()

    def after(days: int | None, *, supersede: bool = False) -> PublishPolicyRequest:
        request = publication()
        request.supersede = supersede
        if days is not None:
            request.effective_time.FromDatetime(now + timedelta(days=days))
        return request

    for waiting in (None, 1, 5):
        await service.PublishPolicy(after(waiting))
    if superseded:
        error = await refusal(service.PublishPolicy(after(days)))
        assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "POLICY_VERSION_WAITS")
        assert error.metadata["policies"] == superseded
        assert len(await told(runtime, SCHEMA)) == 3
    assert (await service.PublishPolicy(after(days, supersede=bool(superseded)))).version == 4


async def test_a_version_that_was_superseded_waits_no_more(serve_policy: ServePolicy) -> None:
    _, caller = await serve_policy(HEADQUARTERS)
    service = PolicyServiceStub(caller.channel(Role.STANDARDS))
    waiting = publication()
    waiting.effective_time.FromDatetime(utc_now() + timedelta(days=1))
    await service.PublishPolicy(waiting)
    mended = publication()
    mended.supersede = True
    await service.PublishPolicy(mended)
    assert (await service.PublishPolicy(publication())).version == 3


async def test_a_version_stays_in_force_when_the_clock_jumps_back(serve_policy: ServePolicy) -> None:
    runtime, _ = await serve_policy(SHANGHAI)
    await receive(runtime, small_policy())

    def jump(session: Session) -> None:
        later = func.now() + timedelta(hours=1)
        session.execute(SCHEMA.policy.update().values(enact_time=later, effective_time=later))

    await runtime.database.write(jump)
    assert await runtime.database.read(PolicyStore(SCHEMA).current_version) == 1
