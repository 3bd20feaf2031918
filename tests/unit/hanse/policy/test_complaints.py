"""What is promised to somebody who complains, and what is wrong with such a promise."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hanse.errors import PolicyInvalid
from hanse.policy import Standards, dump_yaml, lint, load_yaml
from hanse.policy.complaints import close_after_of
from hanse_protos.policy.v1.policy_pb2 import HierarchyStep, PolicyDocument, TicketFacts
from tests.unit.hanse.policy.test_promises import POLICY

EVERY = "{id: every, acknowledge_within: 8h, answer_within: 40h}"
URGENT = "{id: urgent, when: 'ticket.priority == \"P1\"', acknowledge_within: 1h, answer_within: 4h}"


def policy(*rules: str) -> PolicyDocument:
    return load_yaml(POLICY.replace(", EXTRA", "") + f"complaints: [{', '.join(rules)}]")


def facts(priority: str) -> TicketFacts:
    standards = Standards(1, policy(EVERY))
    return standards.facts(priority=priority, category="display", language="zh", tier=1, home="units/shanghai")


@pytest.mark.parametrize(("priority", "rule"), [("P1", "urgent"), ("P3", "every")])
def test_the_first_rule_that_holds_applies(priority: str, rule: str) -> None:
    found = Standards(1, policy(URGENT, EVERY)).complaint_rule(facts(priority))
    assert found is not None
    assert found.id == rule


def test_a_ticket_that_the_policy_knows_nothing_of_has_the_rule_without_a_condition() -> None:
    found = Standards(1, policy(URGENT, EVERY)).complaint_rule(None)
    assert found is not None
    assert found.id == "every"


def test_a_policy_may_promise_nothing() -> None:
    assert Standards(1, policy()).complaint_rule(facts("P1")) is None


@pytest.mark.parametrize(("written", "days"), [("", 14), (", close_after: 7d", 7)])
def test_an_answer_waits_as_long_as_the_rule_says_or_two_weeks(written: str, days: int) -> None:
    [rule] = policy(EVERY.replace("}", f"{written}}}")).complaints
    assert close_after_of(rule) == timedelta(days=days)


def test_a_rule_is_written_and_read_back() -> None:
    document = policy(EVERY.replace("}", ", first_level: DESK_LEAD, time: ELAPSED, warn_percents: [50]}"))
    assert document.complaints[0].first_level == HierarchyStep.DESK_LEAD
    assert load_yaml(dump_yaml(document)) == document


@pytest.mark.parametrize(
    ("rules", "path", "problem"),
    [
        ([EVERY.replace("8h", "0s")], "complaints[0].acknowledge_within", "greater than 0"),
        ([EVERY.replace("40h", "8h")], "complaints[0].acknowledge_within", "shorter than answer_within"),
        ([EVERY.replace("}", ", close_after: 2h}")], "complaints[0].close_after", "less time to reject"),
        ([EVERY.replace("}", ", close_after: 0s}")], "complaints[0].close_after", "greater than 0"),
        ([EVERY.replace("}", ", close_after: 400d}")], "complaints[0].close_after", "less than or equal to 31536000s"),
        ([EVERY, URGENT], "complaints[1].when", "complaints[0] always comes first"),
        ([URGENT], "complaints", "no rule always applies"),
        ([URGENT, URGENT.replace("P1", "P2"), EVERY], "complaints[1].id", "here twice"),
        ([URGENT.replace("priority", "prio"), EVERY], "complaints[0].when", "undefined field 'prio'"),
    ],
)
def test_what_is_wrong_is_named_at_its_place(rules: list[str], path: str, problem: str) -> None:
    assert [(found.path, problem in found.message) for found in lint(policy(*rules))] == [(path, True)]


def test_a_level_that_there_is_not_is_refused_with_its_place() -> None:
    with pytest.raises(PolicyInvalid) as caught:
        policy(EVERY.replace("}", ", first_level: TIER_2}"))
    assert caught.value.metadata["path"] == "complaints[0].first_level"


def test_a_time_that_is_longer_than_all_times_is_named_too() -> None:
    document = policy(EVERY)
    document.complaints[0].close_after.seconds = 2**62
    assert [found.path for found in lint(document)] == ["complaints[0].close_after"]
