"""Who is asked for an engagement: the one place that knows how a candidate is chosen.

In each round every candidate is asked once: first the shared desks that take the ticket, in the policy's order and all
units of one at once, then single units, the best first. Who can't be asked by itself is not asked for its desk either:
one rule says who has the skill, the language, the hours and the room. Who had the ticket before is passed over where
the policy says so, and a ticket that has returned too often is not passed around any further. When the rounds are gone
through, or nobody is left to ask, the final owner gets the last offer, which it can't decline.

A version of the policy may drop a category, or a unit, while tickets of it are under way. Then who is asked follows
from the version that the engagement was asked for under, among the units that the group still has; where that version
is not here, the final owner is asked at once. Routing never stops for it.

Headquarters asks this for each offer, a home unit for the offers that it makes to its peers, what-if for who would have
been asked, and `hanse policy explain` to say why. They know different things of the group, and say which: `Known`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol

from hanse.errors import PolicyMissing
from hanse.names import HEADQUARTERS
from hanse.policy.errors import CategoryUnknown, UnitUnknown
from hanse.policy.facts import Described, facts_of
from hanse.policy.standards import Standards
from hanse_protos.policy.v1.policy_pb2 import SharedDesk, TicketFacts


class Candidate(NamedTuple):
    """Who is asked next: one unit, or the units of a shared desk."""

    units: tuple[str, ...]
    round: int
    final: bool = False
    """Whether it is the final owner, with an offer that can't be declined."""
    desk: str = ""

    @property
    def provider(self) -> str:
        """The one unit; nobody yet where a desk is asked."""
        return "" if self.desk else self.units[0]


class Offered(Protocol):
    """An offer that was made before, as far as the next one depends on it."""

    @property
    def provider(self) -> str: ...
    @property
    def desk(self) -> str: ...
    @property
    def units(self) -> Sequence[str]: ...
    @property
    def round(self) -> int: ...
    @property
    def reassigned(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Known:
    """What whoever chooses knows of the group and of the ticket's way through it. What is left out is nothing."""

    loads: Mapping[str, int] = field(default_factory=dict)
    """How many engagements each unit works on or has been asked for; a unit that is missing has none."""
    former_holders: Collection[str] = ()
    """The units that have had the ticket and gave it away."""
    gone: Collection[str] = ()
    """The units that have left the group, or that the policy in force does not list any more."""
    offers: Sequence[Offered] = ()
    """The offers of the engagement so far."""


class Knowing(NamedTuple):
    """A version of the policy that knows a ticket, and what it knows of it."""

    standards: Standards
    facts: TicketFacts
    dropped: frozenset[str]
    """The units that this version lists and the one in force does not: nobody asks them any more."""


def knowing(in_force: Standards, asked_under: Callable[[], Standards], ticket: Described, home: str) -> Knowing | None:
    """Return the version that routing goes by: the one in force, where it knows the ticket's category and home.

    Otherwise it is the one that the engagement was asked for under. None where that one is not here, or does not know
    the ticket either: then nobody can be chosen, and the final owner is asked.
    """
    units = {profile.unit for profile in in_force.document.units}
    versions: tuple[Callable[[], Standards], ...] = (lambda: in_force, asked_under)
    for version in versions:
        try:
            standards = version()
            facts = facts_of(standards, ticket, home)
        except (PolicyMissing, CategoryUnknown, UnitUnknown):
            continue
        return Knowing(standards, facts, frozenset(each.unit for each in standards.document.units) - units)
    return None


def last_resort(standards: Standards, known: Known) -> Candidate:
    """Return who is asked when nobody else is left: the final owner, or headquarters where that has left the group."""
    rule = standards.document.routing
    unit = HEADQUARTERS if rule.final_owner in known.gone else rule.final_owner
    return Candidate((unit,), rule.rounds + 1, final=True)


def next_candidate(standards: Standards, facts: TicketFacts, known: Known, at: datetime) -> Candidate:
    """Return who is asked next at an instant. Raises `UnitUnknown` and `HorizonExceeded`."""
    rule, last = standards.document.routing, last_resort(standards, known)
    if standards.is_stopped(facts.returns):
        return last
    desks = standards.desks_for(facts)
    units = units_asked(standards, facts, known, at)
    this_round = max((offer.round for offer in known.offers), default=1)
    for number in range(this_round, rule.rounds + 1):
        offers = [offer for offer in known.offers if offer.round == number]
        asked_desks, asked = {offer.desk for offer in offers}, {unit for offer in offers for unit in offer.units}
        left = [unit for unit in units if unit not in asked]
        for desk in desks:
            members = members_asked(desk, left)
            if desk.id not in asked_desks and members:
                return Candidate(members, number, desk=desk.id)
        if left:
            return Candidate((left[0],), number)
    return last


def next_peer(
    standards: Standards, facts: TicketFacts, known: Known, at: datetime, reachable: Collection[str]
) -> str | None:
    """Return whom a home unit asks itself, of the peers that it can reach and has not asked; None where nobody is left.

    Shared desks and the final owner are headquarters' to ask. Raises as `next_candidate`.
    """
    if standards.is_stopped(facts.returns):
        return None
    return next((unit for unit in units_asked(standards, facts, known, at) if unit in reachable), None)


def units_asked(standards: Standards, facts: TicketFacts, known: Known, at: datetime) -> list[str]:
    """Return the units that can be asked in a round, by themselves or for their desk, the best first."""
    out = passed_over(standards, known)
    return [unit for unit in standards.candidates(facts, known.loads, at) if unit not in out]


def members_asked(desk: SharedDesk, possible: Iterable[str]) -> tuple[str, ...]:
    """Return who of a shared desk is asked, of the units that can be asked."""
    return tuple(unit for unit in possible if unit in desk.units)


def passed_over(standards: Standards, known: Known) -> frozenset[str]:
    """Return the units that no round asks: who has left the group, had the ticket before, or had the engagement taken
    from it.
    """
    former = known.former_holders if standards.document.return_limit.skip_former_holders else ()
    taken_from = (offer.provider for offer in known.offers if offer.reassigned)
    return frozenset(known.gone).union(former, taken_from)
