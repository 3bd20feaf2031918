"""What makes the bounds senseless within which units may tune a policy."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.duration_pb2 import Duration

from hanse.policy.findings import Finding, repeated
from hanse.policy.promises import FIELDS
from hanse.policy.standards import EVERYTHING
from hanse_protos.policy.v1.policy_pb2 import (
    Agreement,
    DurationBounds,
    NumberBounds,
    PolicyDocument,
    ServiceTarget,
    TunableAgreement,
    TunableTarget,
)

SOFT_FIELDS = ("review_within", "cap")
"""What a unit may tune of how long work is suspended."""


def tunable_problems(document: PolicyDocument) -> Iterator[Finding]:
    """Find what is wrong with what units may tune."""
    tunable = document.tunable
    yield from _target_problems(document)
    yield from _agreement_problems(document)
    yield from _soft_problems(document)
    if tunable.HasField("offer_timeout"):
        yield from _bounds(tunable.offer_timeout, document.routing.offer_timeout, "tunable.offer_timeout")
    if tunable.HasField("capacity"):
        yield from _number_bounds(tunable.capacity, "tunable.capacity")
    skills = {category.skill for category in document.categories}
    for i, skill in enumerate(tunable.skills):
        if skill not in skills | {EVERYTHING}:
            yield f"tunable.skills[{i}]", f"no category takes the skill {skill!r}: name one that a category takes"


def _target_problems(document: PolicyDocument) -> Iterator[Finding]:
    targets = {target.id: target for target in document.targets}
    yield from repeated((each.target for each in document.tunable.targets), "tunable.targets[{}].target")
    for i, each in enumerate(document.tunable.targets):
        path = f"tunable.targets[{i}]"
        if each.target in targets:
            yield from _bounds_of_target(each, targets[each.target], path)
        else:
            yield f"{path}.target", f"{each.target!r} is not one of the targets: add it, or name another"


def _bounds_of_target(tunable: TunableTarget, target: ServiceTarget, path: str) -> Iterator[Finding]:
    for field in FIELDS.values():
        if not tunable.HasField(field):  # type: ignore[arg-type]  # The stubs know literal names only.
            continue
        if target.HasField(field):  # type: ignore[arg-type]
            yield from _bounds(getattr(tunable, field), getattr(target, field), f"{path}.{field}")
        else:
            yield f"{path}.{field}", f"the target {target.id!r} has no {field}: say how long it is, or drop the bounds"
    if tunable.HasField("warn_percents"):
        yield from _number_bounds(tunable.warn_percents, f"{path}.warn_percents")


def _agreement_problems(document: PolicyDocument) -> Iterator[Finding]:
    agreements = {agreement.id: agreement for agreement in document.agreements}
    yield from repeated((each.agreement for each in document.tunable.agreements), "tunable.agreements[{}].agreement")
    for i, each in enumerate(document.tunable.agreements):
        path = f"tunable.agreements[{i}]"
        agreement = agreements.get(each.agreement)
        if agreement is None:
            yield f"{path}.agreement", f"{each.agreement!r} is not one of the agreements: add it, or name another"
        elif agreement.kind == Agreement.ENGAGEMENT:
            yield f"{path}.agreement", "an engagement's time is its provider's promise, not the home's: leave it out"
        else:
            yield from _bounds_of_agreement(each, agreement, path)


def _bounds_of_agreement(tunable: TunableAgreement, agreement: Agreement, path: str) -> Iterator[Finding]:
    if tunable.HasField("duration"):
        yield from _bounds(tunable.duration, agreement.duration, f"{path}.duration")
    if tunable.HasField("warn_percents"):
        yield from _number_bounds(tunable.warn_percents, f"{path}.warn_percents")


def _soft_problems(document: PolicyDocument) -> Iterator[Finding]:
    if not document.tunable.HasField("soft"):
        return
    if not document.HasField("soft"):
        yield "tunable.soft", "the policy lets no work be suspended: add a 'soft' rule, or drop the bounds"
        return
    for field in SOFT_FIELDS:
        if document.tunable.soft.HasField(field):  # type: ignore[arg-type]  # The stubs know literal names only.
            bounds = getattr(document.tunable.soft, field)
            yield from _bounds(bounds, getattr(document.soft, field), f"tunable.soft.{field}")


def _bounds(bounds: DurationBounds, own: Duration, path: str) -> Iterator[Finding]:
    if bounds.floor.ToNanoseconds() > bounds.ceiling.ToNanoseconds():
        yield path, "the floor is above the ceiling, so nothing is allowed: swap them"
    elif not bounds.floor.ToNanoseconds() <= own.ToNanoseconds() <= bounds.ceiling.ToNanoseconds():
        yield path, "the group's own value is outside: widen the bounds, or change the value"


def _number_bounds(bounds: NumberBounds, path: str) -> Iterator[Finding]:
    if bounds.floor > bounds.ceiling:
        yield path, "the floor is above the ceiling, so nothing is allowed: swap them"
