"""The compiled policy answers as its document says."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from hanse.errors import PolicyInvalid, PolicyMissing
from hanse.policy.document import load_yaml
from hanse.policy.errors import (
    CategoryNotCovered,
    CategoryUnknown,
    ServiceUnknown,
    UnitUnknown,
)
from hanse.policy.standards import Standards, kind_of
from hanse.policy.unanswered import Heard
from hanse_protos.policy.v1.policy_pb2 import (
    ClockSituation,
    HierarchyStep,
    LadderStep,
    PolicyDocument,
    Rate,
    SharingRule,
    TicketFacts,
)

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
"""Monday: 10:00 in Munich, 17:00 in Shanghai."""
POLICIES = Path(__file__).parents[4] / "policies"
GROUP = load_yaml((POLICIES / "group.yaml").read_text())
DEMO = load_yaml((POLICIES / "demo.yaml").read_text())

group = Standards(7, GROUP)
demo = Standards(1, DEMO)


def facts(
    standards: Standards,
    *,
    priority: str = "P2",
    category: str = "display",
    language: str = "zh",
    tier: int = 1,
    product: str = "LX-4",
) -> TicketFacts:
    return standards.facts(
        priority=priority, category=category, language=language, tier=tier, home="units/shanghai", product=product
    )


def changed(**routing: str) -> Standards:
    document = PolicyDocument()
    document.CopyFrom(DEMO)
    for name, value in routing.items():
        setattr(document.routing, name, value)
    return Standards(2, document)


# Facts and profiles


def test_the_skill_follows_from_the_category() -> None:
    assert facts(group).skill == "display-repair"


def test_an_unknown_category_is_refused() -> None:
    with pytest.raises(CategoryUnknown) as raised:
        facts(group, category="weather")
    assert raised.value.metadata == {"category": "weather", "policy_version": "7"}


def test_an_unknown_unit_is_refused() -> None:
    with pytest.raises(UnitUnknown):
        group.profile("units/oslo")


def test_a_unit_has_a_calendar() -> None:
    assert group.calendar_of("units/munich") == "munich-office"
    assert group.calendars["munich-office"].id == "munich-office"


# Targets and ladder


@pytest.mark.parametrize(
    ("priority", "category", "target"),
    [("P1", "display", "p1"), ("P3", "account", "p3-account"), ("P3", "display", "p3"), ("P4", "account", "p4")],
)
def test_the_first_target_that_holds_applies(priority: str, category: str, target: str) -> None:
    applies = group.target_for(facts(group, priority=priority, category=category))
    assert applies is not None
    assert applies.id == target


def test_a_key_customers_ticket_has_a_target_of_its_own() -> None:
    asked = group.facts(
        priority="P2", category="billing", language="zh", tier=1, home="units/shanghai", customer_class="VIP"
    )
    assert getattr(group.target_for(asked), "id", None) == "key-customer"


# Services


def test_a_ticket_that_names_no_service_has_the_first_that_covers_its_category() -> None:
    assert group.choose_service("spare-parts", "") == "parts"


def test_a_service_that_is_named_is_had() -> None:
    assert group.choose_service("spare-parts", "express-parts") == "express-parts"


def test_a_service_that_is_not_in_the_catalogue_is_refused() -> None:
    with pytest.raises(ServiceUnknown) as raised:
        group.choose_service("spare-parts", "gold")
    assert "express-parts" in raised.value.hint


def test_a_service_that_covers_other_categories_is_refused() -> None:
    with pytest.raises(CategoryNotCovered) as raised:
        group.choose_service("billing", "express-parts")
    assert raised.value.metadata == {"service": "express-parts", "category": "billing"}


def test_a_target_that_a_service_names_is_for_its_tickets_and_for_no_others() -> None:
    def target(service: str) -> str | None:
        asked = group.facts(
            priority="P4", category="spare-parts", language="zh", tier=1, home="units/shanghai", service=service
        )
        return getattr(group.target_for(asked), "id", None)

    assert (target("express-parts"), target("parts")) == ("express-parts", "p4")


def test_a_service_of_another_version_counts_as_none_named() -> None:
    asked = group.facts(
        priority="P4", category="network", language="zh", tier=1, home="units/shanghai", service="of-old"
    )
    assert asked.service == "connectivity"


def test_there_may_be_no_target() -> None:
    document = PolicyDocument()
    document.CopyFrom(DEMO)
    del document.targets[3]
    assert Standards(2, document).target_for(facts(demo, priority="P4")) is None


@pytest.mark.parametrize(("tier", "steps"), [(1, [(20, LadderStep.CLIMB)]), (2, [(30, LadderStep.REQUEST_ENGAGEMENT)])])
def test_the_ladder_depends_on_the_tier(tier: int, steps: list[tuple[int, int]]) -> None:
    assert [(step.at_percent, step.action) for step in demo.ladder_for(facts(demo, tier=tier))] == steps


def test_the_ladder_is_sorted_by_percent() -> None:
    document = PolicyDocument()
    document.CopyFrom(DEMO)
    del document.ladder[:]
    for percent in (90, 10, 50):
        document.ladder.add(at_percent=percent, action=LadderStep.CLIMB)
    assert [step.at_percent for step in Standards(2, document).ladder_for(facts(demo))] == [10, 50, 90]


# A condition without an answer


SAP = facts(group, product="SAP")
NO_ANSWER = "int(ticket.product) > 3"


def without_answer(**rules: str) -> tuple[Standards, Heard]:
    """Return the group's policy where the first of these rules has no answer for that ticket."""
    document, heard = PolicyDocument(), Heard()
    document.CopyFrom(GROUP)
    for name, text in rules.items():
        rule = getattr(document, name)
        (rule if name == "soft" else rule[0]).when = text
    return Standards(2, document, unanswered=heard), heard


def test_after_a_target_without_an_answer_the_next_one_is_asked() -> None:
    standards, heard = without_answer(targets=NO_ANSWER)
    found = standards.target_for(SAP)
    assert (found and found.id, heard.problems) == ("p2", {"targets[0].when": "cannot convert string to int"})
    seven = standards.target_for(facts(group, product="7"))
    assert seven and seven.id == GROUP.targets[0].id


def test_a_rung_and_a_level_without_an_answer_are_left_out_and_the_others_are_not() -> None:
    standards, heard = without_answer(ladder=NO_ANSWER, hierarchy=NO_ANSWER)
    assert GROUP.ladder[0] in group.ladder_for(SAP)
    assert standards.ladder_for(SAP) == [step for step in group.ladder_for(SAP) if step != GROUP.ladder[0]]
    told, still_told = ([tells(which, step) for step in GROUP.hierarchy] for which in (group, standards))
    assert (told[0], still_told) == (True, [False, *told[1:]])
    assert heard.problems.keys() == {"ladder[0].when", "hierarchy[0].when"}


def tells(standards: Standards, step: HierarchyStep) -> bool:
    return standards.tells(SAP, step.level, kind_of(step), step.at_percent)


def test_work_may_not_be_suspended_where_the_condition_has_no_answer() -> None:
    current = ClockSituation(state="IN_PROGRESS", holder="units/shanghai")
    standards, _ = without_answer(soft=NO_ANSWER)
    assert not standards.may_be_suspended(SAP, current)
    assert standards.may_be_suspended(facts(group, product="7"), current)


def test_a_complaint_has_the_next_rule_and_an_engagement_the_next_rate() -> None:
    standards, _ = without_answer(complaints=NO_ANSWER, rates=NO_ANSWER)
    rule = standards.complaint_rule(SAP)
    assert rule and rule.id == GROUP.complaints[1].id
    rates = [standards.rate_for(facts(group, product=product), "units/munich").id for product in ("7", "SAP")]
    assert rates == ["firmware-urgent", "display"]


def test_a_provider_is_not_asked_where_eligibility_has_no_answer() -> None:
    three_languages = changed(eligible='provider.languages[2] == "zh"')
    assert three_languages.candidates(facts(demo), {}, NOW) == ["units/hq"]


def test_a_provider_without_a_score_is_asked_last() -> None:
    divided = changed(eligible="true", score='provider.unit == "units/munich" ? 1000 / load : -1')
    assert divided.candidates(facts(demo), {"units/munich": 1}, NOW) == ["units/munich", "units/hq"]
    assert divided.candidates(facts(demo), {}, NOW) == ["units/hq", "units/munich"]


def test_which_text_leaves_a_unit_depends_on_no_condition() -> None:
    assert {field.name for field in SharingRule.DESCRIPTOR.fields} == {"events", "fields", "audience"}


# Routing


def test_those_who_have_the_skill_are_candidates_and_the_best_comes_first() -> None:
    assert demo.candidates(facts(demo), {}, NOW) == ["units/munich", "units/hq"]


def test_the_home_unit_is_never_a_candidate() -> None:
    assert "units/shanghai" not in group.candidates(facts(group, category="billing"), {}, NOW)


def test_a_unit_that_is_full_is_no_candidate() -> None:
    assert demo.candidates(facts(demo), {"units/munich": 20}, NOW) == ["units/hq"]
    assert demo.candidates(facts(demo), {"units/munich": 19}, NOW) == ["units/munich", "units/hq"]


def test_a_capacity_of_nothing_is_no_limit() -> None:
    document = PolicyDocument()
    document.CopyFrom(DEMO)
    document.units[2].ClearField("capacity")
    standards = Standards(2, document)
    assert "units/munich" in standards.candidates(facts(demo), {"units/munich": 1_000}, NOW)


def test_load_counts_against_a_unit() -> None:
    busy = {"units/hq": 45}
    german = facts(group, category="billing", language="de")
    assert group.candidates(german, {}, NOW) == ["units/munich", "units/hq"]
    assert group.candidates(german, {"units/munich": 15}, NOW) == ["units/hq", "units/munich"]
    assert group.candidates(german, {"units/munich": 15} | busy, NOW) == ["units/munich", "units/hq"]


NIGHT = NOW.replace(hour=22)
"""23:00 in Munich, 06:00 in Shanghai; headquarters never closes."""


def routed(**routing: str) -> Standards:
    """Return the group's policy with a routing rule of the test's."""
    document = PolicyDocument()
    document.CopyFrom(GROUP)
    for name, value in routing.items():
        setattr(document.routing, name, value)
    return Standards(8, document)


def test_a_unit_that_sleeps_can_be_left_out() -> None:
    awake = routed(eligible="ticket.skill in provider.skills && open_now")
    assert awake.candidates(facts(awake), {}, NOW) == ["units/hq", "units/munich"]
    assert awake.candidates(facts(awake), {}, NIGHT) == ["units/hq"]


def test_who_works_sooner_can_be_asked_first() -> None:
    sooner = routed(score='(provider.unit == "units/munich" ? 60 : 0) - opens_in_minutes')
    assert sooner.candidates(facts(sooner), {}, NOW) == ["units/munich", "units/hq"]
    assert sooner.candidates(facts(sooner), {}, NIGHT) == ["units/hq", "units/munich"]
    # Munich opens at 08:00 local time; half an hour before that counts less than what speaks for it.
    assert sooner.candidates(facts(sooner), {}, datetime(2026, 11, 24, 6, 30, tzinfo=UTC))[0] == "units/munich"


def test_who_speaks_the_customers_language_can_be_asked_first_whatever_there_is_to_do() -> None:
    speaking = routed(score="(ticket.language in provider.languages ? 100 : 0) - load")
    loads = {"units/munich": 15, "units/hq": 40}
    asked = {language: speaking.candidates(facts(speaking, language=language), loads, NOW) for language in ("de", "zh")}
    assert asked == {"de": ["units/munich", "units/hq"], "zh": ["units/hq", "units/munich"]}


def test_who_does_not_speak_the_customers_language_can_be_left_out() -> None:
    speaking = routed(eligible="ticket.skill in provider.skills && ticket.language in provider.languages")
    asked = {language: speaking.candidates(facts(speaking, language=language), {}, NOW) for language in ("de", "zh")}
    assert asked == {"de": ["units/munich", "units/hq"], "zh": ["units/hq"]}


def test_who_costs_less_can_be_asked_first() -> None:
    document = PolicyDocument()
    document.CopyFrom(DEMO)
    dear = document.rates.add(id="dear", when='provider.unit == "units/munich"')
    dear.amount.units, dear.amount.currency_code = 500, "EUR"
    document.rates.insert(0, document.rates.pop())
    document.routing.score = "0.0 - cost"
    cheap = Standards(2, document)
    assert cheap.candidates(facts(cheap), {}, NOW) == ["units/hq", "units/munich"]


def test_ties_go_by_name() -> None:
    assert changed(eligible="true", score="1").candidates(facts(demo), {}, NOW) == ["units/hq", "units/munich"]


# Rates and sharing


@pytest.mark.parametrize(("category", "units"), [("display", 120), ("billing", 90)])
def test_the_first_rate_that_holds_applies(category: str, units: int) -> None:
    rate = demo.rate_for(facts(demo, category=category), "units/munich")
    assert (rate.amount.units, rate.amount.currency_code) == (units, "EUR")


@pytest.mark.parametrize(
    ("service", "service_cost", "units"),
    [("express-parts", True, 45), ("express-parts", False, 90), ("parts", True, 90)],
)
def test_a_rate_that_says_so_is_what_the_service_costs_where_it_costs_anything(
    service: str, service_cost: bool, units: int
) -> None:
    document = PolicyDocument()
    document.CopyFrom(GROUP)
    document.rates[-1].service_cost = service_cost
    standards = Standards(8, document)
    asked = facts(standards, category="spare-parts")
    asked.service = service
    rate = standards.rate_for(asked, "units/hq")
    assert (rate.id, rate.amount.units) == ("standard", units)


@pytest.mark.parametrize(
    ("category", "when", "applies"),
    [
        ("spare-parts", 'provider.unit != "units/munich"', "standard"),
        ("spare-parts", 'ticket.priority == "P2"', "first"),
        (None, 'ticket.priority == ""', "standard"),
    ],
)
def test_what_a_version_knows_nothing_of_no_rate_may_ask_about(category: str | None, when: str, applies: str) -> None:
    document = PolicyDocument()
    document.CopyFrom(GROUP)
    document.rates.insert(0, Rate(id="first", when=when, amount=document.rates[-1].amount))
    standards = Standards(8, document)
    asked = facts(standards, category=category) if category else None
    assert standards.rate_for(asked, "units/joined-since").id == applies


def test_a_policy_without_a_rate_for_it_says_so() -> None:
    document = PolicyDocument()
    document.CopyFrom(DEMO)
    del document.rates[1]
    with pytest.raises(PolicyMissing):
        Standards(2, document).rate_for(facts(demo, category="billing"), "units/munich")


@pytest.mark.parametrize(
    ("event", "field", "audiences"),
    [
        ("EngagementRequested", "title", {SharingRule.COUNTERPART}),
        ("EngagementDelivered", "text", {SharingRule.COUNTERPART}),
        ("ArticlePublished", "summary.zh", {SharingRule.GROUP}),
        ("TicketOpened", "title", set()),
        ("EngagementRequested", "customer", set()),
        ("NeverHeardOf", "text", set()),
    ],
)
def test_only_what_a_rule_grants_is_shared(event: str, field: str, audiences: set[int]) -> None:
    assert group.grants(event, field) == audiences


def test_a_rule_for_everything_grants_everything() -> None:
    document = PolicyDocument()
    document.CopyFrom(DEMO)
    document.sharing.add(events=["*"], fields=["title"], audience=SharingRule.HEADQUARTERS)
    standards = Standards(2, document)
    assert standards.grants("TicketOpened", "title") == {SharingRule.HEADQUARTERS}
    assert standards.grants("EngagementRequested", "title") == {SharingRule.COUNTERPART, SharingRule.HEADQUARTERS}


# Compiling


def test_later_changes_of_the_document_change_nothing() -> None:
    document = PolicyDocument()
    document.CopyFrom(DEMO)
    standards = Standards(2, document)
    document.targets[1].id = "changed"
    target = standards.target_for(facts(demo, priority="P2"))
    assert target is not None
    assert target.id == "p2"


@pytest.mark.parametrize("routing", [{"eligible": "provider.skils == []"}, {"score": ""}, {"score": "ticket"}])
def test_what_does_not_compile_is_refused_with_its_place(routing: dict[str, str]) -> None:
    with pytest.raises(PolicyInvalid, match=f"^routing.{next(iter(routing))}: "):
        changed(**routing)


def test_a_unit_without_its_calendar_is_refused() -> None:
    document = PolicyDocument()
    document.CopyFrom(DEMO)
    document.units[0].calendar = "nights"
    with pytest.raises(PolicyInvalid, match=r"^units\[0\]\.calendar: "):
        Standards(2, document)


# What the demo promises its audience


def test_the_demo_shows_a_p2_display_ticket_on_its_way() -> None:
    target = demo.target_for(facts(demo))
    assert target is not None
    assert (target.response.seconds, target.resolution.seconds, list(target.warn_percents)) == (20, 60, [25])
    routing = demo.document.routing
    assert (routing.offer_timeout.seconds, routing.rounds, routing.final_owner) == (6, 2, "units/hq")
