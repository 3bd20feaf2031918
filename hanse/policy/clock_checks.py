"""What makes the clocks of a policy contradict themselves: times that make no sense together, and conditions."""

from __future__ import annotations

from collections.abc import Iterator

from hanse.policy.findings import Finding
from hanse.policy.promises import FIELDS, conditions_of
from hanse_protos.policy.v1.policy_pb2 import Agreement, ClockRule, PolicyDocument, ServiceTarget


def clock_problems(document: PolicyDocument) -> Iterator[Finding]:
    """Find what is wrong with how the clocks of targets and agreements count."""
    for i, target in enumerate(document.targets):
        yield from _target_times(target, f"targets[{i}]")
        for field in FIELDS.values():
            path = f"targets[{i}].clocks.{field}"
            if target.clocks.HasField(field) and not target.HasField(field):  # type: ignore[arg-type]
                yield path, f"the target has no {field}: say how long it is, or drop its rule"
            yield from _clock_rule(getattr(target.clocks, field), path)
    if document.HasField("soft") and document.soft.review_within.ToNanoseconds() > document.soft.cap.ToNanoseconds():
        yield "soft.review_within", "the next review may be later than the cap: shorten the one or extend the other"
    for i, agreement in enumerate(document.agreements):
        yield from _agreement(agreement, f"agreements[{i}]")


def _agreement(agreement: Agreement, path: str) -> Iterator[Finding]:
    if agreement.kind == Agreement.SUPPLIER and not agreement.supplier:
        yield f"{path}.supplier", "an agreement with a supplier has to name it: set the supplier's id"
    if agreement.kind != Agreement.SUPPLIER and agreement.supplier:
        yield f"{path}.supplier", "only an agreement with a supplier has one: make its kind SUPPLIER, or leave it out"
    yield from _clock_rule(agreement.clock, f"{path}.clock")


def _target_times(target: ServiceTarget, path: str) -> Iterator[Finding]:
    """Find what is promised for later than the solution, as far as both count the same time."""
    for field in FIELDS.values():
        if (
            counts_as_the_solution(target, field)
            and getattr(target, field).ToNanoseconds() > target.resolution.ToNanoseconds()
        ):
            yield (
                f"{path}.{field}",
                f"the {field.replace('_', ' ')} is later than the resolution: shorten the one or extend the other",
            )


def counts_as_the_solution(target: ServiceTarget, field: str) -> bool:
    """Tell whether a clock of a target counts the same time as its solution, so that the two can be compared."""
    return _is_elapsed(getattr(target.clocks, field)) == _is_elapsed(target.clocks.resolution)


def _is_elapsed(rule: ClockRule) -> bool:
    return rule.time == ClockRule.ELAPSED


def _clock_rule(rule: ClockRule, path: str) -> Iterator[Finding]:
    """Find conditions that contradict themselves or each other, as far as can be seen without knowing any facts."""
    texts = {name: text.strip() for name, text, _ in conditions_of(rule, path)}
    for name, problem in _ALWAYS.items():
        if texts.get(name) == "true":
            yield f"{path}.{name}", problem
    for name, other, problem in _SAME:
        if name in texts and texts[name] == texts.get(other):
            yield f"{path}.{name}", problem


_ALWAYS = {
    "pause": "the clock would never run: say when it stands, or drop the clock",
    "cancel": "the clock would end as soon as it starts: say when it is cancelled, or drop the clock",
    "reset": "this always holds and never begins to: say what has to begin",
}
"""What is wrong with a condition that always holds."""
_SAME = (
    ("cancel", "start", "the clock is cancelled by what starts it: change one of the two"),
    ("cancel", "pause", "the clock is cancelled by what holds it: change one of the two"),
    ("reset", "cancel", "the clock is cancelled by what resets it: change one of the two"),
)
"""Conditions of which one makes the other senseless."""
