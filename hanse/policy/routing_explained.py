"""Whom routing would ask first for an engagement, and what keeps the others from being asked.

The answer is `next_candidate`'s, which headquarters asks for each offer; here its conditions are shown one by one. A
unit that explains knows of the group what its policy says: not how much the others have to do, what they say of
themselves, and who has left.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from hanse.policy.conditions import LOWEST_SCORE, TICKET_SCOPE
from hanse.policy.explanation import Outcome, facts_under, outcome_of
from hanse.policy.routing import Known, members_asked, next_candidate, passed_over, units_asked
from hanse.policy.standards import Standards
from hanse.policy.unanswered import Heard
from hanse_protos.policy.v1.policy_pb2 import TicketFacts, UnitProfile

NOBODY_IS_BUSY = 0


@dataclass(frozen=True, slots=True)
class DeskExplained:
    """A shared desk, and whether it would be asked; those that would are asked before single units, in this order."""

    path: str
    """Its place in the document, "desks[displays]"."""
    condition: str
    """CEL; empty where it takes every ticket."""
    outcome: Outcome
    units: Sequence[str]
    """Who of it would be asked, all at once; nobody where it does not take the ticket, or none of its units can be."""


@dataclass(frozen=True, slots=True)
class ProviderExplained:
    """A unit, and whether it would be asked for an engagement; the highest score is asked first."""

    unit: str
    eligible: bool
    had_it_before: bool
    """Whether it is passed over, since it had the ticket before."""
    score: float | None
    """With nothing else to do. None for who is not eligible, and for who has none: it is asked last."""


@dataclass(frozen=True, slots=True)
class RoutingExplained:
    """Whom routing would ask, and why."""

    version: int
    """The version of the policy that routing follows."""
    asked: Sequence[str]
    """Who would be asked first: a unit, or the units of a shared desk."""
    desk: str
    """The shared desk that they would be asked as, or empty."""
    final: bool
    """Whether it is the final owner, which can't decline."""
    stopped: bool
    """Whether that is because the ticket has returned too often; then no desk and no unit of a round is asked."""
    returns: int
    return_limit: int
    """From how many returns on; 0 where the policy has no limit."""
    desks: Sequence[DeskExplained]
    providers: Sequence[ProviderExplained]
    problems: Mapping[str, str]
    """Why conditions and scores have no answer for this ticket, by their place; such a condition does not hold."""


def explain_routing(
    standards: Standards, known: TicketFacts, former_holders: Collection[str], at: datetime
) -> RoutingExplained | None:
    """Explain who would be asked for a ticket at an instant, under what is in force then, nobody being busy.

    The ticket's clocks may follow another version, under which its facts are known. None where this one lists no unit
    beside the ticket's home, so that nobody can be asked, or does not have its category or its home: then routing goes
    by the version that the engagement was asked for under (`hanse.policy.routing.knowing`).

    Raises `HorizonExceeded`.
    """
    facts = facts_under(standards, known)
    if facts is None or not standards.lists_others(facts.home):
        return None
    heard, knowing = Heard(), Known(former_holders=former_holders)
    standards = standards.heard_by(heard)
    first = next_candidate(standards, facts, knowing, at)
    return RoutingExplained(
        standards.version,
        first.units,
        first.desk,
        first.final,
        standards.is_stopped(facts.returns),
        facts.returns,
        standards.document.return_limit.returns,
        _desks(standards, facts, units_asked(standards, facts, knowing, at)),
        _providers(standards, facts, knowing, at),
        heard.problems,
    )


def _desks(standards: Standards, facts: TicketFacts, possible: Sequence[str]) -> list[DeskExplained]:
    situation = TICKET_SCOPE.situation(ticket=facts, home=standards.profile(facts.home))
    explained = []
    for desk in standards.document.desks:
        path = f"desks[{desk.id}]"
        outcome, _ = outcome_of(TICKET_SCOPE, desk.when, path, situation)
        members = members_asked(desk, possible) if outcome == Outcome.APPLIES else ()
        explained.append(DeskExplained(path, desk.when, outcome, members))
    return explained


def _providers(standards: Standards, facts: TicketFacts, known: Known, at: datetime) -> list[ProviderExplained]:
    """Return the units but the ticket's home, who would be asked first to the front."""
    eligible, out = {profile.unit for profile in standards.eligible(facts, at)}, passed_over(standards, known)
    explained = [
        ProviderExplained(
            profile.unit,
            profile.unit in eligible,
            profile.unit in out,
            _score(standards, facts, profile, at) if profile.unit in eligible else None,
        )
        for profile in standards.document.units
        if profile.unit != facts.home
    ]
    return sorted(explained, key=_place)


def _place(each: ProviderExplained) -> tuple[bool, bool, float, str]:
    return not each.eligible or each.had_it_before, each.score is None, -(each.score or 0), each.unit


def _score(standards: Standards, facts: TicketFacts, provider: UnitProfile, at: datetime) -> float | None:
    score = standards.score(facts, provider, NOBODY_IS_BUSY, at)
    return None if score == LOWEST_SCORE else score
