"""Chinese, German and English become the same kind of words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanse_services.knowledge.words import (
    MAX_SNIPPET_CHARACTERS,
    MAX_WORD_CHARACTERS,
    in_letters,
    normalise,
    query_words,
    snippet,
    words_of,
)

PLENTY = 1_000


def test_traditional_characters_become_simplified() -> None:
    assert words_of("顯示屏電源", PLENTY) == words_of("显示屏电源", PLENTY)


def test_chinese_is_cut_into_long_words_and_the_short_ones_inside_them() -> None:
    assert {"显示", "显示屏"} <= set(words_of("更换显示屏", PLENTY))


@pytest.mark.parametrize(
    ("one", "other"),
    [("Störung", "STOERUNG"), ("Größe", "groesse"), ("ＬＥＤ", "led"), ("Café", "cafe"), ("u\u0308ber", "ueber")],
)
def test_what_makes_no_difference_to_a_search_is_folded(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)


def test_letters_beside_chinese_are_words_of_their_own() -> None:
    assert words_of("X200型LED屏", PLENTY) == ["x200", "型", "led", "屏"]


def test_words_of_a_query_that_say_nothing_are_left_out() -> None:
    assert query_words("Wie ist das Netzteil zu tauschen?", PLENTY) == ["netzteil", "tauschen"]


def test_a_query_of_nothing_but_such_words_keeps_them() -> None:
    assert query_words("was ist das", PLENTY) == ["was", "ist", "das"]


def test_a_query_without_words_has_none() -> None:
    assert query_words("… ?!", PLENTY) == []


def test_no_more_words_come_than_asked_for() -> None:
    assert words_of("eins zwei drei vier", 2) == ["eins", "zwei"]


@pytest.mark.parametrize(("word", "expected"), [("netzteil", True), ("led", False), ("显示屏电源", False)])
def test_only_longer_words_in_letters_are_compared_letter_by_letter(word: str, expected: bool) -> None:
    assert in_letters(word) is expected


@given(st.text())
def test_words_hold_letters_and_digits_only(text: str) -> None:
    words = words_of(text, PLENTY)
    assert all(word.isalnum() and len(word) <= MAX_WORD_CHARACTERS for word in words)


def test_a_snippet_is_the_passage_with_most_of_the_words() -> None:
    body = "Kunde meldet einen Ausfall. Das Netzteil der Anzeige ist defekt. Netzteile sind auf Lager."
    assert snippet([body], query_words("defektes Netzteil", PLENTY)) == "Das Netzteil der Anzeige ist defekt."


def test_a_long_snippet_is_shortened() -> None:
    assert len(snippet(["Netzteil " * PLENTY], ["netzteil"])) == MAX_SNIPPET_CHARACTERS


def test_without_text_the_snippet_is_empty() -> None:
    assert snippet([""], ["netzteil"]) == ""
