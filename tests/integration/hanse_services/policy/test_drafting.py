"""How a version of the policy comes to be, on a real database and over real gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import grpc
import pytest

from hanse.errors import HeadquartersOnly
from hanse.identity import Role
from hanse.migrations import service_migrations
from hanse.rpc.client import RemoteError, remote_errors
from hanse.runtime import Runtime
from hanse_protos.policy.v1 import draft_pb2 as pb
from hanse_protos.policy.v1.draft_pb2_grpc import PolicyDraftServiceStub
from hanse_protos.policy.v1.policy_pb2 import GetPolicyRequest, PolicyDocument, PolicyPublished, PublishPolicyRequest
from hanse_protos.policy.v1.policy_pb2_grpc import PolicyServiceStub
from hanse_services.policy.model import SCHEMA, TRANSITIONS
from hanse_services.policy.servicer import served
from tests.support import Caller, MakeExecutor, MakeRuntime, Serve, small_policy, told

POLICY = service_migrations("hanse_services.policy")
HEADQUARTERS, SHANGHAI = "units/hq", "units/shanghai"
State = pb.PolicyDraft.State
ServePolicy = Callable[[str], Awaitable[tuple[Runtime, Caller]]]


@pytest.fixture
def serve_policy(make_runtime: MakeRuntime, make_executor: MakeExecutor, serve: Serve) -> ServePolicy:
    async def start(unit: str) -> tuple[Runtime, Caller]:
        runtime = make_runtime(unit, POLICY)
        return runtime, await serve(runtime, served(runtime, make_executor(runtime, SCHEMA)))

    return start


class Person:
    """Somebody who works on the standards."""

    def __init__(self, caller: Caller, name: str, role: Role = Role.STANDARDS) -> None:
        channel = caller.channel(role, actor=f"agents/{name}")
        self.drafts: Any = PolicyDraftServiceStub(channel)
        self.policies: Any = PolicyServiceStub(channel)

    async def create(self, document: PolicyDocument) -> pb.PolicyDraft:
        request = pb.CreatePolicyDraftRequest(document=document, request_id=str(uuid4()))
        draft: pb.PolicyDraft = await self.drafts.CreatePolicyDraft(request)
        return draft

    async def do(self, verb: str, draft: pb.PolicyDraft, **fields: Any) -> pb.PolicyDraft:
        request_type = getattr(pb, f"{verb}PolicyDraftRequest")
        request = request_type(name=draft.name, request_id=str(uuid4()), **fields)
        after: pb.PolicyDraft = await getattr(self.drafts, f"{verb}PolicyDraft")(request)
        return after

    async def publish_unreviewed(self, document: PolicyDocument) -> Any:
        return await self.policies.PublishPolicy(PublishPolicyRequest(document=document, request_id=str(uuid4())))


def document(**changes: Any) -> PolicyDocument:
    result = PolicyDocument()
    result.CopyFrom(small_policy().document)
    result.MergeFrom(PolicyDocument(**changes))
    return result


async def refusal(call: Awaitable[object]) -> RemoteError:
    with pytest.raises(RemoteError) as caught, remote_errors():
        await call
    return caught.value


async def test_a_draft_that_a_second_person_approves_of_becomes_the_next_version(serve_policy: ServePolicy) -> None:
    runtime, caller = await serve_policy(HEADQUARTERS)
    ada, ben = Person(caller, "ada"), Person(caller, "ben")
    draft = await ada.create(document())
    await ada.do("Submit", draft)
    approved = await ben.do("Approve", draft, note="go ahead")
    assert (approved.state, approved.reviewer) == (State.APPROVED, "units/hq/agents/ben")
    published = await ada.do("Publish", draft)
    assert (published.state, published.policy) == (State.PUBLISHED, "policies/1")
    policy = await ada.policies.GetPolicy(GetPolicyRequest(name="policies/1"))
    assert policy.document == draft.document
    facts = [(type(payload).__name__, event.actor.rpartition("/")[2]) for event, payload in await told(runtime, SCHEMA)]
    assert facts == [
        ("PolicyDraftCreated", "ada"),
        ("PolicyDraftSubmitted", "ada"),
        ("PolicyDraftApproved", "ben"),
        ("PolicyPublished", "ada"),
        ("PolicyDraftPublished", "ada"),
    ]


async def test_whoever_wrote_on_a_draft_does_not_review_it(serve_policy: ServePolicy) -> None:
    _, caller = await serve_policy(HEADQUARTERS)
    ada, ben = Person(caller, "ada"), Person(caller, "ben")
    draft = await ada.create(document())
    await ben.do("Update", draft, document=document(title="Ben's too"))
    await ada.do("Submit", draft)
    for writer in (ada, ben):
        assert (await refusal(writer.do("Approve", draft))).reason == "REVIEWER_IS_AUTHOR"
    assert (await ada.drafts.GetPolicyDraft(pb.GetPolicyDraftRequest(name=draft.name))).state == State.IN_REVIEW


async def test_what_was_approved_of_is_reviewed_again_when_somebody_writes_on_it(serve_policy: ServePolicy) -> None:
    _, caller = await serve_policy(HEADQUARTERS)
    ada, ben = Person(caller, "ada"), Person(caller, "ben")
    draft = await ada.create(document())
    await ada.do("Submit", draft)
    await ben.do("Approve", draft)
    await ada.do("Update", draft, document=document(title="One more thing"))
    assert (await refusal(ada.do("Publish", draft))).reason == "ILLEGAL_TRANSITION"


async def test_a_draft_that_another_version_overtook_is_not_published(serve_policy: ServePolicy) -> None:
    _, caller = await serve_policy(HEADQUARTERS)
    ada, ben = Person(caller, "ada"), Person(caller, "ben")
    draft = await ada.create(document())
    await ada.do("Submit", draft)
    await ben.do("Approve", draft)
    await ada.publish_unreviewed(document(title="In between"))
    assert (await refusal(ada.do("Publish", draft))).reason == "POLICY_DRAFT_OUTDATED"
    await ada.do("Update", draft, document=document())
    await ada.do("Submit", draft)
    await ben.do("Approve", draft)
    assert (await ada.do("Publish", draft)).policy == "policies/2"


async def test_of_two_drafts_that_are_published_at_once_one_is_outdated(serve_policy: ServePolicy) -> None:
    _, caller = await serve_policy(HEADQUARTERS)
    ada, ben = Person(caller, "ada"), Person(caller, "ben")
    drafts = [await ada.create(document()) for _ in range(2)]
    for draft in drafts:
        await ada.do("Submit", draft)
        await ben.do("Approve", draft)
    results = await asyncio.gather(*(ada.do("Publish", draft) for draft in drafts), return_exceptions=True)
    refused = [result for result in results if isinstance(result, grpc.aio.AioRpcError)]
    assert [error.code() for error in refused] == [grpc.StatusCode.ABORTED]


def saying(reviews: int | None) -> PolicyDocument:
    """Return a policy that says how many have to approve of the next one, or nothing of it."""
    said = document()
    said.ClearField("reviews_required")
    if reviews is not None:
        said.reviews_required = reviews
    return said


@pytest.mark.parametrize("reviews", [None, 1])
async def test_a_policy_is_not_followed_by_an_unreviewed_one_unless_it_says_so(
    serve_policy: ServePolicy, reviews: int | None
) -> None:
    runtime, caller = await serve_policy(HEADQUARTERS)
    ada, ben = Person(caller, "ada"), Person(caller, "ben")
    await ada.publish_unreviewed(saying(reviews))
    error = await refusal(ada.publish_unreviewed(saying(0)))
    assert (error.reason, error.metadata["policy"]) == ("POLICY_REVIEW_REQUIRED", "policies/1")
    assert [type(payload) for _, payload in await told(runtime, SCHEMA)] == [PolicyPublished]
    draft = await ada.create(saying(0))
    await ada.do("Submit", draft)
    await ben.do("Approve", draft)
    assert (await ada.do("Publish", draft)).policy == "policies/2"
    assert (await ada.publish_unreviewed(saying(None))).name == "policies/3"


async def test_a_returned_draft_says_why(serve_policy: ServePolicy) -> None:
    runtime, caller = await serve_policy(HEADQUARTERS)
    ada, ben = Person(caller, "ada"), Person(caller, "ben")
    draft = await ada.create(document())
    await ada.do("Submit", draft)
    returned = await ben.do("Return", draft, note="too bold")
    assert (returned.state, returned.review_note) == (State.DRAFT, "too bold")
    payload = (await told(runtime, SCHEMA))[-1][1]
    assert payload and b"too bold" not in payload.SerializeToString()


async def test_a_stale_etag_changes_nothing(serve_policy: ServePolicy) -> None:
    _, caller = await serve_policy(HEADQUARTERS)
    ada = Person(caller, "ada")
    draft = await ada.create(document())
    await ada.do("Update", draft, document=document(title="Newer"), etag=draft.etag)
    assert (await refusal(ada.do("Submit", draft, etag=draft.etag))).reason == "ETAG_MISMATCH"


async def test_a_document_that_contradicts_itself_is_no_draft(serve_policy: ServePolicy) -> None:
    _, caller = await serve_policy(HEADQUARTERS)
    wrong = document()
    wrong.units[0].calendar = "nowhere"
    assert (await refusal(Person(caller, "ada").create(wrong))).reason == "POLICY_INVALID"


async def test_an_unknown_draft_is_not_found(serve_policy: ServePolicy) -> None:
    _, caller = await serve_policy(HEADQUARTERS)
    unknown = pb.PolicyDraft(name="policyDrafts/3k9m2x-4t7qzd")
    assert (await refusal(Person(caller, "ada").do("Submit", unknown))).reason == "RESOURCE_NOT_FOUND"


async def test_drafts_are_listed_without_their_documents_page_by_page(serve_policy: ServePolicy) -> None:
    _, caller = await serve_policy(HEADQUARTERS)
    ada = Person(caller, "ada")
    names = {(await ada.create(document())).name for _ in range(3)}
    first = await ada.drafts.ListPolicyDrafts(pb.ListPolicyDraftsRequest(page_size=2))
    rest = await ada.drafts.ListPolicyDrafts(pb.ListPolicyDraftsRequest(page_token=first.next_page_token))
    assert {draft.name for draft in (*first.drafts, *rest.drafts)} == names
    assert (len(first.drafts), rest.next_page_token, first.drafts[0].HasField("document")) == (2, "", False)


async def test_only_headquarters_drafts_the_group_s_policy(serve_policy: ServePolicy) -> None:
    _, caller = await serve_policy(SHANGHAI)
    assert (await refusal(Person(caller, "ada").create(document()))).reason == HeadquartersOnly.reason


VERBS = sorted(verb.removesuffix("PolicyDraft") for verb in TRANSITIONS)


@pytest.mark.parametrize("verb", VERBS)
async def test_a_draft_that_is_over_takes_no_further_step(serve_policy: ServePolicy, verb: str) -> None:
    _, caller = await serve_policy(HEADQUARTERS)
    ada = Person(caller, "ada")
    draft = await ada.create(document())
    await ada.do("Withdraw", draft)
    fields_of: dict[str, dict[str, Any]] = {"Update": {"document": document()}, "Return": {"note": "why"}}
    assert (await refusal(ada.do(verb, draft, **fields_of.get(verb, {})))).reason == "ILLEGAL_TRANSITION"
