"""Why a policy answers as it does for a ticket: every rule that was asked, and what it said.

The answers themselves come from `Standards`; here the same conditions are asked one by one, so that people can follow.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from google.protobuf.duration_pb2 import Duration

from hanse.policy.complaints import calendar_of, close_after_of, levels_of
from hanse.policy.conditions import CLOCK_SCOPE, TICKET_SCOPE, Condition, Scope, Situation
from hanse.policy.errors import CategoryUnknown, ConditionFailed, UnitUnknown
from hanse.policy.notation import SECONDS_PER_SUFFIX, duration_to_text
from hanse.policy.promises import FIELDS, Promise, conditions_of
from hanse.policy.standards import Standards, kind_of
from hanse.policy.unanswered import Heard
from hanse.times import duration
from hanse_protos.policy.v1.policy_pb2 import (
    Agreement,
    ClockRule,
    ClockSituation,
    ComplaintRule,
    HierarchyStep,
    LadderStep,
    ServiceOffering,
    TicketFacts,
)
from hanse_protos.ticket.v1.ticket_pb2 import Clock


class Outcome(StrEnum):
    """What became of a rule."""

    APPLIES = "applies"
    DOES_NOT_HOLD = "does not hold"
    NOT_ASKED = "not asked"
    """A rule before it applies already."""
    NO_ANSWER = "no answer"
    """Its condition can't be evaluated for this ticket; it counts as not holding."""


@dataclass(frozen=True, slots=True)
class RuleExplained:
    """A rule of the policy, and what became of it for one ticket."""

    path: str
    """Its place in the document, "targets[p1]"."""
    says: str
    condition: str
    """CEL; empty where it always holds."""
    outcome: Outcome
    problem: str = ""
    """Why the condition has no answer, where it has none."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a policy answers as it does for one ticket."""

    facts: TicketFacts
    service: ServiceOffering | None
    """The service of the catalogue, None where the ticket has none."""
    targets: Sequence[RuleExplained]
    agreements: Sequence[RuleExplained]
    """OLA and UC: of each kind, and with each supplier, the first that holds."""
    clocks: Sequence[RuleExplained]
    """The conditions on the clocks of the target and the agreements that apply."""
    soft: RuleExplained | None
    """Whether its work may be suspended, None where the policy lets no work be."""
    ladder: Sequence[RuleExplained]
    hierarchy: Sequence[RuleExplained]


def explain(standards: Standards, facts: TicketFacts, current: ClockSituation) -> Explanation:
    """Explain a policy's answers for a ticket, by its facts and by how it stands.

    Raises `UnitUnknown`.
    """
    home = standards.profile(facts.home)
    situation = TICKET_SCOPE.situation(ticket=facts, home=home)
    standing = CLOCK_SCOPE.situation(ticket=facts, home=home, current=current)
    targets = list(_targets(standards, facts.service, situation))
    agreements = list(_agreements(standards, standing))
    applying = {rule.path for rule in (*targets, *agreements) if rule.outcome == Outcome.APPLIES}
    return Explanation(
        facts,
        standards.service(facts.service) if facts.service else None,
        targets,
        agreements,
        list(_clocks(standards, applying, standing)),
        _soft(standards, standing),
        list(_ladder(standards, situation)),
        list(_hierarchy(standards, situation)),
    )


def _targets(standards: Standards, service: str, situation: Situation) -> Iterator[RuleExplained]:
    found = False
    for target in standards.targets_of(service):
        path = f"targets[{target.id}]"
        promised = {promise.kind: promise for promise in standards.promises(target.id)}
        says = ", ".join(_says(words, promised[kind]) for kind, words in _PROMISED.items() if kind in promised)
        outcome, problem = _NOT_ASKED if found else outcome_of(TICKET_SCOPE, target.when, path, situation)
        found = found or outcome == Outcome.APPLIES
        yield RuleExplained(path, says, target.when, outcome, problem)


_PROMISED = {
    Clock.RESPONSE: "answer in",
    Clock.NEXT_REPLY: "next reply in",
    Clock.PERIODIC_UPDATE: "update every",
    Clock.RESOLUTION: "solution in",
}


def _says(words: str, promise: Promise) -> str:
    elapsed = " elapsed" if promise.elapsed else ""
    return f"{words} {duration_to_text(duration(promise.duration))}{elapsed}"


def _agreements(standards: Standards, situation: Situation) -> Iterator[RuleExplained]:
    found: set[tuple[Agreement.Kind.ValueType, str]] = set()
    for agreement in standards.document.agreements:
        path, party = f"agreements[{agreement.id}]", (agreement.kind, agreement.supplier)
        promise = standards.agreement(agreement.id)
        words = " ".join(filter(None, (_AGREED[agreement.kind], agreement.supplier, "in")))
        outcome, problem = _NOT_ASKED if party in found else outcome_of(CLOCK_SCOPE, agreement.when, path, situation)
        if outcome == Outcome.APPLIES:
            found.add(party)
        yield RuleExplained(path, _says(words, promise) if promise else words, agreement.when, outcome, problem)


_AGREED = {
    Agreement.TIER: "OLA of the tier",
    Agreement.ENGAGEMENT: "OLA of the provider",
    Agreement.SUPPLIER: "UC of",
}


def _clocks(standards: Standards, applying: Collection[str], situation: Situation) -> Iterator[RuleExplained]:
    """Ask the conditions on the clocks of the target and the agreements that apply."""
    for path, rule in _clock_rules(standards):
        if path.partition(".")[0] in applying:
            for name, condition, place in conditions_of(rule, path):
                yield RuleExplained(
                    place, _DOES[name], condition, *outcome_of(CLOCK_SCOPE, condition, place, situation)
                )


def _clock_rules(standards: Standards) -> Iterator[tuple[str, ClockRule]]:
    for target in standards.document.targets:
        for promise in standards.promises(target.id):
            field = FIELDS[promise.kind]
            yield f"targets[{target.id}].clocks.{field}", getattr(target.clocks, field)
    for agreement in standards.document.agreements:
        yield f"agreements[{agreement.id}].clock", agreement.clock


_DOES = {"start": "the clock starts", "pause": "it stands", "cancel": "it ends", "reset": "it begins anew"}


def _soft(standards: Standards, situation: Situation) -> RuleExplained | None:
    if not standards.document.HasField("soft"):
        return None
    soft = standards.document.soft
    says = f"suspended with a review every {_time(soft.review_within)}, {_time(soft.cap)} in all"
    return RuleExplained("soft", says, soft.when, *outcome_of(CLOCK_SCOPE, soft.when, "soft", situation))


def _ladder(standards: Standards, situation: Situation) -> Iterator[RuleExplained]:
    for i, rung in enumerate(standards.document.ladder):
        path = f"ladder[{i}]"
        says = f"{LadderStep.Action.Name(rung.action)} at {rung.at_percent} %"
        yield RuleExplained(path, says, rung.when, *outcome_of(TICKET_SCOPE, rung.when, path, situation))


def _hierarchy(standards: Standards, situation: Situation) -> Iterator[RuleExplained]:
    for i, step in enumerate(standards.document.hierarchy):
        path, kind = f"hierarchy[{i}]", kind_of(step).lower().replace("_", " ")
        says = f"tell {HierarchyStep.Level.Name(step.level)} at {step.at_percent} % of the {kind}"
        if step.HasField("acknowledge_within"):
            says += f", and the level above where nobody acknowledges in {_time(step.acknowledge_within)}"
        yield RuleExplained(path, says, step.when, *outcome_of(TICKET_SCOPE, step.when, path, situation))


def explain_complaints(standards: Standards, known: TicketFacts) -> list[RuleExplained] | None:
    """Explain which rule would apply to a complaint about a ticket that was filed while this version is in force.

    The ticket's clocks may follow another version, under which its facts are known. Of a category that this version
    does not have it knows nothing: then rules without a condition apply. None where it does not list the ticket's home:
    no complaint can be filed there then.
    """
    if not standards.lists(known.home):
        return None
    facts = facts_under(standards, known)
    heard = Heard()
    applying = standards.heard_by(heard).complaint_rule(facts)
    explained: list[RuleExplained] = []
    for i, rule in enumerate(standards.document.complaints):
        is_past = any(each.outcome == Outcome.APPLIES for each in explained)
        problem = heard.problems.get(f"complaints[{i}].when", "")
        outcome = Outcome.NO_ANSWER if problem else Outcome.NOT_ASKED if is_past else Outcome.DOES_NOT_HOLD
        outcome = Outcome.APPLIES if applying and rule.id == applying.id else outcome
        path, says = f"complaints[{rule.id}]", _complaint_rule(standards, rule, known.home)
        explained.append(RuleExplained(path, says, rule.when, outcome, problem))
    return explained


def facts_under(standards: Standards, known: TicketFacts) -> TicketFacts | None:
    """Return the facts of a ticket as another version of the policy sees them.

    None where that lacks its category or does not list its home.
    """
    try:
        return standards.facts(
            priority=known.priority,
            category=known.category,
            language=known.language,
            tier=known.tier,
            home=known.home,
            product=known.product,
            service=known.service,
            customer_class=known.customer_class,
            returns=known.returns,
        )
    except (CategoryUnknown, UnitUnknown):
        return None


def _complaint_rule(standards: Standards, rule: ComplaintRule, home: str) -> str:
    levels = ", then ".join(
        f"{HierarchyStep.Level.Name(level)} ({calendar_of(standards, rule, level, home)})"
        for level in levels_of(standards, home, rule)
    )
    times = f"taken up in {_time(rule.acknowledge_within)}, answered in {_time(rule.answer_within)}"
    warned = f", warned at {', '.join(map(str, sorted(rule.warn_percents)))} %" if rule.warn_percents else ""
    return f"{levels}: {times}{warned}; closes {_time(duration(close_after_of(rule)))} after an answer"


def _time(value: Duration) -> str:
    """Return elapsed time for people, in days where it is whole ones."""
    days, rest = divmod(value.ToSeconds(), SECONDS_PER_SUFFIX["d"])
    return f"{days}d" if days and not rest else duration_to_text(value)


_NOT_ASKED = (Outcome.NOT_ASKED, "")


def outcome_of(scope: Scope, condition: str, path: str, situation: Situation) -> tuple[Outcome, str]:
    """Ask one condition of the policy again; return what became of it, and why it has no answer, where it has none."""
    try:
        holds = Condition(scope, condition, path).answer(situation)
    except ConditionFailed as failed:
        return Outcome.NO_ANSWER, failed.metadata["problem"]
    return Outcome.APPLIES if holds else Outcome.DOES_NOT_HOLD, ""
