"""API keys say whose they are, and are never stored."""

from __future__ import annotations

import pytest

from hanse_gateway.partner.keys import digest_of, new_key, partner_in


@pytest.mark.parametrize("partner_id", ["acme", "a", "north-sea-2"])
def test_a_key_says_whose_it_is(partner_id: str) -> None:
    assert partner_in(new_key(partner_id)) == f"partners/{partner_id}"


def test_no_two_keys_are_the_same() -> None:
    assert new_key("acme") != new_key("acme")


def test_the_digest_of_a_key_has_32_bytes() -> None:
    assert len(digest_of(new_key("acme"))) == 32


@pytest.mark.parametrize("text", ["", "acme", "hk_acme", "hk_acme_short", "hk_ACME_" + "x" * 43, "hk_acme_" + "x" * 44])
def test_what_is_no_key_is_nobodys(text: str) -> None:
    assert partner_in(text) is None
