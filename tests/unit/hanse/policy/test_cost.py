"""What makes values grow inside a comprehension is found; what only asks is not."""

from __future__ import annotations

import pytest

from hanse.policy.cost import costly


@pytest.mark.parametrize(
    "text",
    [
        "home.skills.map(a, a)",
        'home.skills . exists ( a, a + a == "")',
        '[home.unit].exists(a, [a].exists(b, b == ""))',
        "home.skills.all(a, {a: 1}.size() > 0)",
        'home.skills.exists(a, ("(" + a) == "x")',
    ],
)
def test_what_makes_values_grow_is_named(text: str) -> None:
    assert "grow beyond all bounds" in costly(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ticket.skill in provider.skills",
        "provider.skills.exists(s, s in home.skills)",
        'home.languages.exists(l, l in ["de", "a+b", "c\\"]{"] && home.languages[0] == l)',
        "(ticket.language in provider.languages ? 100 : 0) - load + 1",
        "home.skills.filter(s, s != 'a + b').size() + 1 > 2",
        "home.skills.all(s, s in ['x']) // a + b",
    ],
)
def test_what_only_asks_may_stay(text: str) -> None:
    assert costly(text) == ""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ticket.product.matches(ticket.language)", "written where it is used"),
        ('matches(ticket.product, "X")', "written where it is used"),
        ('ticket.product.matches("X" + "{9}")', "written where it is used"),
        ('ticket.product.matches("a{999}")', "without counts"),
        ('ticket.product.matches("a\\x7b999}")', "without counts"),
        ('ticket.product.matches("\\\\pL")', "without counts"),
        ("ticket.product.matches(r'\\pL')", "without counts"),
        ('home.skills.exists(s, s.matches("^x"))', "compiles a pattern each time"),
    ],
)
def test_what_makes_patterns_dear_is_named(text: str, problem: str) -> None:
    assert problem in costly(text)


@pytest.mark.parametrize("text", ["// '\nhome.skills.map(a, a)\n// '", "r'\\' == home.skills.map(a, a)[0] + '\\''"])
def test_quotes_in_comments_and_raw_texts_hide_nothing(text: str) -> None:
    assert "grow beyond all bounds" in costly(text)


def test_a_pattern_may_be_written() -> None:
    assert costly(r'ticket.product.matches("^(?i)x[0-9]+\\.\\d$") && r"\{" == "{"') == ""


@pytest.mark.parametrize("text", ["[" + "1" * 1_900, "(" * 1_900, "'" * 1_900, "[1," * 600, '"' + "\\" * 1_900])
def test_nonsense_is_read_once(text: str) -> None:
    assert costly(text) == ""
