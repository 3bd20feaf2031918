"""Page tokens: opaque, and refused where we did not make them."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanse.errors import PageTokenInvalid
from hanse.rpc.paging import decode_token, encode_token, page_size

NAMES = st.text(st.characters(categories=["L", "N", "P"]))


def made_up(key: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


@given(st.integers(0, 2**63 - 1), NAMES, st.datetimes(timezones=st.just(UTC)))
def test_a_token_gives_back_its_key(number: int, name: str, time: datetime) -> None:
    assert decode_token(encode_token(time, number, name), [datetime, int, str]) == [time, number, name]


def test_an_empty_token_is_the_first_page() -> None:
    assert decode_token("", [int]) is None


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        ("%", int),
        ("界", int),
        (made_up({"a": 1}), int),
        (made_up([]), int),
        (made_up([1, 2]), int),
        (made_up(["1"]), int),
        (made_up([True]), int),
        (made_up([1.0]), int),
        (made_up([-1]), int),
        (made_up([2**63]), int),
        (made_up([1]), str),
        (made_up(["a\0b"]), str),
        (made_up(["\ud800"]), str),
        (made_up(["yesterday"]), datetime),
        (made_up(["2026-01-01T00:00:00"]), datetime),
        (made_up([0]), datetime),
    ],
)
def test_a_token_that_we_did_not_make_is_refused(token: str, kind: type) -> None:
    with pytest.raises(PageTokenInvalid):
        decode_token(token, [kind])


@given(st.text(max_size=100))
def test_no_text_at_all_breaks_the_decoder(token: str) -> None:
    try:
        decode_token(token, [str, int])
    except PageTokenInvalid:
        return


def test_a_page_has_fifty_unless_it_is_said_and_a_thousand_at_most() -> None:
    assert [page_size(0), page_size(7), page_size(5_000)] == [50, 7, 1_000]
