"""Why a policy answers as it does."""

from __future__ import annotations

from pathlib import Path

from hanse.policy import Standards, load_yaml
from hanse.policy.explanation import Explanation, Outcome, RuleExplained, explain, explain_complaints
from hanse_protos.policy.v1.policy_pb2 import ClockSituation, PolicyDocument, TicketFacts

standards = Standards(7, load_yaml((Path(__file__).parents[4] / "policies" / "group.yaml").read_text()))


def facts(priority: str, category: str = "display") -> TicketFacts:
    return standards.facts(priority=priority, category=category, language="de", tier=1, home="units/shanghai")


def explained(asked: TicketFacts, *, waiting_for: str = "") -> Explanation:
    current = ClockSituation(state="WAITING" if waiting_for else "NEW", waiting_for=waiting_for, holder=asked.home)
    return explain(standards, asked, current)


def on_complaints(standards: Standards, asked: TicketFacts) -> list[RuleExplained]:
    rules = explain_complaints(standards, asked)
    assert rules is not None
    return rules


def test_of_the_targets_the_first_that_holds_applies_and_the_rest_is_not_asked() -> None:
    outcomes = {rule.path: rule.outcome for rule in explained(facts("P2")).targets}
    assert outcomes == {
        "targets[key-customer]": Outcome.DOES_NOT_HOLD,
        "targets[p1]": Outcome.DOES_NOT_HOLD,
        "targets[p2]": Outcome.APPLIES,
        "targets[p3-account]": Outcome.NOT_ASKED,
        "targets[p3]": Outcome.NOT_ASKED,
        "targets[p4]": Outcome.NOT_ASKED,
    }


def test_the_explanation_agrees_with_the_answers() -> None:
    for priority in ("P1", "P2", "P3", "P4"):
        for category in standards.document.categories:
            asked = facts(priority, category.id)
            explanation = explained(asked)
            [target] = [rule.path for rule in explanation.targets if rule.outcome == Outcome.APPLIES]
            assert target == f"targets[{getattr(standards.target_for(asked), 'id', None)}]"
            rungs = [rule for rule in explanation.ladder if rule.outcome == Outcome.APPLIES]
            assert len(rungs) == len(standards.ladder_for(asked))


def test_a_rule_says_what_it_promises_and_when() -> None:
    [rule] = [rule for rule in explained(facts("P1")).targets if rule.outcome == Outcome.APPLIES]
    says = "answer in 15m, next reply in 30m, update every 1h elapsed, solution in 4h"
    assert (rule.says, rule.condition) == (says, 'ticket.priority == "P1"')


def test_of_the_agreements_the_first_that_holds_applies_to_each_party() -> None:
    outcomes = {rule.path: rule.outcome for rule in explained(facts("P1")).agreements}
    assert outcomes == {
        "agreements[tier-1-urgent]": Outcome.APPLIES,
        "agreements[provider-urgent]": Outcome.APPLIES,
        "agreements[provider-soon]": Outcome.NOT_ASKED,
        "agreements[provider]": Outcome.NOT_ASKED,
        "agreements[acme-panels]": Outcome.APPLIES,
    }


def test_what_is_agreed_says_with_whom_and_in_which_time() -> None:
    says = [rule.says for rule in explained(facts("P4")).agreements]
    assert (says[0], says[-1]) == ("OLA of the tier in 1h", "UC of acme-panels in 72h elapsed")


def test_the_rule_for_suspended_work_and_the_hierarchy_are_explained() -> None:
    found = explained(facts("P3"))
    assert found.soft and (found.soft.says, found.soft.outcome) == (
        "suspended with a review every 14d, 90d in all", Outcome.APPLIES,
    )  # fmt: skip
    assert [rule.outcome for rule in found.hierarchy] == [
        Outcome.APPLIES, Outcome.APPLIES, Outcome.DOES_NOT_HOLD, Outcome.APPLIES,
    ]  # fmt: skip
    assert found.hierarchy[0].says == (
        "tell DESK_LEAD at 90 % of the resolution, and the level above where nobody acknowledges in 1h"
    )


def test_of_the_rules_for_complaints_the_first_that_holds_says_levels_calendars_and_times() -> None:
    [important, every] = on_complaints(standards, facts("P2"))
    assert (important.outcome, every.outcome) == (Outcome.DOES_NOT_HOLD, Outcome.APPLIES)
    assert every.says == (
        "UNIT_MANAGER (shanghai-office), then HEADQUARTERS (hq-always): taken up in 8h, answered in 40h, "
        "warned at 75 %; closes 14d after an answer"
    )
    vip = facts("P2")
    vip.customer_class = "VIP"
    assert [rule.outcome for rule in on_complaints(standards, vip)] == [Outcome.APPLIES, Outcome.NOT_ASKED]


def test_what_has_no_answer_is_said_with_its_reason_and_what_comes_after_it_is_asked() -> None:
    document, no_answer = PolicyDocument(), "int(ticket.product) > 3"
    document.CopyFrom(standards.document)
    for name in ("targets", "agreements", "complaints", "ladder", "hierarchy"):
        getattr(document, name)[0].when = no_answer
    for target in document.targets:
        target.clocks.response.pause = no_answer
    faulty, asked = Standards(8, document), facts("P2")
    asked.product = "SAP"
    found = explain(faulty, asked, ClockSituation(state="NEW", holder=asked.home))
    rules = [*found.targets, *found.agreements, *found.clocks, *found.ladder, *found.hierarchy]
    assert {rule.path: rule.problem for rule in rules if rule.outcome == Outcome.NO_ANSWER} == {
        "targets[key-customer]": "cannot convert string to int",
        "agreements[tier-1-urgent]": "cannot convert string to int",
        "targets[p2].clocks.response.pause": "cannot convert string to int",
        "ladder[0]": "cannot convert string to int",
        "hierarchy[0]": "cannot convert string to int",
    }
    assert [rule.path for rule in found.targets if rule.outcome == Outcome.APPLIES] == ["targets[p2]"]
    outcomes = [rule.outcome for rule in on_complaints(faulty, asked)]
    assert outcomes == [Outcome.NO_ANSWER, Outcome.APPLIES]


def test_of_a_category_that_the_version_in_force_lacks_no_condition_on_complaints_holds() -> None:
    foreign = facts("P1")
    foreign.category, foreign.customer_class = "telex", "VIP"
    outcomes = [rule.outcome for rule in on_complaints(standards, foreign)]
    assert outcomes == [Outcome.DOES_NOT_HOLD, Outcome.APPLIES]


def test_of_a_home_that_the_version_in_force_has_dropped_nothing_is_said_on_complaints() -> None:
    dropped = facts("P2")
    dropped.home = "units/atlantis"
    assert explain_complaints(standards, dropped) is None
