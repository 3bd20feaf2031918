"""Why a policy answers as it does for a ticket: every rule that was asked, and what it said.

The answers themselves come from `Standards`; here the same conditions are asked one by one, so that people can follow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from hanse.policy.conditions import TICKET_SCOPE, Condition, Situation
from hanse.policy.notation import duration_to_text
from hanse.policy.promises import Promise
from hanse.policy.standards import Standards
from hanse.times import duration
from hanse_protos.policy.v1.policy_pb2 import LadderStep, ServiceOffering, TicketFacts
from hanse_protos.ticket.v1.ticket_pb2 import Clock

NOBODY_IS_BUSY = 0


class Outcome(StrEnum):
    """What became of a rule."""

    APPLIES = "applies"
    DOES_NOT_HOLD = "does not hold"
    NOT_ASKED = "not asked"
    """A rule before it applies already."""


@dataclass(frozen=True, slots=True)
class RuleExplained:
    """A rule of the policy, and what became of it for one ticket."""

    path: str
    """Its place in the document, "targets[p1]"."""
    says: str
    condition: str
    """CEL; empty where it always holds."""
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class ProviderExplained:
    """A unit, and whether it would be asked for an engagement; the highest score is asked first."""

    unit: str
    eligible: bool
    score: float | None
    """With nothing else to do. None for who is not eligible."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a policy answers as it does for one ticket."""

    facts: TicketFacts
    service: ServiceOffering | None
    """The service of the catalogue, None where the ticket has none."""
    targets: Sequence[RuleExplained]
    ladder: Sequence[RuleExplained]
    providers: Sequence[ProviderExplained]


def explain(standards: Standards, facts: TicketFacts, at: datetime) -> Explanation:
    """Explain a policy's answers for a ticket's facts at an instant. Raises `ConditionFailed` and `UnitUnknown`."""
    return Explanation(
        facts,
        standards.service(facts.service) if facts.service else None,
        list(_targets(standards, facts)),
        list(_ladder(standards, facts)),
        _providers(standards, facts, at),
    )


def _targets(standards: Standards, facts: TicketFacts) -> Iterator[RuleExplained]:
    situation = TICKET_SCOPE.situation(ticket=facts, home=standards.profile(facts.home))
    found = False
    for target in standards.targets_of(facts.service):
        path = f"targets[{target.id}]"
        promised = {promise.kind: promise for promise in standards.promises(target.id)}
        says = ", ".join(_says(words, promised[kind]) for kind, words in _PROMISED.items() if kind in promised)
        outcome = Outcome.NOT_ASKED if found else _outcome(target.when, path, situation)
        found = found or outcome == Outcome.APPLIES
        yield RuleExplained(path, says, target.when, outcome)


_PROMISED = {
    Clock.RESPONSE: "answer in",
    Clock.NEXT_REPLY: "next reply in",
    Clock.PERIODIC_UPDATE: "update every",
    Clock.RESOLUTION: "solution in",
}


def _says(words: str, promise: Promise) -> str:
    elapsed = " elapsed" if promise.elapsed else ""
    return f"{words} {duration_to_text(duration(promise.duration))}{elapsed}"


def _ladder(standards: Standards, facts: TicketFacts) -> Iterable[RuleExplained]:
    situation = TICKET_SCOPE.situation(ticket=facts, home=standards.profile(facts.home))
    for i, rung in enumerate(standards.document.ladder):
        path = f"ladder[{i}]"
        says = f"{LadderStep.Action.Name(rung.action)} at {rung.at_percent} %"
        yield RuleExplained(path, says, rung.when, _outcome(rung.when, path, situation))


def _outcome(condition: str, path: str, situation: Situation) -> Outcome:
    holds = Condition(TICKET_SCOPE, condition, f"{path}.when").holds(situation)
    return Outcome.APPLIES if holds else Outcome.DOES_NOT_HOLD


def _providers(standards: Standards, facts: TicketFacts, at: datetime) -> list[ProviderExplained]:
    """Return the units but the ticket's home, who would be asked first to the front."""
    eligible = {profile.unit for profile in standards.eligible(facts, at)}
    explained = [
        ProviderExplained(
            profile.unit,
            profile.unit in eligible,
            standards.score(facts, profile, NOBODY_IS_BUSY, at) if profile.unit in eligible else None,
        )
        for profile in standards.document.units
        if profile.unit != facts.home
    ]
    return sorted(explained, key=lambda each: (not each.eligible, -(each.score or 0), each.unit))
