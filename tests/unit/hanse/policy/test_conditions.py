"""Conditions are checked when a policy is loaded, bounded when they run, and hold only where they have an answer."""

from __future__ import annotations

import pytest

from hanse.errors import PolicyInvalid
from hanse.policy.conditions import (
    LOWEST_SCORE,
    MAX_EXPRESSION_CHARACTERS,
    PROVIDER_SCOPE,
    SCORE_SCOPE,
    TICKET_SCOPE,
    Condition,
    Score,
    Situation,
)
from hanse.policy.errors import ConditionFailed
from hanse.policy.unanswered import Heard
from hanse_protos.policy.v1.policy_pb2 import TicketFacts, UnitProfile

TICKET = TicketFacts(priority="P2", category="display", skill="display-repair", language="zh", tier=2)
SHANGHAI = UnitProfile(unit="units/shanghai", languages=["zh", "en"], skills=["billing"])
MUNICH = UnitProfile(unit="units/munich", languages=["de"], skills=["display-repair"], capacity=20)


def at_home() -> Situation:
    return TICKET_SCOPE.situation(ticket=TICKET, home=SHANGHAI)


def condition(text: str) -> Condition:
    return Condition(TICKET_SCOPE, text, "targets[0].when")


def score(text: str) -> float:
    situation = SCORE_SCOPE.situation(
        ticket=TICKET, home=SHANGHAI, provider=MUNICH, load=3, open_now=True, opens_in_minutes=0, cost=90.0
    )
    return Score(SCORE_SCOPE, text, "routing.score").of(situation)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ('ticket.priority == "P2"', True),
        ('ticket.priority in ["P3", "P4"]', False),
        ("ticket.tier >= 2 && !(ticket.skill in home.skills)", True),
        ("home.languages.exists(language, language == ticket.language)", True),
        ('ticket.product == ""', True),
        ("", True),
        ("  true ", True),
    ],
)
def test_a_condition_holds_or_not(text: str, holds: bool) -> None:
    assert condition(text).holds(at_home()) is holds


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('ticket.prioritty == "P1"', "undefined field 'prioritty'"),
        ("home.skill == 1", "undefined field 'skill'"),
        ("tickets.tier == 1", "undeclared reference to 'tickets.tier'; this rule knows home, ticket"),
        ('ticket.tier == "1"', "no matching overload"),
        ("ticket.tier ==", "Syntax error"),
        ("ticket.tier", "has to be true or false"),
        ("provider.capacity > 0", "undeclared reference to 'provider.capacity'"),
        ("dyn(ticket).prioritty == 1", "dyn()"),
        ("now() > 1", "undeclared reference to 'now'"),
    ],
)
def test_what_is_wrong_is_found_when_it_is_compiled(text: str, problem: str) -> None:
    with pytest.raises(PolicyInvalid, match="targets") as raised:
        condition(text)
    assert raised.value.metadata["path"] == "targets[0].when"
    assert problem in raised.value.metadata["problem"]


def test_the_column_of_a_mistake_is_named() -> None:
    with pytest.raises(PolicyInvalid, match=r"^targets\[0\]\.when: undefined field 'tear' .* \(at column 7\)$"):
        condition("ticket.tear == 1")


@pytest.mark.parametrize(
    "text", ["1 / (ticket.tier - 2) == 0", 'home.languages[7] == "zh"', "ticket.product.matches('(')"]
)
def test_a_condition_without_an_answer_does_not_hold_and_whoever_listens_hears_why(text: str) -> None:
    heard = Heard()
    assert not Condition(TICKET_SCOPE, text, "targets[0].when", heard).holds(at_home())
    assert heard.problems.keys() == {"targets[0].when"}
    assert heard.problems["targets[0].when"]


def test_an_answer_that_does_not_need_the_failing_part_is_an_answer() -> None:
    assert condition("ticket.tier == 2 || 1 / (ticket.tier - 2) == 0").holds(at_home())


@pytest.mark.parametrize(("text", "value"), [("load * 2", 6), ("provider.capacity - load", 17), ("0.5 + 1.0", 1.5)])
def test_a_score_is_a_number(text: str, value: float) -> None:
    assert score(text) == value


@pytest.mark.parametrize("text", ["ticket.language", "load > 2", "[load]", ""])
def test_a_score_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(PolicyInvalid, match=r"^routing\.score: "):
        score(text)


@pytest.mark.parametrize("text", ["0.0 / 0.0", "1.0 / 0.0", "load / (load - 3)"])
def test_a_score_that_has_no_order_is_the_lowest(text: str) -> None:
    assert score(text) == LOWEST_SCORE


def test_an_expression_has_a_bounded_length() -> None:
    with pytest.raises(PolicyInvalid, match="shorten it"):
        condition("true || " * MAX_EXPRESSION_CHARACTERS + "true")


@pytest.mark.parametrize(
    "text", ["(" * 200 + "true" + ")" * 200, "[" * 200 + "1" + "]" * 200 + " == [1]", "1+" * 200 + "1 > 0"]
)
def test_an_expression_has_a_bounded_depth(text: str) -> None:
    with pytest.raises(PolicyInvalid, match="recursion"):
        condition(text)


def test_an_expression_has_a_bounded_cost() -> None:
    numbers = "[" + ",".join("1" * 60) + "]"
    nested = f"{numbers}.all(a, {numbers}.all(b, {numbers}.all(c, {numbers}.all(d, a + b + c + d > 0))))"
    with pytest.raises(ConditionFailed, match="budget"):
        condition(nested).answer(at_home())
    assert not condition(nested).holds(at_home())


def test_a_scope_takes_exactly_its_facts() -> None:
    with pytest.raises(TypeError, match="provider"):
        PROVIDER_SCOPE.situation(ticket=TICKET, home=SHANGHAI)
