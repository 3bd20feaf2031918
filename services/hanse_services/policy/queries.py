"""Showing the policy: the version in force, any version, all versions, and those that are being written."""

from typing import cast

from sqlalchemy import Row, Select, func, select
from sqlalchemy.orm import Session

from hanse.errors import PolicyMissing, ResourceNotFound
from hanse.names import policy_version
from hanse.policy.lint import lint
from hanse.policy.reach import warnings
from hanse.policy.store import PolicyStore
from hanse.policy.tuning import dropped
from hanse.rpc.paging import decode_token, encode_token, page_size
from hanse_protos.policy.v1 import draft_pb2, tuning_pb2
from hanse_protos.policy.v1.policy_pb2 import (
    GetPolicyRequest,
    LintPolicyRequest,
    LintPolicyResponse,
    ListPoliciesRequest,
    ListPoliciesResponse,
    Policy,
)
from hanse_services.policy.messages import draft_overview, draft_to_proto
from hanse_services.policy.model import SCHEMA, Draft, PublishedPolicy

CURRENT = "policies/current"

_enacted = SCHEMA.policy.c
_version = func.coalesce(PublishedPolicy.version, _enacted.version)


def lint_policy(request: LintPolicyRequest) -> LintPolicyResponse:
    """Say what is wrong with a document, and where nothing is, what is hardly meant."""
    problems = lint(request.document)
    return LintPolicyResponse(problems=problems, warnings=[] if problems else warnings(request.document))


def get_policy(session: Session, policies: PolicyStore, request: GetPolicyRequest) -> Policy:
    """Return a version, or the one in force here.

    Raises ResourceNotFound for a version that this unit does not know, and PolicyMissing before the first.
    """
    if request.name == CURRENT:
        current = policies.in_force().scalar_subquery()
        row = session.execute(_versions().where(_enacted.version == current)).one_or_none()
        if row is None:
            raise PolicyMissing
        return _policy_of(row)
    version = policy_version(request.name)
    row = session.execute(_versions().where(_version == version)).one_or_none()
    if row is None:
        raise ResourceNotFound(resource=request.name)
    return _policy_of(row)


def list_policies(session: Session, request: ListPoliciesRequest) -> ListPoliciesResponse:
    """Return the versions that this unit knows, the newest first. Raises PageTokenInvalid."""
    size = page_size(request.page_size)
    query = _versions().order_by(_version.desc()).limit(size + 1)
    if after := decode_token(request.page_token, [int]):
        query = query.where(_version < after[0])
    policies = [_policy_of(row) for row in session.execute(query)]
    page = policies[:size]
    token = encode_token(page[-1].version) if len(policies) > size else ""
    return ListPoliciesResponse(policies=page, next_page_token=token)


def get_policy_draft(session: Session, request: draft_pb2.GetPolicyDraftRequest) -> draft_pb2.PolicyDraft:
    """Return a draft. Raises ResourceNotFound."""
    draft = session.get(Draft, request.name)
    if draft is None:
        raise ResourceNotFound(resource=request.name)
    return draft_to_proto(draft)


def list_policy_drafts(
    session: Session, request: draft_pb2.ListPolicyDraftsRequest
) -> draft_pb2.ListPolicyDraftsResponse:
    """Return the drafts without their documents, the newest first: names sort by time. Raises PageTokenInvalid."""
    size = page_size(request.page_size)
    query = select(Draft).order_by(Draft.name.desc()).limit(size + 1)
    if after := decode_token(request.page_token, [str]):
        query = query.where(Draft.name < after[0])
    drafts = list(session.scalars(query))
    page = drafts[:size]
    token = encode_token(page[-1].name) if len(drafts) > size else ""
    return draft_pb2.ListPolicyDraftsResponse(drafts=map(draft_overview, page), next_page_token=token)


def get_policy_override(
    session: Session, policies: PolicyStore, request: tuning_pb2.GetPolicyOverrideRequest
) -> tuning_pb2.PolicyOverride:
    """Return an override of this unit. Raises ResourceNotFound."""
    version = int(request.name.rsplit("/", 1)[-1])
    override = next(iter(policies.list_overrides(session, limit=1, before=version + 1)), None)
    if override is None or override.name != request.name:
        raise ResourceNotFound(resource=request.name)
    return _with_dropped(session, policies, override)


def list_policy_overrides(
    session: Session, policies: PolicyStore, request: tuning_pb2.ListPolicyOverridesRequest
) -> tuning_pb2.ListPolicyOverridesResponse:
    """Return the overrides of this unit, the newest first. Raises PageTokenInvalid."""
    size = page_size(request.page_size)
    [before] = decode_token(request.page_token, [int]) or [None]
    overrides = policies.list_overrides(session, limit=size + 1, before=before)
    page = overrides[:size]
    token = encode_token(page[-1].version) if len(overrides) > size else ""
    shown = (_with_dropped(session, policies, override) for override in page)
    return tuning_pb2.ListPolicyOverridesResponse(overrides=shown, next_page_token=token)


def _with_dropped(
    session: Session, policies: PolicyStore, override: tuning_pb2.PolicyOverride
) -> tuning_pb2.PolicyOverride:
    """Add the places that the version in force drops."""
    document = policies.version(session, policies.current_version(session)).document
    override.dropped.extend(dropped(document, override.document, override.unit))
    return override


def _versions() -> Select[tuple[bytes, object]]:
    """Select what is published (at headquarters) and what is in force, a row for each version."""
    policy = func.coalesce(PublishedPolicy.policy, _enacted.policy).label("policy")
    joined = SCHEMA.policy.outerjoin(PublishedPolicy, PublishedPolicy.version == _enacted.version, full=True)
    return cast("Select[tuple[bytes, object]]", select(policy, _enacted.enact_time).select_from(joined))


def _policy_of(row: Row[tuple[bytes, object]]) -> Policy:
    policy = Policy.FromString(row.policy)
    if row.enact_time:
        policy.acknowledge_time.FromDatetime(row.enact_time)
    return policy
