"""Publishing a version of the policy, and putting one in force."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias, cast

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from hanse.errors import GroupPolicyInForce, HeadquartersOnly, PolicyInvalid, PolicyReviewRequired, ValidationFailed
from hanse.log.events import Fact
from hanse.names import HEADQUARTERS, OWN_POLICIES, policy_name
from hanse.policy.lint import lint
from hanse.telling.inbox import Effect
from hanse.times import instant_in, put_time
from hanse.work import Work
from hanse_protos.policy.v1.draft_pb2 import PublishPolicyDraftRequest
from hanse_protos.policy.v1.policy_pb2 import (
    Policy,
    PolicyAcknowledged,
    PolicyDocument,
    PolicyProblem,
    PolicyPublished,
    PublishPolicyRequest,
)
from hanse_services.policy.model import PublishedPolicy
from hanse_services.policy.problems import named, quoted
from hanse_services.policy.scheduled import check_supersedes_none
from hanse_services.policy.tuning import tell_curtailed

Publication: TypeAlias = PublishPolicyRequest | PublishPolicyDraftRequest
"""A request to publish a version: it says from when it is in force, and whether it may supersede one that waits."""

DEFAULT_REVIEWS = 1
"""How many people approve of the next version where the newest one does not say. What governs the whole group, with its
prices and with what may leave a unit, is no one person's to change; a group that wants it so says 0."""


def publish_policy(work: Work, request: PublishPolicyRequest) -> Policy:
    """Publish the next version, unreviewed.

    Raises HeadquartersOnly in other units; PolicyInvalid, which names every place that does not hold together;
    PolicyReviewRequired where a second person has to approve of the next version, which the newest one says, or does
    not say otherwise; and what `publish` raises.
    """
    if work.unit != HEADQUARTERS:
        raise HeadquartersOnly(unit=work.unit)
    check_document(request.document)
    _check_needs_no_review(work.session)
    return publish(work, request, request.document)


def _effective_time_of(work: Work, request: Publication) -> datetime | None:
    """Return from when a version is to be in force, None for at once. Raises ValidationFailed for what is past."""
    if not request.HasField("effective_time"):
        return None
    effective_time = instant_in("effective_time", request.effective_time)
    if effective_time < work.now:
        raise ValidationFailed(
            f"effective_time: {effective_time.isoformat()} is past",
            hint="What was judged by one version is not judged by another afterwards: name a time to come, or none.",
            fields="effective_time",
        )
    return effective_time


def publish(work: Work, request: Publication, document: PolicyDocument) -> Policy:
    """Publish a document that was checked as the group's next version, as a request says, and tell it.

    Raises ValidationFailed for a time that is past; PolicyVersionWaits where one that waits would never be in force.
    """
    policy = _keep_next_version(work, request, document, after=0)
    work.tell(policy.name, PolicyPublished(policy=policy))
    return policy


def _check_needs_no_review(session: Session) -> None:
    """Raise PolicyReviewRequired, but for the very first version.

    Before that no ticket can be opened, so there is nothing that it could change unseen, and nothing that could say who
    reviews it: whoever sets up a group begins with it.
    """
    newest = session.get(PublishedPolicy, newest_version(session))
    if newest and _reviews_required(Policy.FromString(newest.policy).document):
        raise PolicyReviewRequired(policy=policy_name(newest.version))


def _reviews_required(document: PolicyDocument) -> int:
    return document.reviews_required if document.HasField("reviews_required") else DEFAULT_REVIEWS


def newest_version(session: Session) -> int:
    """Return the version that headquarters published last, 0 before the first; it stays the newest until COMMIT."""
    return _newest_version(session, 0)


def publish_own_policy(work: Work, request: PublishPolicyRequest) -> Policy:
    """Publish the next version of an independent unit's own policy, and put it in force at once.

    Nobody else is told, so nothing goes round; the unit's services hear of it as of any other version. Raises
    PolicyInvalid, also where the document lists another unit, which could not be asked for anything;
    GroupPolicyInForce in a unit that has been part of the group; ValidationFailed and PolicyVersionWaits as `publish`.
    """
    check_document(request.document)
    _check_alone(work.unit, request.document)
    if work.policies.current_version(work.session) > 0:
        raise GroupPolicyInForce(unit=work.unit)
    policy = _keep_next_version(work, request, request.document, after=OWN_POLICIES)
    _enact(work, policy)
    return policy


def _check_alone(unit: str, document: PolicyDocument) -> None:
    problems = [
        PolicyProblem(path=f"units[{i}].unit", message=f"this unit is independent: list {unit} and no other")
        for i, profile in enumerate(document.units)
        if profile.unit != unit
    ]
    if problems:
        raise _policy_invalid(problems)


def _keep_next_version(work: Work, request: Publication, document: PolicyDocument, *, after: int) -> Policy:
    """Number a document and keep it; the first version of all follows `after`."""
    effective_time = _effective_time_of(work, request)
    version = _newest_version(work.session, after) + 1
    if not request.supersede:
        check_supersedes_none(work, effective_time)
    policy = Policy(name=policy_name(version), version=version, document=document, publisher=work.cause.actor)
    policy.publish_time.FromDatetime(work.now)
    put_time(policy.effective_time, effective_time)
    row = PublishedPolicy(version=version, policy=policy.SerializeToString(), publish_time=work.now)
    work.session.add(row)
    return policy


def check_document(document: PolicyDocument) -> None:
    """Check that a document holds together. Raises PolicyInvalid."""
    if problems := lint(document):
        raise _policy_invalid(problems)


def _policy_invalid(problems: Sequence[PolicyProblem]) -> PolicyInvalid:
    return PolicyInvalid(
        f"the policy does not hold together: {quoted(problems)}",
        hint="Correct the places that are named, check the document with LintPolicy, and publish it again.",
        **named(problems),
    )


def _newest_version(session: Session, before_the_first: int) -> int:
    """Return the newest version. The table's lock, held to COMMIT, keeps the next one from being given twice."""
    session.execute(text("LOCK TABLE policy.published_policy IN SHARE ROW EXCLUSIVE MODE"))
    return cast(int, session.scalar(select(func.coalesce(func.max(PublishedPolicy.version), before_the_first))))


def policy_published(work: Work, fact: Fact) -> None:
    """Put a version in force that headquarters published, and acknowledge it, once."""
    _enact(work, cast(PolicyPublished, fact.payload).policy)


def _enact(work: Work, policy: Policy) -> None:
    """Put a version in force, and tell what it drops of the override: of the newest, also if it comes right now."""
    work.policies.hold(work.session)
    if work.policies.enact(work.session, policy):
        work.tell(policy.name, PolicyAcknowledged(policy=policy))
        tell_curtailed(work, policy)


EFFECTS: dict[type, Effect] = {PolicyPublished: policy_published}
"""What this service does about what others tell it, by the fact."""
