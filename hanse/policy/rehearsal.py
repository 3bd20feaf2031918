"""The conditions of a document, compiled one by one and then tried out before a real ticket meets them.

The type check can't see that a provider without a limit makes `load / provider.capacity` divide by zero, or that a unit
speaks one language and `home.languages[1]` asks for the second. So every condition is tried on tickets that the
document itself suggests: its categories, units and languages, all priorities and tiers. The sample is drawn with a
fixed seed, so that a document gets the same answer everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from time import thread_time

from hanse.errors import PolicyInvalid
from hanse.policy.conditions import (
    CLOCK_SCOPE,
    ELIGIBLE_SCOPE,
    PROVIDER_SCOPE,
    SCORE_SCOPE,
    TICKET_SCOPE,
    Condition,
    Fact,
    Scope,
    Score,
    Situation,
)
from hanse.policy.cost import costly
from hanse.policy.errors import ConditionFailed
from hanse.policy.facts import WAITING_FOR
from hanse.policy.findings import Finding
from hanse.policy.promises import FIELDS, conditions_of
from hanse_protos.policy.v1.policy_pb2 import ClockSituation, LadderStep, PolicyDocument, TicketFacts, UnitProfile

# How many tickets each condition is tried on; every unit of a group of up to this size is home to one of them.
REHEARSED_TICKETS = 64
# How often conditions are tried in all: the most of them take some twenty microseconds.
MAX_REHEARSALS = 20_000
MAX_EXPRESSION_SECONDS = 0.1
"""How much of a processor an expression may take for one ticket. Hardly any takes a thousandth of it."""
MAX_SECONDS = 10.0
"""How much of a processor all of a document's conditions may take to be tried out."""
GROWN_UNITS = ((50, 5), (150, 15), (500, 50))
"""Skills and languages of units that conditions are tried on first, up to what the contract allows in a profile. They
grow, so that one that is too dear is noticed before it is far too dear."""

PRIORITIES = ("P1", "P2", "P3", "P4")
TIERS = (1, 2, 3)
CUSTOMER_CLASSES = ("ORDINARY", "VIP", "VVIP", "PROSPECTIVE")
LOADS = (0, 1, 100)
MINUTES_UNTIL_OPEN = (0, 1, 3_000)
COSTS = (0.5, 90.0, 100_000.0)
PRODUCTS = ("", "X-200", "7", "显" * 200)
"""What units write as a product: anything, up to what the contract allows."""
RETURNS = (0, 1, 5)
SHOWN_CHARACTERS = 20
STATES = ("NEW", "IN_PROGRESS", "WAITING")


@dataclass(frozen=True, slots=True)
class _Case:
    """One ticket, a unit that could work on it, and how much that unit has to do."""

    ticket: TicketFacts
    home: UnitProfile
    provider: UnitProfile
    load: int
    opens_in_minutes: int
    cost: float
    current: ClockSituation

    def situation(self, scope: Scope) -> Situation:
        facts: dict[str, Fact] = {
            "ticket": self.ticket,
            "home": self.home,
            "provider": self.provider,
            "load": self.load,
            "open_now": not self.opens_in_minutes,
            "opens_in_minutes": self.opens_in_minutes,
            "cost": self.cost,
            "current": self.current,
        }
        return scope.situation(**{name: facts[name] for name in scope.variables})


def condition_problems(document: PolicyDocument) -> Iterator[Finding]:
    """Find the expressions that don't compile, have the wrong type, or have no answer for some ticket."""
    cases = list(_cases(document))
    rehearsals_left, began = MAX_REHEARSALS, thread_time()
    for text, path, scope in _expressions(document):
        try:
            expression = Score(scope, text, path) if scope is SCORE_SCOPE else Condition(scope, text, path)
        except PolicyInvalid as error:
            yield error.metadata["path"], error.metadata["problem"]
            continue
        if problem := costly(text):
            # It is not tried out either: that alone could take all memory.
            yield path, problem
            continue
        if thread_time() - began > MAX_SECONDS:
            yield path, f"the conditions before it take over {MAX_SECONDS:g} seconds to try out: simplify them"
            return
        tried = cases[:rehearsals_left]
        rehearsals_left -= len(tried)
        yield from _failure(expression, scope, tried)


def climbing_problems(document: PolicyDocument) -> Iterator[Finding]:
    """Find rungs that would have a ticket climb at the top tier only, where there is nothing above."""
    cases = list(_cases(document))
    for i, step in enumerate(document.ladder):
        if step.action == LadderStep.CLIMB and step.when and not costly(step.when):
            tiers = set(_tiers_at(step.when, f"ladder[{i}].when", cases))
            if tiers and max(tiers) == min(tiers) == TIERS[-1]:
                yield f"ladder[{i}]", f"nobody climbs above tier {TIERS[-1]}: let it climb earlier, or drop the rung"


def _tiers_at(text: str, path: str, cases: list[_Case]) -> Iterator[int]:
    """Yield the tiers at which a condition holds for some ticket; one that has no answer is told of elsewhere."""
    with suppress(PolicyInvalid, ConditionFailed):
        condition = Condition(TICKET_SCOPE, text, path)
        for case in cases:
            for tier in TIERS:
                ticket = TicketFacts()
                ticket.CopyFrom(case.ticket)
                ticket.tier = tier
                if condition.answer(TICKET_SCOPE.situation(ticket=ticket, home=case.home)):
                    yield tier


def idle_desk_problems(document: PolicyDocument) -> Iterator[Finding]:
    """Find shared desks that take tickets which none of their units has the skill for."""
    skills = {unit.unit: {*unit.skills} for unit in document.units}
    cases = list(_cases(document))
    for i, desk in enumerate(document.desks):
        lacking = {
            category.id: category.skill
            for category in document.categories
            if not any(category.skill in skills.get(unit, ()) for unit in desk.units)
        }
        taken = next((each for each in _categories_of(desk.when, f"desks[{i}].when", cases) if each in lacking), None)
        if taken:
            yield (
                f"desks[{i}]",
                (
                    f"it takes {taken!r}, and none of its units has the skill {lacking[taken]!r}: "
                    "narrow 'when', or add a unit that has it"
                ),
            )


def _categories_of(text: str, path: str, cases: list[_Case]) -> Iterator[str]:
    """Yield the categories of the tickets that a condition holds for."""
    if costly(text):
        return
    with suppress(PolicyInvalid, ConditionFailed):
        condition = Condition(TICKET_SCOPE, text, path)
        for case in cases:
            if condition.answer(TICKET_SCOPE.situation(ticket=case.ticket, home=case.home)):
                yield case.ticket.category


def _expressions(document: PolicyDocument) -> Iterator[tuple[str, str, Scope]]:
    for i, target in enumerate(document.targets):
        yield target.when, f"targets[{i}].when", TICKET_SCOPE
        for field in FIELDS.values():
            for _, text, path in conditions_of(getattr(target.clocks, field), f"targets[{i}].clocks.{field}"):
                yield text, path, CLOCK_SCOPE
    yield document.soft.when, "soft.when", CLOCK_SCOPE
    for i, agreement in enumerate(document.agreements):
        yield agreement.when, f"agreements[{i}].when", CLOCK_SCOPE
        for _, text, path in conditions_of(agreement.clock, f"agreements[{i}].clock"):
            yield text, path, CLOCK_SCOPE
    for i, step in enumerate(document.ladder):
        yield step.when, f"ladder[{i}].when", TICKET_SCOPE
    for i, told in enumerate(document.hierarchy):
        yield told.when, f"hierarchy[{i}].when", TICKET_SCOPE
    for i, rule in enumerate(document.complaints):
        yield rule.when, f"complaints[{i}].when", TICKET_SCOPE
    # The contract's own rules tell of expressions that are required and missing.
    if document.routing.eligible:
        yield document.routing.eligible, "routing.eligible", ELIGIBLE_SCOPE
    if document.routing.score:
        yield document.routing.score, "routing.score", SCORE_SCOPE
    for i, rate in enumerate(document.rates):
        yield rate.when, f"rates[{i}].when", PROVIDER_SCOPE
    for i, desk in enumerate(document.desks):
        yield desk.when, f"desks[{i}].when", TICKET_SCOPE


def _failure(expression: Condition | Score, scope: Scope, cases: list[_Case]) -> Iterator[Finding]:
    """Give the first ticket that an expression has no answer for, or takes too long for."""
    for case in cases:
        situation, began = case.situation(scope), thread_time()
        try:
            expression.answer(situation)
        except ConditionFailed as error:
            yield expression.path, f"{error.metadata['problem']}, for {_in_words(case, scope)}: guard against it"
            return
        if thread_time() - began > MAX_EXPRESSION_SECONDS:
            yield expression.path, f"it takes too long for a unit with {len(case.home.skills)} skills: simplify it"
            return


def _cases(document: PolicyDocument) -> Iterator[_Case]:
    if not document.units or not document.categories:
        return
    chance, moment = Random(0), Random(1)  # noqa: S311 - Fixed seeds are what makes the answer the same everywhere.
    languages = sorted({language for unit in document.units for language in unit.languages} or {""})
    services = ["", *(service.id for service in document.services)]
    further = Random(2)  # noqa: S311
    for i in range(-len(GROWN_UNITS), REHEARSED_TICKETS):
        grown = _grown(document.units[0], *GROWN_UNITS[i]) if i < 0 else None
        home = grown or document.units[i % len(document.units)]
        category = chance.choice(document.categories)
        ticket = TicketFacts(
            priority=chance.choice(PRIORITIES),
            category=category.id,
            skill=category.skill,
            language=chance.choice(languages),
            tier=chance.choice(TIERS),
            home=home.unit,
            product=further.choice(PRODUCTS),
            returns=further.choice(RETURNS),
            customer_class=chance.choice(CUSTOMER_CLASSES),
            service=chance.choice(services),
        )
        yield _Case(
            ticket,
            home,
            grown or chance.choice(document.units),
            chance.choice(LOADS),
            chance.choice(MINUTES_UNTIL_OPEN),
            chance.choice(COSTS),
            _current(moment, moment.choice(document.units).unit),
        )


def _grown(unit: UnitProfile, skills: int, languages: int) -> UnitProfile:
    """Return a unit with so many skills and languages: what is within the budget for it is so for smaller ones."""
    grown = UnitProfile()
    grown.CopyFrom(unit)
    grown.skills.extend(f"skill-{number}" for number in range(skills - len(unit.skills)))
    grown.languages.extend(f"x-{number}" for number in range(languages - len(unit.languages)))
    return grown


def _current(chance: Random, holder: str) -> ClockSituation:
    state = chance.choice(STATES)
    return ClockSituation(
        state=state,
        waiting_for=chance.choice(WAITING_FOR) if state == "WAITING" else "",
        holder=holder,
        suspended=state == "WAITING" and chance.random() < 0.5,
        assigned=chance.random() < 0.5,
        responded=chance.random() < 0.5,
    )


def _in_words(case: _Case, scope: Scope) -> str:
    ticket = case.ticket
    words = f"a {ticket.priority} ticket of {ticket.home} in {ticket.category!r} at tier {ticket.tier}"
    if ticket.product:
        words += f" with the product {ticket.product[:SHOWN_CHARACTERS]!r}"
    if "current" in scope.variables:
        return f"{words}, {case.current.state}, held by {case.current.holder}"
    return f"{words} and the provider {case.provider.unit}" if "provider" in scope.variables else words
