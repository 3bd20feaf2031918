"""A unit's own changes of the policy, laid over the group's document as far as its floors and ceilings allow.

Whoever has the two documents lays one over the other and gets the same third one: the desk, headquarters, a provider,
today or in a year. The result governs the tickets of that unit alone, so what several units change never mixes.

Every place of an override is judged by itself, under the version of the policy at hand. One that the version does not
allow is dropped, the rest holds; which ones were dropped and why is as certain as the rest (`dropped`). So a new
version of the policy may take a place out of force, and a later one puts it back.

A unit whose days differ from its calendar's gets a calendar of its own: others may work by the same one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeAlias

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from hanse.names import short_unit
from hanse.policy.clock_checks import counts_as_the_solution
from hanse.policy.lint import exception_findings, lint, violations
from hanse.policy.notation import duration_to_text
from hanse.policy.promises import FIELDS
from hanse.policy.tunable_checks import SOFT_FIELDS
from hanse_protos.policy.v1.policy_pb2 import (
    Agreement,
    DayException,
    DurationBounds,
    NumberBounds,
    PolicyDocument,
    PolicyProblem,
    ServiceTarget,
    TunableAgreement,
    TunableTarget,
    UnitProfile,
)
from hanse_protos.policy.v1.tuning_pb2 import AgreementOverride, OverrideDocument, TargetOverride

TUNED_SUFFIX = "-tuned"
"""How the calendar of a unit ends whose days differ."""
ANY = "*"

Lay: TypeAlias = Callable[[PolicyDocument], None]
Values: TypeAlias = Callable[[PolicyDocument], Any]


@dataclass(frozen=True, slots=True)
class Change:
    """One place of an override: what is wrong with it, empty where nothing is, and what it does otherwise."""

    path: str
    problem: str
    lay: Lay


def tuned(document: PolicyDocument, override: OverrideDocument, unit: str) -> PolicyDocument:
    """Return the document that governs a unit's own tickets. Places that the group does not allow are left out."""
    return _laid(document, _changes(document, override, unit))


def with_profile(document: PolicyDocument, override: OverrideDocument, unit: str) -> PolicyDocument:
    """Return the document with what a unit says of itself: skills, languages, capacity, days. Routing asks by them."""
    changes = chain(_profile_changes(document, override, unit), _calendar_changes(document, override, unit))
    return _laid(document, changes)


def _laid(document: PolicyDocument, changes: Iterator[Change]) -> PolicyDocument:
    laid = PolicyDocument()
    laid.CopyFrom(document)
    for change in changes:
        if not change.problem:
            change.lay(laid)
    return laid


def dropped(document: PolicyDocument, override: OverrideDocument, unit: str) -> list[PolicyProblem]:
    """List the places of an override that a version of the policy does not allow, with the reason."""
    changes = _changes(document, override, unit)
    return [PolicyProblem(path=change.path, message=change.problem) for change in changes if change.problem]


def override_problems(document: PolicyDocument, override: OverrideDocument, unit: str) -> list[PolicyProblem]:
    """List all that keeps an override from being put in force: its own rules, the bounds, and what would come of it."""
    broken = [PolicyProblem(path=path, message=message) for path, message in violations(override)]
    if broken := broken or dropped(document, override, unit):
        return broken
    return [
        PolicyProblem(
            path="document", message=f"with it, {problem.path} of the policy would not hold: {problem.message}"
        )
        for problem in _brought_by(document, tuned(document, override, unit))
    ]


def _brought_by(document: PolicyDocument, laid: PolicyDocument) -> list[PolicyProblem]:
    """List what is wrong since an override is laid over a document: the group's own problems are not the unit's.

    A version may have any that was published before it was known to be one.
    """
    problems = lint(laid)
    own = lint(document) if problems else []
    return [problem for problem in problems if problem not in own]


def _changes(document: PolicyDocument, override: OverrideDocument, unit: str) -> Iterator[Change]:
    yield from _target_changes(document, override)
    yield from _agreement_changes(document, override)
    yield from _soft_changes(document, override)
    yield from _offer_timeout(document, override)
    yield from _profile_changes(document, override, unit)
    yield from _calendar_changes(document, override, unit)


# Targets


def _target_changes(document: PolicyDocument, override: OverrideDocument) -> Iterator[Change]:
    bounds = {tunable.target: tunable for tunable in document.tunable.targets}
    targets = {target.id: target for target in document.targets}
    seen: set[str] = set()
    for i, wanted in enumerate(override.targets):
        path = f"targets[{i}]"
        if wanted.target in seen:
            yield _refused(f"{path}.target", f"{wanted.target!r} is here twice: keep one of the two")
        elif wanted.target not in targets:
            yield _refused(f"{path}.target", f"the policy has no target {wanted.target!r}")
        else:
            yield from _one_target(targets[wanted.target], bounds.get(wanted.target, TunableTarget()), wanted, path)
        seen.add(wanted.target)


def _one_target(group: ServiceTarget, bounds: TunableTarget, wanted: TargetOverride, path: str) -> Iterator[Change]:
    problems = _duration_problems(wanted, bounds, FIELDS.values())
    _check_order(group, wanted, problems)
    of = _found("targets", wanted.target)
    yield from _durations(of, wanted, problems, f"{path}.")
    yield from _warnings(of, wanted.warn_percents, bounds.warn_percents, path)


def _check_order(group: ServiceTarget, wanted: TargetOverride, problems: dict[str, str]) -> None:
    """Note a problem where something would be due after the solution; the solution goes last."""
    others = [field for field in FIELDS.values() if field != "resolution" and counts_as_the_solution(group, field)]
    for name in others:
        if problems.get(name) == "" and _in_force(group, wanted, problems, name) > _solution(group, wanted, problems):
            problems[name] = f"the {name.replace('_', ' ')} would be due after the solution"
    if problems.get("resolution") == "":
        for name in others:
            if _in_force(group, wanted, problems, name) > _solution(group, wanted, problems):
                problems["resolution"] = f"the {name.replace('_', ' ')} would be due after the solution"


def _solution(group: ServiceTarget, wanted: TargetOverride, problems: dict[str, str]) -> tuple[int, int]:
    return _in_force(group, wanted, problems, "resolution")


def _in_force(group: Message, wanted: Message, problems: dict[str, str], name: str) -> tuple[int, int]:
    """Return the length that would be in force: the unit's where nothing is wrong with it, otherwise the group's."""
    return _length(getattr(wanted if problems.get(name) == "" else group, name))


# Agreements, and work that is suspended


def _agreement_changes(document: PolicyDocument, override: OverrideDocument) -> Iterator[Change]:
    bounds = {tunable.agreement: tunable for tunable in document.tunable.agreements}
    kinds = {agreement.id: agreement.kind for agreement in document.agreements}
    seen: set[str] = set()
    for i, wanted in enumerate(override.agreements):
        path, name = f"agreements[{i}]", wanted.agreement
        if name in seen:
            yield _refused(f"{path}.agreement", f"{name!r} is here twice: keep one of the two")
        elif name not in kinds:
            yield _refused(f"{path}.agreement", f"the policy has no agreement {name!r}")
        elif kinds[name] == Agreement.ENGAGEMENT:
            yield _refused(f"{path}.agreement", f"{name!r} is a promise of engagements' providers, not of this unit")
        else:
            yield from _one_agreement(bounds.get(name, TunableAgreement()), wanted, path)
        seen.add(name)


def _one_agreement(bounds: TunableAgreement, wanted: AgreementOverride, path: str) -> Iterator[Change]:
    of = _found("agreements", wanted.agreement)
    yield from _durations(of, wanted, _duration_problems(wanted, bounds, ["duration"]), f"{path}.")
    yield from _warnings(of, wanted.warn_percents, bounds.warn_percents, path)


def _soft_changes(document: PolicyDocument, override: OverrideDocument) -> Iterator[Change]:
    if not override.HasField("soft"):
        return
    if not document.HasField("soft"):
        yield _refused("soft", "the policy lets no work be suspended")
        return
    problems = _duration_problems(override.soft, document.tunable.soft, SOFT_FIELDS)
    for name in SOFT_FIELDS:
        review, cap = (_in_force(document.soft, override.soft, problems, each) for each in SOFT_FIELDS)
        if problems.get(name) == "" and review > cap:
            problems[name] = "the next review would be later than the cap"
    yield from _durations(lambda laid: laid.soft, override.soft, problems, "soft.")


# What is tuned at several places


def _found(rules: str, name: str) -> Values:
    """Return what finds a rule of a document by its id."""
    return lambda document: next(each for each in getattr(document, rules) if each.id == name)


def _duration_problems(wanted: Message, bounds: Message, names: Iterable[str]) -> dict[str, str]:
    """Say of each time that a unit sets what is wrong with it, empty where nothing is."""
    return {
        name: _duration_problem(getattr(wanted, name), getattr(bounds, name)) for name in names if wanted.HasField(name)
    }


def _durations(of: Values, wanted: Message, problems: dict[str, str], path: str) -> Iterator[Change]:
    for name, problem in problems.items():
        yield Change(f"{path}{name}", problem, _set_duration(of, name, getattr(wanted, name)))


def _set_duration(of: Values, name: str, value: Duration) -> Lay:
    return lambda document: getattr(of(document), name).CopyFrom(value)


def _warnings(of: Values, wanted: Sequence[int], bounds: NumberBounds, path: str) -> Iterator[Change]:
    if wanted:
        problem = next(filter(None, (_number_problem(each, bounds) for each in wanted)), "")
        yield Change(f"{path}.warn_percents", problem, _set_warnings(of, wanted))


def _set_warnings(of: Values, percents: Sequence[int]) -> Lay:
    def lay(document: PolicyDocument) -> None:
        of(document).warn_percents[:] = percents

    return lay


# Offers


def _offer_timeout(document: PolicyDocument, override: OverrideDocument) -> Iterator[Change]:
    if override.HasField("offer_timeout"):
        problem = _duration_problem(override.offer_timeout, document.tunable.offer_timeout)
        yield Change("offer_timeout", problem, lambda laid: laid.routing.offer_timeout.CopyFrom(override.offer_timeout))


# What a unit says of itself


def _profile_changes(document: PolicyDocument, override: OverrideDocument, unit: str) -> Iterator[Change]:
    profile = next((each for each in document.units if each.unit == unit), None)
    if profile is None:
        yield from ([_refused("document", f"the policy does not list {unit}")] if override.ListFields() else [])
        return
    if override.HasField("capacity"):
        problem = _number_problem(override.capacity, document.tunable.capacity)
        yield Change("capacity", problem, lambda laid: setattr(_profile(laid, unit), "capacity", override.capacity))
    skills, languages = document.tunable.skills, document.tunable.languages
    yield from _added("add_skills", override.add_skills, skills, profile.skills, lambda d: _profile(d, unit).skills)
    yield from _left("drop_skills", override.drop_skills, skills, profile.skills, lambda d: _profile(d, unit).skills)
    yield from _added(
        "add_languages", override.add_languages, languages, profile.languages, lambda d: _profile(d, unit).languages
    )
    yield from _left(
        "drop_languages", override.drop_languages, languages, profile.languages, lambda d: _profile(d, unit).languages
    )


def _profile(document: PolicyDocument, unit: str) -> UnitProfile:
    return next(profile for profile in document.units if profile.unit == unit)


def _added(
    name: str, wanted: Sequence[str], allowed: Sequence[str], had: Sequence[str], of: Values
) -> Iterator[Change]:
    for i, value in enumerate(wanted):
        problem = _choice_problem(value, allowed) or (
            f"the unit has {value!r} already" if value in had or value in wanted[:i] else ""
        )
        yield Change(f"{name}[{i}]", problem, _append(of, value))


def _left(name: str, wanted: Sequence[str], allowed: Sequence[str], had: Sequence[str], of: Values) -> Iterator[Change]:
    left = [*had]
    for i, value in enumerate(wanted):
        problem = _choice_problem(value, allowed)
        if not problem and value not in left:
            problem = f"the unit has no {value!r} that it could do without"
        if not problem and len(left) == 1:
            problem = f"{value!r} is the last one that the unit has"
        if not problem:
            left.remove(value)
        yield Change(f"{name}[{i}]", problem, _remove(of, value))


def _append(of: Values, value: str) -> Lay:
    return lambda document: of(document).append(value)


def _remove(of: Values, value: str) -> Lay:
    return lambda document: of(document).remove(value)


# Days


def _calendar_changes(document: PolicyDocument, override: OverrideDocument, unit: str) -> Iterator[Change]:
    most = document.tunable.calendar_exceptions
    if all(profile.unit != unit for profile in document.units):
        return
    wrong = dict(exception_findings(override.calendar_exceptions, "calendar_exceptions"))
    for i, exception in enumerate(override.calendar_exceptions):
        path = f"calendar_exceptions[{i}]"
        problem = next((message for place, message in wrong.items() if place.startswith(path)), "")
        if not problem and exception.note:
            problem = "a note would leave the unit: write it as a comment of the file"
        if not problem and i >= most:
            problem = f"a unit may have {most} days differ at most" if most else "a unit may not have its days differ"
        yield Change(path, problem, _set_day(unit, exception))


def _set_day(unit: str, exception: DayException) -> Lay:
    def lay(document: PolicyDocument) -> None:
        calendar = _own_calendar(document, unit)
        others = [each for each in calendar.exceptions if each.date != exception.date]
        del calendar.exceptions[:]
        calendar.exceptions.extend([*others, exception])

    return lay


def tuned_calendar(unit: str) -> str:
    """Return the id of the calendar that a unit has to itself while its days differ."""
    return f"{short_unit(unit)}{TUNED_SUFFIX}"


def _own_calendar(document: PolicyDocument, unit: str) -> Any:
    """Return the unit's own calendar, made of the one that it works by when there is none yet."""
    profile, own = _profile(document, unit), tuned_calendar(unit)
    works_by = next(calendar for calendar in document.calendars if calendar.id == profile.calendar)
    if works_by.id == own:
        return works_by
    calendar = document.calendars.add()
    calendar.CopyFrom(works_by)
    calendar.id = profile.calendar = own
    return calendar


# Bounds


def _refused(path: str, problem: str) -> Change:
    return Change(path, problem, lambda document: None)


def _duration_problem(value: Duration, bounds: DurationBounds) -> str:
    if not bounds.HasField("floor"):
        return "the group does not let units tune this"
    if _length(bounds.floor) <= _length(value) <= _length(bounds.ceiling):
        return ""
    floor, ceiling = duration_to_text(bounds.floor), duration_to_text(bounds.ceiling)
    return f"{duration_to_text(value)} is outside of the group's bounds, {floor} to {ceiling}"


def _number_problem(value: int, bounds: NumberBounds) -> str:
    if not bounds.ceiling:
        return "the group does not let units tune this"
    if bounds.floor <= value <= bounds.ceiling:
        return ""
    return f"{value} is outside of the group's bounds, {bounds.floor} to {bounds.ceiling}"


def _choice_problem(value: str, allowed: Sequence[str]) -> str:
    if value in allowed or ANY in allowed:
        return ""
    return f"the group does not let units tune {value!r}" if allowed else "the group does not let units tune this"


def _length(duration: Duration) -> tuple[int, int]:
    return duration.seconds, duration.nanos
