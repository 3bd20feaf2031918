"""The compiled policy: everything that a service asks of the group's standards, answered from one version.

Compiling checks what the answers need: every condition compiles, every calendar exists. It does not lint; whoever
publishes a document does. Answers that depend on a ticket's facts alone are remembered per facts, since opening a
ticket asks for its target and its ladder, and tickets with the same facts are opened all day.

What is handed out are parts of the document itself, not copies: read them, never change them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import lru_cache, partial
from types import MappingProxyType

from hanse.errors import PolicyMissing
from hanse.policy.calendar import ELAPSED_ID, WorkingCalendar, elapsed_time
from hanse.policy.conditions import (
    CLOCK_SCOPE,
    ELIGIBLE_SCOPE,
    PROVIDER_SCOPE,
    SCORE_SCOPE,
    TICKET_SCOPE,
    Condition,
    Score,
    Situation,
    invalid,
    is_unconditional,
    mentions,
)
from hanse.policy.errors import CategoryNotCovered, CategoryUnknown, ServiceUnknown, UnitUnknown
from hanse.policy.notation import NANOS_PER_UNIT
from hanse.policy.promises import Agreed, Promise, agreed_in, promises_of
from hanse.policy.unanswered import Unanswered, disregard
from hanse_protos.policy.v1.policy_pb2 import (
    ClockSituation,
    ComplaintRule,
    HierarchyStep,
    LadderStep,
    PolicyDocument,
    Rate,
    ServiceOffering,
    ServiceTarget,
    SharedDesk,
    SharingRule,
    TicketFacts,
    UnitProfile,
)
from hanse_protos.ticket.v1.ticket_pb2 import Clock

# Facts are few: priorities by categories by languages by tiers. The product is free text, so there has to be an end.
REMEMBERED_FACTS = 8_192
# Event types by sealed fields, with room for the "summary.{language}" fields of articles.
REMEMBERED_GRANTS = 4_096

EVERYTHING = "*"
"""Stands in a rule for every event, every field, every skill."""
RESOLUTION = "RESOLUTION"
"""The kind of clock that a step of the hierarchy is about where it says none."""

TOP_TIER = 3
"""A desk has three tiers."""

ORDINARY = "ORDINARY"
"""The class of a customer of whom nothing else was said."""

# How many ids an error names: enough to choose from, few enough for a status.
NAMED_IDS = 20


class Standards:
    """One version of the policy, compiled. Build it once, share it freely."""

    def __init__(
        self, version: int, document: PolicyDocument, override: int = 0, unanswered: Unanswered = disregard
    ) -> None:
        """Compile a document. Raises `PolicyInvalid` that names the place which does not hold together.

        `override` is the version of a unit's override that was laid over the document, 0 for none. `unanswered` hears
        of conditions that have no answer; an answer that is remembered is not asked again.
        """
        self.version = version
        self.override = override
        self.unanswered = unanswered
        self.document = PolicyDocument()
        self.document.CopyFrom(document)
        self._skills = {category.id: category.skill for category in self.document.categories}
        self._profiles = {profile.unit: profile for profile in self.document.units}
        self._services = {service.id: service for service in self.document.services}
        self._first_services = self._find_first_services()
        self._promised = frozenset(target for service in self.document.services for target in service.targets)
        self.calendars: Mapping[str, WorkingCalendar] = MappingProxyType(self._compile_calendars())
        self._promises = {
            target.id: tuple(promises_of(target, f"targets[{i}]", unanswered))
            for i, target in enumerate(self.document.targets)
        }
        self._agreed = {
            agreement.id: agreed_in(agreement, f"agreements[{i}]", unanswered)
            for i, agreement in enumerate(self.document.agreements)
        }
        self._compile_conditions()
        self._targets_by_facts = lru_cache(maxsize=REMEMBERED_FACTS)(self._find_target)
        self._ladders_by_facts = lru_cache(maxsize=REMEMBERED_FACTS)(self._find_ladder)
        self._eligible_by_facts = lru_cache(maxsize=REMEMBERED_FACTS)(self._find_eligible)
        self._rates_by_facts = lru_cache(maxsize=REMEMBERED_FACTS)(self._find_rate)
        self._shares = lru_cache(maxsize=REMEMBERED_GRANTS)(self._find_shares)
        self._grants = lru_cache(maxsize=REMEMBERED_GRANTS)(self._find_grants)

    def heard_by(self, unanswered: Unanswered) -> Standards:
        """Return the same policy, with somebody else to hear of conditions that have no answer."""
        return Standards(self.version, self.document, self.override, unanswered)

    def _find_first_services(self) -> dict[str, str]:
        """Find the service that a ticket of each category has where none is named: the first that covers it."""
        first: dict[str, str] = {}
        for service in self.document.services:
            for category in service.categories:
                first.setdefault(category, service.id)
        return first

    def _compile_calendars(self) -> dict[str, WorkingCalendar]:
        calendars = {
            calendar.id: WorkingCalendar(calendar, f"calendars[{i}]")
            for i, calendar in enumerate(self.document.calendars)
        }
        for i, profile in enumerate(self.document.units):
            if profile.calendar not in calendars:
                raise invalid(f"units[{i}].calendar", f"there is no calendar {profile.calendar!r}: add it")
        return {**calendars, ELAPSED_ID: elapsed_time()}

    def _compile_conditions(self) -> None:
        document, condition_of = self.document, partial(Condition, unanswered=self.unanswered)
        soft = document.soft if document.HasField("soft") else None
        self._soft = condition_of(CLOCK_SCOPE, soft.when, "soft.when") if soft else None
        self._desks = [
            (condition_of(TICKET_SCOPE, desk.when, f"desks[{i}].when"), desk) for i, desk in enumerate(document.desks)
        ]
        self._targets = {
            target.id: condition_of(TICKET_SCOPE, target.when, f"targets[{i}].when")
            for i, target in enumerate(document.targets)
        }
        ladder = [
            (condition_of(TICKET_SCOPE, step.when, f"ladder[{i}].when"), step) for i, step in enumerate(document.ladder)
        ]
        self._hierarchy = [
            (condition_of(TICKET_SCOPE, step.when, f"hierarchy[{i}].when"), step)
            for i, step in enumerate(document.hierarchy)
        ]
        self._complaints = [
            (condition_of(TICKET_SCOPE, rule.when, f"complaints[{i}].when"), rule)
            for i, rule in enumerate(document.complaints)
        ]
        self._ladder = sorted(ladder, key=lambda rung: rung[1].at_percent)
        self._eligible = condition_of(ELIGIBLE_SCOPE, document.routing.eligible, "routing.eligible")
        self._score = Score(SCORE_SCOPE, document.routing.score, "routing.score", self.unanswered)
        self._rates = [
            (condition_of(PROVIDER_SCOPE, rate.when, f"rates[{i}].when"), rate) for i, rate in enumerate(document.rates)
        ]

    def facts(
        self,
        *,
        priority: str,
        category: str,
        language: str,
        tier: int,
        home: str,
        product: str = "",
        service: str = "",
        customer_class: str = ORDINARY,
        returns: int = 0,
    ) -> TicketFacts:
        """Gather what conditions may know of a ticket; the skill follows from the category.

        `priority` is "P1" to "P4", `tier` 1 to 3. A service that this version does not have, since the ticket was
        opened under another, counts as none named. Raises `CategoryUnknown` and `UnitUnknown`.
        """
        skill = self._skills.get(category)
        if skill is None:
            raise CategoryUnknown(
                f"The policy in force has no category {category!r}.",
                hint=f"Choose one of {_some(self._skills)}.",
                category=category,
                policy_version=str(self.version),
            )
        self.profile(home)
        return TicketFacts(
            priority=priority,
            category=category,
            skill=skill,
            language=language,
            tier=tier,
            home=home,
            product=product,
            service=service if service in self._services else self._first_services.get(category, ""),
            customer_class=customer_class,
            returns=returns,
        )

    def choose_service(self, category: str, named: str) -> str:
        """Return the service of a new ticket: the one that is named, or else the first that covers its category.

        It is empty where nothing is named and no service covers the category. Raises `ServiceUnknown`, and
        `CategoryNotCovered` where the named one covers other categories.
        """
        if not named:
            return self._first_services.get(category, "")
        service = self.service(named)
        if service.categories and category not in service.categories:
            raise CategoryNotCovered(
                f"The service {named!r} does not cover the category {category!r}.",
                hint=f"Choose one of {_some(service.categories)}, or another service.",
                service=named,
                category=category,
            )
        return named

    def service(self, name: str) -> ServiceOffering:
        """Give a service of the catalogue by its id. Raises `ServiceUnknown`."""
        if name not in self._services:
            raise ServiceUnknown(
                f"The policy in force has no service {name!r}.",
                hint=f"Choose one of {_some(self._services)}." if self._services else "Leave the service out.",
                service=name,
                policy_version=str(self.version),
            )
        return self._services[name]

    def owner_of(self, service: str) -> str:
        """Give the unit that answers for a service; empty for none, and for one that this version does not have."""
        return self._services[service].owner if service in self._services else ""

    def profile(self, unit: str) -> UnitProfile:
        """Give what the policy knows of a unit. Raises `UnitUnknown`."""
        profile = self._profiles.get(unit)
        if profile is None:
            raise UnitUnknown(unit=unit, policy_version=str(self.version))
        return profile

    def is_stopped(self, returns: int) -> bool:
        """Tell whether a ticket that has returned so often is passed on to the final owner only."""
        return self.document.HasField("return_limit") and returns >= self.document.return_limit.returns

    def lists(self, unit: str) -> bool:
        """Tell whether the policy knows a unit."""
        return unit in self._profiles

    def lists_others(self, unit: str) -> bool:
        """Tell whether there is a unit beside this one: somebody who could be asked for an engagement."""
        return any(other != unit for other in self._profiles)

    def peers_of(self, unit: str) -> frozenset[str]:
        """Give the units that a unit may exchange engagements with directly, while headquarters is out of reach."""
        groups = [frozenset(group.units) for group in self.document.peers if unit in group.units]
        return frozenset[str]().union(*groups) - {unit}

    def calendar_of(self, unit: str) -> str:
        """Give the id of the calendar that a unit works by. Raises `UnitUnknown`."""
        return self.profile(unit).calendar

    def targets_of(self, service: str) -> list[ServiceTarget]:
        """Give the targets that are asked for a ticket of a service, in order: its own, then those of no service."""
        own = self._services[service].targets if service in self._services else ()
        return [
            *(target for target in self.document.targets if target.id in own),
            *(target for target in self.document.targets if target.id not in self._promised),
        ]

    def target_for(self, facts: TicketFacts) -> ServiceTarget | None:
        """Give the first target whose condition holds, or None. Raises `UnitUnknown`."""
        return self._targets_by_facts(_key(facts))

    def promises(self, target: str) -> tuple[Promise, ...]:
        """Give the clocks that a target starts, none for an id that the policy does not have."""
        return self._promises.get(target, ())

    def agreed(self, kind: Clock.Kind.ValueType) -> list[Agreed]:
        """Give what is agreed of a kind of clock, in the policy's order: the first whose condition holds applies."""
        return [agreed for agreed in self._agreed.values() if agreed.promise.kind == kind]

    def all_agreed(self) -> list[Agreed]:
        """Give all that is agreed, in the policy's order."""
        return list(self._agreed.values())

    def agreement(self, name: str) -> Promise | None:
        """Give the clock of an agreement by its id; None for an id that the policy does not have."""
        agreed = self._agreed.get(name)
        return agreed.promise if agreed else None

    @property
    def suppliers(self) -> list[str]:
        """The suppliers that something is agreed with."""
        return sorted({agreed.supplier for agreed in self._agreed.values()} - {""})

    def is_conditional(self, target: str) -> bool:
        """Tell whether the clocks of a new ticket depend on conditions, and so on more than its target."""
        return bool(self._agreed) or any(promise.rules.any for promise in self.promises(target))

    def may_be_suspended(self, facts: TicketFacts, current: ClockSituation) -> bool:
        """Tell whether the work of a ticket may be suspended. Raises `UnitUnknown`."""
        if self._soft is None:
            return False
        return self._soft.holds(CLOCK_SCOPE.situation(ticket=facts, home=self.profile(facts.home), current=current))

    def ladder_for(self, facts: TicketFacts) -> list[LadderStep]:
        """Give the steps whose condition holds, by percent. Raises `UnitUnknown`."""
        return list(self._ladders_by_facts(_key(facts)))

    def tells(self, facts: TicketFacts, level: HierarchyStep.Level.ValueType, kind: str, percent: int) -> bool:
        """Tell whether a level is told of a ticket when so much of a clock of a kind is used up."""
        situation = TICKET_SCOPE.situation(ticket=facts, home=self.profile(facts.home))
        return any(
            condition.holds(situation)
            for condition, step in self._hierarchy
            if (step.level, kind_of(step), step.at_percent) == (level, kind, percent)
        )

    def acknowledge_within(self, level: HierarchyStep.Level.ValueType, kind: str) -> timedelta | None:
        """Give how long a level has to acknowledge what it is told of a kind of clock; None for as long as it likes."""
        for step in self.document.hierarchy:
            if (step.level, kind_of(step)) == (level, kind) and step.HasField("acknowledge_within"):
                return step.acknowledge_within.ToTimedelta()
        return None

    def complaint_rule(self, facts: TicketFacts | None) -> ComplaintRule | None:
        """Give what is promised to somebody who complains about a ticket; None where the policy promises nothing.

        No facts stand for a ticket that this version knows nothing of: then rules without a condition apply. Raises
        `UnitUnknown`.
        """
        if facts is None:
            return next((rule for _, rule in self._complaints if is_unconditional(rule.when)), None)
        situation = TICKET_SCOPE.situation(ticket=facts, home=self.profile(facts.home))
        return next((rule for condition, rule in self._complaints if condition.holds(situation)), None)

    def candidates(self, facts: TicketFacts, loads: Mapping[str, int], at: datetime) -> list[str]:
        """Give the units to ask for an engagement at an instant: eligible, with room, the highest score first.

        `loads` counts each unit's open engagements; a unit that is missing has none. A capacity of 0 is no limit. Ties
        go by name. The home unit is never among them; the final owner is, where it is as eligible as any other. Raises
        `UnitUnknown` and `HorizonExceeded`.
        """
        ranked = []
        for profile in self.eligible(facts, at):
            load = loads.get(profile.unit, 0)
            if _has_room(profile, load):
                ranked.append((-self.score(facts, profile, load, at), profile.unit))
        return [unit for _, unit in sorted(ranked)]

    def eligible(self, facts: TicketFacts, at: datetime) -> tuple[UnitProfile, ...]:
        """Give the units that can be asked at an instant, the home unit never among them, whatever they have to do."""
        return self._eligible_by_facts(_key(facts), self._open_calendars(at))

    def score(self, facts: TicketFacts, provider: UnitProfile, load: int, at: datetime) -> float:
        """Give a provider's score at an instant, with so many open engagements: the highest is asked first."""
        opens_in = self.calendars[provider.calendar].opens(at) - at
        situation = SCORE_SCOPE.situation(
            ticket=facts,
            home=self.profile(facts.home),
            provider=provider,
            load=load,
            open_now=not opens_in,
            opens_in_minutes=-(-opens_in // timedelta(minutes=1)),
            cost=self._cost(facts, provider.unit),
        )
        return self._score.of(situation)

    def _cost(self, facts: TicketFacts, provider: str) -> float:
        """Give what an engagement with a provider would cost, where the score asks for it; rates may be many."""
        if not mentions(self.document.routing.score, "cost"):
            return 0.0
        amount = self.rate_for(facts, provider).amount
        return float(amount.units + amount.nanos / NANOS_PER_UNIT)

    def _open_calendars(self, at: datetime) -> frozenset[str]:
        """Give the calendars that count at an instant, where eligibility asks for it."""
        if not mentions(self.document.routing.eligible, "open_now"):
            return frozenset()
        return frozenset(name for name, calendar in self.calendars.items() if calendar.opens(at) == at)

    def desks_for(self, facts: TicketFacts) -> list[SharedDesk]:
        """Give the shared desks that take a ticket, in the policy's order. Raises `UnitUnknown`."""
        situation = TICKET_SCOPE.situation(ticket=facts, home=self.profile(facts.home))
        return [desk for condition, desk in self._desks if condition.holds(situation)]

    def rate_for(self, facts: TicketFacts | None, provider: str) -> Rate:
        """Give what the provider earns for an engagement: the first rate whose condition holds.

        Where it says so, its amount is what the ticket's service costs. No facts stand for a ticket that this version
        knows nothing of: then the first rate without a condition applies. Of a provider that it does not list, which
        may have joined since, it knows nothing either: then no rate applies whose condition asks about the provider.

        Raises `PolicyMissing` where none is left, which `lint` rules out; `UnitUnknown`.
        """
        if facts is None:
            return self._first_rate((rate for _, rate in self._rates if is_unconditional(rate.when)), provider)
        return self._rates_by_facts(_key(facts), provider)

    def grants(self, event_type_short_name: str, field: str) -> frozenset[SharingRule.Audience.ValueType]:
        """Give the audiences that may see a sealed field of an event, "EngagementRequested"; none is the default."""
        return self._grants(event_type_short_name, field)

    def shares(self, event_type_short_name: str) -> bool:
        """Return whether any sealed field of an event is granted to anybody: of most events none is."""
        return self._shares(event_type_short_name)

    def _find_target(self, key: bytes) -> ServiceTarget | None:
        facts = TicketFacts.FromString(key)
        situation = TICKET_SCOPE.situation(ticket=facts, home=self.profile(facts.home))
        asked = self.targets_of(facts.service)
        return next((target for target in asked if self._targets[target.id].holds(situation)), None)

    def _find_ladder(self, key: bytes) -> tuple[LadderStep, ...]:
        facts = TicketFacts.FromString(key)
        situation = TICKET_SCOPE.situation(ticket=facts, home=self.profile(facts.home))
        return tuple(step for condition, step in self._ladder if condition.holds(situation))

    def _find_eligible(self, key: bytes, open_calendars: frozenset[str]) -> tuple[UnitProfile, ...]:
        facts = TicketFacts.FromString(key)
        home = self.profile(facts.home)

        def situation(profile: UnitProfile) -> Situation:
            open_now = profile.calendar in open_calendars
            return ELIGIBLE_SCOPE.situation(ticket=facts, home=home, provider=profile, open_now=open_now)

        others = (profile for profile in self.document.units if profile.unit != facts.home)
        return tuple(profile for profile in others if self._eligible.holds(situation(profile)))

    def _find_rate(self, key: bytes, provider: str) -> Rate:
        facts = TicketFacts.FromString(key)
        profile = self._profiles.get(provider, UnitProfile())
        situation = PROVIDER_SCOPE.situation(ticket=facts, home=self.profile(facts.home), provider=profile)
        asked = (each for each in self._rates if self.lists(provider) or not mentions(each[1].when, "provider"))
        holding = (rate for condition, rate in asked if condition.holds(situation))
        return self._by_service(self._first_rate(holding, provider), facts.service)

    @staticmethod
    def _first_rate(rates: Iterator[Rate], provider: str) -> Rate:
        rate = next(rates, None)
        if rate is None:
            raise PolicyMissing("No rate of the policy applies to this engagement.", provider=provider)
        return rate

    def _by_service(self, rate: Rate, service: str) -> Rate:
        """Return a rate, with what the service costs in place of its amount where it says so and the service does."""
        offering = self._services.get(service)
        if rate.service_cost and offering is not None and offering.HasField("cost"):
            return Rate(id=rate.id, when=rate.when, amount=offering.cost, service_cost=True)
        return rate

    def _find_shares(self, event: str) -> bool:
        return any({event, EVERYTHING} & {*rule.events} for rule in self.document.sharing)

    def _find_grants(self, event: str, field: str) -> frozenset[SharingRule.Audience.ValueType]:
        return frozenset(
            rule.audience
            for rule in self.document.sharing
            if {event, EVERYTHING} & {*rule.events} and {field, EVERYTHING} & {*rule.fields}
        )


def kind_of(step: HierarchyStep) -> str:
    """Return the name of the kind of clock that a step of the hierarchy is about."""
    return step.kind or RESOLUTION


def _has_room(profile: UnitProfile, load: int) -> bool:
    return not profile.capacity or load < profile.capacity


def _some(ids: Iterable[str]) -> str:
    return ", ".join(list(ids)[:NAMED_IDS])


def _key(facts: TicketFacts) -> bytes:
    """Facts hold no map, so the same facts always have the same bytes within one process."""
    return facts.SerializeToString()
