"""What makes values grow inside a comprehension is found; what only asks is not."""

from __future__ import annotations

import pytest

from hanse.policy.cost import growing


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
    assert "grow beyond all bounds" in growing(text)


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
    assert growing(text) == ""


@pytest.mark.parametrize("text", ["[" + "1" * 1_900, "(" * 1_900, "'" * 1_900, "[1," * 600, '"' + "\\" * 1_900])
def test_nonsense_is_read_once(text: str) -> None:
    assert growing(text) == ""
