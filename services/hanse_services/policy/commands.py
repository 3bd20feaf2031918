"""Publishing a version of the policy, and putting one in force."""

from collections.abc import Sequence
from typing import cast

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from hanse.errors import HeadquartersOnly, PolicyInvalid
from hanse.inbox import Effect
from hanse.log.events import Fact
from hanse.names import HEADQUARTERS
from hanse.policy.lint import lint
from hanse.work import Work
from hanse_protos.policy.v1.policy_pb2 import (
    Policy,
    PolicyAcknowledged,
    PolicyDocument,
    PolicyProblem,
    PolicyPublished,
    PublishPolicyRequest,
)
from hanse_services.policy.model import PublishedPolicy

MAX_NAMED_PROBLEMS = 30
"""How many problems an error names by their path: it travels in HTTP/2 trailers, which hold about 8 kB."""
MAX_QUOTED_PROBLEMS = 5
"""How many problems an error describes, for the same reason. LintPolicy describes them all."""
MAX_PROBLEM_CHARACTERS = 160
"""How much an error quotes of one problem."""
MAX_PATH_CHARACTERS = 60
"""How much an error quotes of one path; hardly any is longer."""


def publish_policy(work: Work, request: PublishPolicyRequest) -> Policy:
    """Publish the next version.

    Raises HeadquartersOnly in other units, and PolicyInvalid, which names every place that does not hold together.
    """
    if work.unit != HEADQUARTERS:
        raise HeadquartersOnly(unit=work.unit)
    check_document(request.document)
    version = _next_version(work.session)
    policy = Policy(name=f"policies/{version}", version=version, document=request.document, publisher=work.cause.actor)
    policy.publish_time.FromDatetime(work.now)
    row = PublishedPolicy(version=version, policy=policy.SerializeToString(), publish_time=work.now)
    work.session.add(row)
    work.tell(policy.name, PolicyPublished(policy=policy))
    return policy


def check_document(document: PolicyDocument) -> None:
    """Check that a document holds together. Raises PolicyInvalid."""
    if problems := lint(document):
        raise _policy_invalid(problems)


def _policy_invalid(problems: Sequence[PolicyProblem]) -> PolicyInvalid:
    quoted = [f"{problem.path}: {problem.message}"[:MAX_PROBLEM_CHARACTERS] for problem in problems]
    left_out = len(problems) - MAX_QUOTED_PROBLEMS
    ending = f"; and {left_out} more" if left_out > 0 else ""
    return PolicyInvalid(
        f"the policy does not hold together: {'; '.join(quoted[:MAX_QUOTED_PROBLEMS])}{ending}",
        hint="Correct the places that are named, check the document with LintPolicy, and publish it again.",
        paths=", ".join(problem.path[:MAX_PATH_CHARACTERS] for problem in problems[:MAX_NAMED_PROBLEMS]),
        problems=str(len(problems)),
    )


def _next_version(session: Session) -> int:
    """Return the next version's number. The table's lock, held to COMMIT, keeps it from being given twice."""
    session.execute(text("LOCK TABLE policy.published_policy IN SHARE ROW EXCLUSIVE MODE"))
    greatest = session.scalar(select(func.coalesce(func.max(PublishedPolicy.version), 0)))
    return cast(int, greatest) + 1


def policy_published(work: Work, fact: Fact) -> None:
    """Put a version in force that headquarters published, and acknowledge it, once.

    Raises HeadquartersOnly where another unit claims to have published it.
    """
    if fact.event.unit != HEADQUARTERS:
        raise HeadquartersOnly(unit=fact.event.unit)
    policy = cast(PolicyPublished, fact.payload).policy
    if work.policies.enact(work.session, policy):
        work.tell(policy.name, PolicyAcknowledged(policy=policy))


EFFECTS: dict[type, Effect] = {PolicyPublished: policy_published}
"""What this service does about what others tell it, by the fact."""
