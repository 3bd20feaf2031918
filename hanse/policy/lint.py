"""What is wrong with a policy document: the contract's own rules, and what contradicts itself.

Every check is a generator of problems over the document and stands alone, so one mistake does not hide another. A
problem names its place as the contract does, "calendars[0].shifts[1].start", and says what to do about it. The checks
that try the conditions out are in `hanse.policy.rehearsal`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, TypeAlias

import protovalidate
from google.protobuf.message import Message
from google.type.dayofweek_pb2 import DayOfWeek
from google.type.money_pb2 import Money

from hanse.errors import PolicyInvalid
from hanse.names import HEADQUARTERS
from hanse.policy.calendar import exception_date, local_stretch, time_zone
from hanse.policy.clock_checks import clock_problems
from hanse.policy.complaints import close_after_in
from hanse.policy.conditions import is_unconditional, mentions
from hanse.policy.findings import MAX_PROBLEMS, Finding, repeated
from hanse.policy.notation import NANOS_PER_UNIT
from hanse.policy.public_holidays import unknown_place
from hanse.policy.rehearsal import climbing_problems, condition_problems, idle_desk_problems
from hanse.policy.standards import EVERYTHING, kind_of
from hanse.policy.tunable_checks import tunable_problems
from hanse_protos.knowledge.v1 import knowledge_pb2
from hanse_protos.policy.v1.policy_pb2 import (
    Calendar,
    DayException,
    HierarchyStep,
    LadderStep,
    PolicyDocument,
    PolicyProblem,
    ServiceOffering,
    Shift,
)
from hanse_protos.ticket.v1 import events_pb2
from hanse_protos.ticket.v1.ticket_pb2 import Clock

Check: TypeAlias = Callable[[PolicyDocument], Iterator[Finding]]

# Event messages are past tense and live in their service's package; the article's are beside its requests.
EVENT_TYPES = frozenset(
    {*events_pb2.DESCRIPTOR.message_types_by_name}
    | {
        name
        for name in knowledge_pb2.DESCRIPTOR.message_types_by_name
        if name.startswith("Article") and name[-2:] == "ed"
    }
)


def lint(document: PolicyDocument) -> list[PolicyProblem]:
    """List what is wrong with a document, empty where nothing is, and no more than `MAX_PROBLEMS`."""
    findings = dict.fromkeys(finding for check in CHECKS for finding in check(document))
    return [PolicyProblem(path=path, message=message) for path, message in list(findings)[:MAX_PROBLEMS]]


def violations(message: Message) -> Iterator[Finding]:
    """Give what breaks the contract's own rules."""
    for violation in protovalidate.collect_violations(message):
        elements = violation.proto.field.elements if violation.proto.field else []
        yield ".".join(_element_text(element) for element in elements) or "document", violation.proto.message


def _element_text(element: Any) -> str:
    if element.subscript is None:
        return str(element.field_name)
    key = element.subscript.value
    return f'{element.field_name}["{key}"]' if isinstance(key, str) else f"{element.field_name}[{key}]"


def _duplicates(document: PolicyDocument) -> Iterator[Finding]:
    yield from repeated((category.id for category in document.categories), "categories[{}].id")
    yield from repeated((calendar.id for calendar in document.calendars), "calendars[{}].id")
    yield from repeated((unit.unit for unit in document.units), "units[{}].unit")
    yield from repeated((target.id for target in document.targets), "targets[{}].id")
    yield from repeated((agreement.id for agreement in document.agreements), "agreements[{}].id")
    yield from repeated((rule.id for rule in document.complaints), "complaints[{}].id")
    yield from repeated((rate.id for rate in document.rates), "rates[{}].id")
    yield from repeated((desk.id for desk in document.desks), "desks[{}].id")
    yield from repeated((service.id for service in document.services), "services[{}].id")


def _calendars(document: PolicyDocument) -> Iterator[Finding]:
    for i, calendar in enumerate(document.calendars):
        path = f"calendars[{i}]"
        yield from _refusal(time_zone, calendar.time_zone, f"{path}.time_zone")
        if calendar.holiday_country:
            if problem := unknown_place(calendar.holiday_country, calendar.holiday_subdivision):
                yield f"{path}.holiday_country", problem
        elif calendar.holiday_subdivision:
            yield f"{path}.holiday_subdivision", "a subdivision needs a country: set holiday_country as well"
        yield from _calendar_shifts(calendar, path)


def _calendar_shifts(calendar: Calendar, path: str) -> Iterator[Finding]:
    yield from _shifts(calendar.shifts, f"{path}.shifts", same_day=lambda one, other: bool({*one.days} & {*other.days}))
    yield from exception_findings(calendar.exceptions, f"{path}.exceptions")
    if not any(shift.days and shift.start < shift.end for shift in calendar.shifts):
        yield f"{path}.shifts", "the calendar has no working time, so nothing on it is ever due: give it a shift"


def exception_findings(exceptions: Sequence[DayException], path: str) -> Iterator[Finding]:
    """Find what is wrong with the single days of a calendar."""
    yield from repeated((exception.date for exception in exceptions), f"{path}[{{}}].date")
    for i, exception in enumerate(exceptions):
        yield from _refusal(exception_date, exception.date, f"{path}[{i}].date")
        yield from _shifts(exception.shifts, f"{path}[{i}].shifts", same_day=lambda one, other: True)


def _shifts(shifts: Sequence[Shift], path: str, same_day: Callable[[Shift, Shift], bool]) -> Iterator[Finding]:
    for i, shift in enumerate(shifts):
        yield from _refusal(local_stretch, shift, f"{path}[{i}]")
    for (_, one), (j, other) in combinations(enumerate(shifts), 2):
        # Times of day are two digits each, so their text sorts as they do.
        if same_day(one, other) and one.start < other.end and other.start < one.end:
            # A day that there is not breaks the contract's own rules, which is said elsewhere.
            shared = {*one.days} & {*other.days} & {*DayOfWeek.values()}
            days = ", ".join(DayOfWeek.Name(day)[:3] for day in sorted(shared)) or "that day"
            yield f"{path}[{j}]", f"the shift overlaps {one.start} to {one.end} on {days}: join or move one of them"


def _refusal(read: Callable[[Any, str], object], value: object, path: str) -> Iterator[Finding]:
    """Tell of what the calendar itself would refuse."""
    try:
        read(value, path)
    except PolicyInvalid as error:
        yield error.metadata["path"], error.metadata["problem"]


def _references(document: PolicyDocument) -> Iterator[Finding]:
    calendars = {calendar.id for calendar in document.calendars}
    units = {unit.unit for unit in document.units}
    skills = {skill for unit in document.units for skill in unit.skills}
    for i, unit in enumerate(document.units):
        if unit.calendar not in calendars:
            yield f"units[{i}].calendar", f"there is no calendar {unit.calendar!r}: add it, or name another"
    for i, category in enumerate(document.categories):
        if category.skill not in skills:
            yield f"categories[{i}].skill", f"no unit has the skill {category.skill!r}: give it to one, or take another"
    if document.routing.final_owner not in units:
        yield "routing.final_owner", f"{document.routing.final_owner!r} is not one of the units: name one that is"


def _targets(document: PolicyDocument) -> Iterator[Finding]:
    promised = {target for service in document.services for target in service.targets}
    for asked in ({target.id for target in document.targets} - promised, *map(_targets_of, document.services)):
        when = {i: target.when for i, target in enumerate(document.targets) if target.id in asked}
        yield from _unreachable(when, "targets")


def _targets_of(service: ServiceOffering) -> set[str]:
    return {*service.targets}


def _unreachable(conditions: Mapping[int, str], path: str) -> Iterator[Finding]:
    """Find rules, by their place, that an earlier one always wins against, where the first that holds applies."""
    above: dict[int, str] = {}
    for later, condition in conditions.items():
        same = (i for i, other in above.items() if is_unconditional(other) or other.strip() == condition.strip())
        if (earlier := next(same, None)) is not None:
            yield f"{path}[{later}].when", f"{path}[{earlier}] always comes first: move this above it, or drop it"
        above[later] = condition


def _agreements(document: PolicyDocument) -> Iterator[Finding]:
    parties = {(agreement.kind, agreement.supplier) for agreement in document.agreements}
    for party in sorted(parties):
        same = ((i, each) for i, each in enumerate(document.agreements) if (each.kind, each.supplier) == party)
        yield from _unreachable({i: each.when for i, each in same}, "agreements")


def _ladder(document: PolicyDocument) -> Iterator[Finding]:
    for (i, one), (j, other) in combinations(enumerate(document.ladder), 2):
        if one.at_percent != other.at_percent or not _can_both_hold(one, other):
            continue
        if one.action == other.action:
            yield f"ladder[{j}]", f"ladder[{i}] does the same at {one.at_percent} percent: keep one of the two"
        else:
            yield f"ladder[{j}]", f"ladder[{i}] does something else at {one.at_percent} percent: move one of the two"


def _hierarchy(document: PolicyDocument) -> Iterator[Finding]:
    kinds = list(Clock.Kind.keys())[1:]
    for i, step in enumerate(document.hierarchy):
        if step.kind and step.kind not in kinds:
            yield f"hierarchy[{i}].kind", f"{step.kind!r} is not a kind of clock: {', '.join(kinds)}"
        if step.level == HierarchyStep.HEADQUARTERS and step.HasField("acknowledge_within"):
            yield f"hierarchy[{i}].acknowledge_within", "nobody is above headquarters: leave it out"
    for (i, one), (j, other) in combinations(enumerate(document.hierarchy), 2):
        if (one.level, kind_of(one)) == (other.level, kind_of(other)):
            yield from _same_level(one, other, f"hierarchy[{i}]", f"hierarchy[{j}]")


def _same_level(one: HierarchyStep, other: HierarchyStep, earlier: str, path: str) -> Iterator[Finding]:
    """Find what contradicts itself about a level: it is told twice at once, or has two times to acknowledge."""
    if one.at_percent == other.at_percent and _can_both_hold(one, other):
        yield path, f"{earlier} tells the same level at {one.at_percent} percent: keep one of the two"
    times = [each.acknowledge_within.ToNanoseconds() for each in (one, other) if each.HasField("acknowledge_within")]
    if len({*times}) > 1:
        yield (
            f"{path}.acknowledge_within",
            f"{earlier} gives the level another time for such clocks: make them the same",
        )


def _complaints(document: PolicyDocument) -> Iterator[Finding]:
    for i, rule in enumerate(document.complaints):
        if rule.acknowledge_within.ToNanoseconds() >= rule.answer_within.ToNanoseconds():
            yield (
                f"complaints[{i}].acknowledge_within",
                "it has to be shorter than answer_within, which counts from the same moment",
            )
        if 0 < close_after_in(rule).ToNanoseconds() < rule.acknowledge_within.ToNanoseconds():
            yield (
                f"complaints[{i}].close_after",
                "the customer would have less time to reject an answer than the desk has to take the complaint up",
            )
    if document.complaints and not any(is_unconditional(rule.when) for rule in document.complaints):
        yield (
            "complaints",
            "no rule always applies, so some complaint would have no deadline: add one without 'when' at the end",
        )
    yield from _unreachable(dict(enumerate(rule.when for rule in document.complaints)), "complaints")


def _can_both_hold(one: LadderStep | HierarchyStep, other: LadderStep | HierarchyStep) -> bool:
    """Tell whether two steps meet, as far as can be seen without knowing any facts."""
    return is_unconditional(one.when) or is_unconditional(other.when) or one.when.strip() == other.when.strip()


def _rates(document: PolicyDocument) -> Iterator[Finding]:
    for i, rate in enumerate(document.rates):
        yield from _amount(rate.amount, f"rates[{i}].amount")
    if not any(is_unconditional(rate.when) for rate in document.rates):
        yield (
            "rates",
            "no rate always applies, so some engagement would have no price: add one without 'when' at the end",
        )
    yield from _unreachable(dict(enumerate(rate.when for rate in document.rates)), "rates")
    amounts = [rate.amount for rate in document.rates]
    if any(rate.service_cost for rate in document.rates):
        amounts += [service.cost for service in document.services if service.HasField("cost")]
    currencies = sorted({amount.currency_code for amount in amounts})
    if len(currencies) > 1 and mentions(document.routing.score, "cost"):
        yield (
            "routing.score",
            f"cost compares amounts, and the rates are in {', '.join(currencies)}: use one currency, or score without",
        )


def _amount(amount: Money, path: str) -> Iterator[Finding]:
    if amount.units * NANOS_PER_UNIT + amount.nanos <= 0:
        yield path, "the amount has to be more than nothing: set it, or leave it out"
    if not 0 <= amount.nanos < NANOS_PER_UNIT:
        yield f"{path}.nanos", f"nanos are the part after the decimal point: 0 to {NANOS_PER_UNIT - 1}"
    if not (len(amount.currency_code) == 3 and amount.currency_code.isascii() and amount.currency_code.isupper()):
        yield f"{path}.currency_code", f"{amount.currency_code!r} is not a currency: give an ISO 4217 code such as EUR"


def _services(document: PolicyDocument) -> Iterator[Finding]:
    units, categories, targets = (
        {unit.unit for unit in document.units},
        {category.id for category in document.categories},
        {target.id for target in document.targets},
    )
    for i, service in enumerate(document.services):
        path = f"services[{i}]"
        if service.owner not in units:
            yield f"{path}.owner", f"{service.owner!r} is not one of the units: name one that is"
        for name, ids, known in (("categories", service.categories, categories), ("targets", service.targets, targets)):
            yield from repeated(ids, f"{path}.{name}[{{}}]")
            for j, value in enumerate(ids):
                if value not in known:
                    yield f"{path}.{name}[{j}]", f"{value!r} is not one of the {name}: add it, or name another"
        if service.HasField("cost"):
            yield from _amount(service.cost, f"{path}.cost")


def _sharing(document: PolicyDocument) -> Iterator[Finding]:
    for i, rule in enumerate(document.sharing):
        for j, event in enumerate(rule.events):
            if event != EVERYTHING and event not in EVENT_TYPES:
                yield (
                    f"sharing[{i}].events[{j}]",
                    f"there is no event {event!r}: name a type such as EngagementRequested",
                )
        yield from repeated(rule.events, f"sharing[{i}].events[{{}}]")
        yield from repeated(rule.fields, f"sharing[{i}].fields[{{}}]")


def _desks(document: PolicyDocument) -> Iterator[Finding]:
    units = {unit.unit for unit in document.units}
    for i, desk in enumerate(document.desks):
        yield from repeated(desk.units, f"desks[{i}].units[{{}}]")
        for j, unit in enumerate(desk.units):
            if unit not in units:
                yield f"desks[{i}].units[{j}]", f"{unit!r} is not one of the units: name one that is"
    yield from _unreachable(dict(enumerate(desk.when for desk in document.desks)), "desks")


def _peers(document: PolicyDocument) -> Iterator[Finding]:
    units = {unit.unit for unit in document.units}
    for (i, one), (j, other) in combinations(enumerate(document.peers), 2):
        if {*one.units} >= {*other.units}:
            yield f"peers[{j}]", f"peers[{i}] says so already: keep one of the two"
    for i, group in enumerate(document.peers):
        yield from repeated(group.units, f"peers[{i}].units[{{}}]")
        for j, unit in enumerate(group.units):
            if unit not in units:
                yield f"peers[{i}].units[{j}]", f"{unit!r} is not one of the units: name one that is"
            elif unit == HEADQUARTERS:
                yield f"peers[{i}].units[{j}]", "peers are for the time without headquarters: leave it out"


CHECKS: tuple[Check, ...] = (
    violations,
    tunable_problems,
    _duplicates,
    _calendars,
    _references,
    _targets,
    _agreements,
    _ladder,
    _hierarchy,
    _complaints,
    _services,
    _rates,
    _sharing,
    _desks,
    _peers,
    clock_problems,
    condition_problems,
    climbing_problems,
    idle_desk_problems,
)
