"""Why a policy answers as it does."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from hanse.policy import Standards, load_yaml
from hanse.policy.explanation import Outcome, explain
from hanse_protos.policy.v1.policy_pb2 import TicketFacts

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
standards = Standards(7, load_yaml((Path(__file__).parents[4] / "policies" / "group.yaml").read_text()))


def facts(priority: str, category: str = "display") -> TicketFacts:
    return standards.facts(priority=priority, category=category, language="de", tier=1, home="units/shanghai")


def test_of_the_targets_the_first_that_holds_applies_and_the_rest_is_not_asked() -> None:
    outcomes = {rule.path: rule.outcome for rule in explain(standards, facts("P2"), NOW).targets}
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
            explanation = explain(standards, asked, NOW)
            [target] = [rule.path for rule in explanation.targets if rule.outcome == Outcome.APPLIES]
            assert target == f"targets[{getattr(standards.target_for(asked), 'id', None)}]"
            rungs = [rule for rule in explanation.ladder if rule.outcome == Outcome.APPLIES]
            assert len(rungs) == len(standards.ladder_for(asked))
            asked_in_order = [provider.unit for provider in explanation.providers if provider.eligible]
            assert asked_in_order == standards.candidates(asked, {}, NOW)


def test_a_rule_says_what_it_promises_and_when() -> None:
    [rule] = [rule for rule in explain(standards, facts("P1"), NOW).targets if rule.outcome == Outcome.APPLIES]
    says = "answer in 15m, next reply in 30m, update every 1h elapsed, solution in 4h"
    assert (rule.says, rule.condition) == (says, 'ticket.priority == "P1"')
