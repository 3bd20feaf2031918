"""What is hardly meant in a document that holds together: rules that no ticket meets, promises that can't be kept.

Such a document can be published and does what it says, so these are warnings. They are asked for with every ticket that
the document knows, as far as tickets differ in what the rules at hand look at: a rule about priorities and categories
meets each priority in each category. What has no end of values (a product, a customer's language, a number of returns)
may be anything, so nothing is said of rules that look at it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import product
from math import prod
from typing import TypeAlias

from hanse.policy.conditions import CLOCK_SCOPE, mentions
from hanse.policy.findings import MAX_PROBLEMS, Finding
from hanse.policy.notation import duration_to_text
from hanse.policy.promises import AGREED_KINDS, FIELDS, Promise
from hanse.policy.rehearsal import CUSTOMER_CLASSES, PRIORITIES, TIERS
from hanse.policy.standards import Standards, kind_of
from hanse.times import duration
from hanse_protos.policy.v1.policy_pb2 import (
    ClockSituation,
    HierarchyStep,
    PolicyDocument,
    PolicyProblem,
    SharingRule,
    TicketFacts,
)
from hanse_protos.ticket.v1.ticket_pb2 import Clock

MAX_QUESTIONS = 50_000
"""How often one check asks a condition: about a second. Where it would take more, it says nothing."""
SOME_MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
"""From when on calendars are asked when they open."""
MAX_OPENING_TIMES = 10
"""How many times of day units are asked at whether they could be asked."""
INSIDE = (Clock.TIER_WORK, Clock.ENGAGEMENT_WORK)
"""The clocks of what is agreed inside the group."""

Check: TypeAlias = Callable[[Standards], Iterator[Finding]]


def warnings(document: PolicyDocument) -> list[PolicyProblem]:
    """List what is hardly meant in a document that `lint` has found nothing wrong with."""
    standards = Standards(0, document)
    findings = dict.fromkeys(finding for check in CHECKS for finding in check(standards))
    return [PolicyProblem(path=path, message=message) for path, message in list(findings)[:MAX_PROBLEMS]]


# Rules that no ticket meets


def _targets(standards: Standards) -> Iterator[Finding]:
    """Find targets that no ticket has: nothing meets them, or earlier ones always come first."""
    targets = standards.document.targets
    tickets = _tickets(standards, [target.when for target in targets], {"service"})
    reached = {found.id for ticket in tickets if (found := standards.target_for(ticket))}
    for i, target in enumerate(targets if tickets else ()):
        if _is_endless(target.when):
            # It may or may not hold for any ticket, so what it leaves to those after it is not known.
            return
        if target.id not in reached:
            yield f"targets[{i}].when", "no ticket ever has this target: correct the condition, or drop the target"


def _ladder(standards: Standards) -> Iterator[Finding]:
    """Find rungs that are for no ticket."""
    for i, step in enumerate(standards.document.ladder):

        def is_for(ticket: TicketFacts, step: object = step) -> bool:
            return step in standards.ladder_for(ticket)

        if _is_for_nobody(standards, step.when, is_for):
            yield f"ladder[{i}].when", "no ticket ever meets this: correct the condition, or drop the rung"


def _hierarchy(standards: Standards) -> Iterator[Finding]:
    """Find steps of the hierarchy that are about clocks that nothing starts, for no ticket, or out of order."""
    started = _kinds_started(standards.document)
    for i, step in enumerate(standards.document.hierarchy):

        def tells(ticket: TicketFacts, step: HierarchyStep = step) -> bool:
            return standards.tells(ticket, step.level, kind_of(step), step.at_percent)

        if kind_of(step) not in started:
            yield f"hierarchy[{i}].kind", f"nothing here starts a clock of the kind {kind_of(step)}: drop the step"
        elif _is_for_nobody(standards, step.when, tells):
            yield f"hierarchy[{i}].when", "no ticket ever meets this: correct the condition, or drop the step"
        yield from _told_late(standards.document.hierarchy, i)


def _complaints(standards: Standards) -> Iterator[Finding]:
    """Find rules for complaints about no ticket: nothing meets them, or earlier ones always come first."""
    rules = standards.document.complaints
    tickets = _tickets(standards, [rule.when for rule in rules])
    applied = {rule.id for ticket in tickets if (rule := standards.complaint_rule(ticket))}
    for i, rule in enumerate(rules if tickets else ()):
        if _is_endless(rule.when):
            return
        if rule.id not in applied:
            yield f"complaints[{i}].when", "no ticket ever meets this: correct the condition, or drop the rule"


def _complaints_begin(standards: Standards) -> Iterator[Finding]:
    """Find complaints that would not go past the desk that they are about."""
    for i, rule in enumerate(standards.document.complaints):
        if rule.first_level == HierarchyStep.DESK_LEAD:
            yield (
                f"complaints[{i}].first_level",
                "the desk's lead answers for the work that is complained about: let it begin with UNIT_MANAGER, which "
                "is the default, or HEADQUARTERS",
            )


def _answers_to_complaints(standards: Standards) -> Iterator[Finding]:
    """Find what headquarters and the units could not read of a complaint that headquarters answers."""
    document = standards.document
    if len(document.units) == 1 or not document.complaints:
        return
    for event, field, audience, what in _READ:
        if not standards.grants(event, field) & {audience, SharingRule.GROUP}:
            yield "sharing", f"{what}: grant {field} of {event} to {SharingRule.Audience.Name(audience)}"


_READ = (
    (
        "ComplaintEscalated",
        "complaint",
        SharingRule.HEADQUARTERS,
        "headquarters can't read the complaints that come to it",
    ),
    ("ComplaintDecided", "text", SharingRule.COUNTERPART, "units can't read what headquarters answers to complaints"),
)
"""What has to be granted for a complaint to be answered at headquarters, to whom, and what is wrong otherwise."""


def _kinds_started(document: PolicyDocument) -> set[str]:
    started = {AGREED_KINDS[agreement.kind] for agreement in document.agreements}
    for kind, field in FIELDS.items():
        if any(target.HasField(field) for target in document.targets):  # type: ignore[arg-type]  # Literal names only.
            started.add(kind)
    if document.HasField("soft"):
        started.add(Clock.REVIEW)
    return {Clock.Kind.Name(kind) for kind in started}


def _told_late(steps: Sequence[HierarchyStep], i: int) -> Iterator[Finding]:
    """Find the level below which hears of the same clocks later."""
    step = steps[i]
    for j, other in enumerate(steps):
        same = (kind_of(other), other.when.strip()) == (kind_of(step), step.when.strip())
        if same and other.level < step.level and other.at_percent > step.at_percent:
            level, below = HierarchyStep.Level.Name(step.level), HierarchyStep.Level.Name(other.level)
            yield f"hierarchy[{i}].at_percent", f"{level} hears of it before {below} (hierarchy[{j}]): swap the two"


def _is_for_nobody(standards: Standards, when: str, is_for: Callable[[TicketFacts], bool]) -> bool:
    """Tell whether a rule is for none of the tickets that there can be; nothing is known where they are too many."""
    if _is_endless(when):
        return False
    tickets = _tickets(standards, [when])
    return bool(tickets) and not any(is_for(ticket) for ticket in tickets)


# Promises that can't be kept, and providers that can't be asked


def _agreements(standards: Standards) -> Iterator[Finding]:
    """Find what is agreed inside the group for longer than the customer is promised."""
    document = standards.document
    places = {agreement.id: i for i, agreement in enumerate(document.agreements)}
    conditions = [rule.when for rules in (document.agreements, document.targets) for rule in rules]
    found: set[tuple[str, str]] = set()
    for ticket in _tickets(standards, conditions, {"service"}):
        solution = _solution(standards, ticket)
        for agreed in _agreed(standards, ticket) if solution else ():
            if solution and _is_longer(agreed, solution) and (agreed.id, solution.id) not in found:
                found.add((agreed.id, solution.id))
                longer, shorter = (duration_to_text(duration(each.duration)) for each in (agreed, solution))
                yield (
                    f"agreements[{places[agreed.id]}].duration",
                    f"{longer} is longer than the {shorter} in which {solution.id!r} promises the solution: "
                    "shorten it, or agree on something else for such tickets",
                )


def _solution(standards: Standards, ticket: TicketFacts) -> Promise | None:
    target = standards.target_for(ticket)
    promises = standards.promises(target.id) if target else ()
    return next((promise for promise in promises if promise.kind == Clock.RESOLUTION), None)


def _agreed(standards: Standards, ticket: TicketFacts) -> Iterator[Promise]:
    """Yield what is agreed for a ticket inside the group, as far as that does not depend on how the ticket stands."""
    conditions = {agreement.id: agreement.when for agreement in standards.document.agreements}
    current = ClockSituation(state="IN_PROGRESS", holder=ticket.home)
    situation = CLOCK_SCOPE.situation(ticket=ticket, home=standards.profile(ticket.home), current=current)
    for kind in INSIDE:
        for agreed in standards.agreed(kind):
            when = conditions[agreed.promise.id]
            if mentions(when, "current") or _is_endless(when):
                break
            if agreed.when.holds(situation):
                yield agreed.promise
                break


def _is_longer(agreed: Promise, solution: Promise) -> bool:
    """Tell whether something is agreed for longer than the solution may take, where both count the same time."""
    return agreed.elapsed == solution.elapsed and agreed.duration > solution.duration


def _routing(standards: Standards) -> Iterator[Finding]:
    """Find that nobody could ever be asked for an engagement, or not the unit that takes what nobody accepts."""
    document, routing = standards.document, standards.document.routing
    tickets = _tickets(standards, [routing.eligible] * len(document.units), {"home"})
    if len(document.units) == 1 or _is_endless(routing.eligible) or not tickets:
        return
    asked = _asked(standards, tickets)
    if not asked:
        yield "routing.eligible", "nobody is ever eligible, so the final owner gets everything: correct the condition"
    elif routing.final_owner not in asked:
        yield (
            "routing.final_owner",
            f"{routing.final_owner} takes what nobody accepts, but is eligible for nothing: give it skills, or name "
            "another",
        )


def _desks(standards: Standards) -> Iterator[Finding]:
    """Find units of shared desks that can't be asked for anything that their desk takes."""
    document, eligible = standards.document, standards.document.routing.eligible
    for i, desk in enumerate(document.desks):
        if _is_endless(eligible) or _is_endless(desk.when):
            continue
        tickets = _tickets(standards, [desk.when, *[eligible] * len(document.units)], {"home"})
        taken = [ticket for ticket in tickets if desk in standards.desks_for(ticket)]
        asked = _asked(standards, taken)
        for j, unit in enumerate(desk.units if taken else ()):
            if unit not in asked:
                yield (
                    f"desks[{i}].units[{j}]",
                    f"{unit} is never eligible for what the desk takes, so it is not asked: give it what "
                    "routing.eligible asks for, or take it out",
                )


def _asked(standards: Standards, tickets: Sequence[TicketFacts]) -> set[str]:
    """Return the units that are eligible for one of some tickets, at one of the times at which that may differ."""
    asks_for_hours = mentions(standards.document.routing.eligible, "open_now")
    times = _opening_times(standards) if asks_for_hours else [SOME_MONDAY]
    return {profile.unit for ticket in tickets for at in times for profile in standards.eligible(ticket, at)}


def _opening_times(standards: Standards) -> list[datetime]:
    """Return times of which each unit works at one; units mostly share a few calendars."""
    calendars = {profile.calendar for profile in standards.document.units}
    return sorted({standards.calendars[calendar].opens(SOME_MONDAY) for calendar in calendars})[:MAX_OPENING_TIMES]


def _rates(standards: Standards) -> Iterator[Finding]:
    """Find rates that go by what services cost, where none costs anything."""
    document = standards.document
    for i, rate in enumerate(document.rates):
        if rate.service_cost and not any(service.HasField("cost") for service in document.services):
            yield f"rates[{i}].service_cost", "no service says what it costs: give one a cost, or leave this out"


# The tickets that there can be

_FIELD = re.compile(r"\bticket\b(?:\s*\.\s*(\w+))?")
_ENDLESS = frozenset({"product", "language", "returns", ""})
"""What of a ticket can be anything; the ticket as a whole among it."""


def _fields(when: str) -> set[str]:
    """Return what a condition looks at of a ticket, and "home" for what it looks at of the home unit."""
    fields = {"category" if name == "skill" else name for name in _FIELD.findall(when)}
    return fields | {"home"} if mentions(when, "home") else fields


def _is_endless(when: str) -> bool:
    return not _ENDLESS.isdisjoint(_fields(when))


def _tickets(standards: Standards, conditions: Sequence[str], also: Collection[str] = ()) -> list[TicketFacts]:
    """Return a ticket for each way in which conditions may tell tickets apart, none where there are too many."""
    fields = set().union(also, *map(_fields, conditions))
    document = standards.document
    choices: dict[str, list[str]] = {
        "priority": [*PRIORITIES],
        "customer_class": [*CUSTOMER_CLASSES],
        "home": [profile.unit for profile in document.units],
        "category": [category.id for category in document.categories],
        "service": ["", *(service.id for service in document.services)],
        "tier": [str(tier) for tier in TIERS],
    }
    looked_at = [values if name in fields else values[:1] for name, values in choices.items()]
    if prod(map(len, looked_at)) * len(conditions) > MAX_QUESTIONS:
        return []
    combined = (dict(zip(choices, values, strict=True)) for values in product(*looked_at))
    return [_ticket(standards, values) for values in combined if _covers(standards, values)]


def _covers(standards: Standards, values: Mapping[str, str]) -> bool:
    """Tell whether a ticket of a category can have a service."""
    covered = standards.service(values["service"]).categories if values["service"] else ()
    return not covered or values["category"] in covered


def _ticket(standards: Standards, values: Mapping[str, str]) -> TicketFacts:
    return standards.facts(
        priority=values["priority"],
        category=values["category"],
        language="",
        tier=int(values["tier"]),
        home=values["home"],
        service=values["service"],
        customer_class=values["customer_class"],
    )


CHECKS: tuple[Check, ...] = (
    _targets, _ladder, _hierarchy, _complaints, _complaints_begin, _answers_to_complaints, _agreements, _routing,
    _desks, _rates,
)  # fmt: skip
