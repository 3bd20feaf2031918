"""What a unit tunes for itself, within the floors and ceilings of the group's policy."""

from collections.abc import Callable
from typing import cast

from google.protobuf.message import Message

from hanse.errors import PolicyOverrideInvalid
from hanse.log.events import Fact
from hanse.names import override_name, policy_name
from hanse.policy.tuning import dropped, override_problems
from hanse.work import Work
from hanse_protos.policy.v1 import tuning_pb2 as pb
from hanse_protos.policy.v1.policy_pb2 import Policy
from hanse_services.policy.problems import named, quoted


def tune_policy(work: Work, request: pb.TunePolicyRequest) -> pb.PolicyOverride:
    """Put an override in force for this unit, in place of the one before; tickets that are open keep theirs.

    Tells too which of its places a version drops that is here already, and whose time has yet to come.
    Raises PolicyOverrideInvalid, which names every place that does not hold; PolicyMissing before the first policy.
    """
    work.policies.hold(work.session)
    version = work.policies.current_version(work.session)
    document = work.standards_of(version).document
    if problems := override_problems(document, request.document, work.unit):
        raise PolicyOverrideInvalid(
            f"the override does not hold: {quoted(problems)}", policy=policy_name(version), **named(problems)
        )
    number = work.policies.newest_override(work.session) + 1
    override = pb.PolicyOverride(
        name=override_name(work.unit, number),
        unit=work.unit,
        version=number,
        document=request.document,
        policy_version=version,
        submitter=work.cause.actor,
    )
    override.submit_time.FromDatetime(work.now)
    work.policies.tune(work.session, override)
    work.tell(override.name, pb.PolicyTuned(override=override))
    for to_come in work.policies.list_to_come(work.session):
        tell_curtailed(work, to_come)
    return override


def tell_curtailed(work: Work, policy: Policy) -> None:
    """Tell which places of this unit's override a version of the policy drops, if it drops any."""
    newest = work.policies.newest_override(work.session)
    if not newest:
        return
    override = work.policies.override(work.session, newest)
    if problems := dropped(policy.document, override.document, work.unit):
        work.tell(override.name, pb.TuningCurtailed(override=override.name, policy=policy.name, dropped=problems))


def policy_tuned(work: Work, fact: Fact) -> None:
    """Restore an override that this unit had put in force."""
    work.policies.tune(work.session, cast(pb.PolicyTuned, fact.payload).override)


RESTORES: dict[type[Message], Callable[[Work, Fact], None]] = {pb.PolicyTuned: policy_tuned}
"""What comes back with the unit's own events, when it is re-seeded from headquarters' copy."""
