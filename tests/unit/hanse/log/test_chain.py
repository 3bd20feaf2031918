"""The hash chain: every part of a record's place and content is in its hash."""

from __future__ import annotations

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from hanse.log.chain import EMPTY_HASH, chain_hash

PLACES = st.tuples(st.binary(max_size=32), st.text(max_size=9), st.integers(1, 9), st.integers(1, 9), st.binary())


def test_the_hash_is_what_the_contract_says() -> None:
    content = b"\x01" * 32 + b"units/a/streams/b\0" + (2).to_bytes(4, "big") + (3).to_bytes(8, "big") + b"event"
    assert chain_hash(b"\x01" * 32, "units/a/streams/b", 2, 3, b"event") == sha256(content).digest()


def test_every_part_of_a_record_changes_its_hash() -> None:
    hashes = {
        chain_hash(EMPTY_HASH, "s", 1, 1, b"e"),
        chain_hash(b"x", "s", 1, 1, b"e"),
        chain_hash(EMPTY_HASH, "t", 1, 1, b"e"),
        chain_hash(EMPTY_HASH, "s", 2, 1, b"e"),
        chain_hash(EMPTY_HASH, "s", 1, 2, b"e"),
        chain_hash(EMPTY_HASH, "s", 1, 1, b"f"),
    }
    assert len(hashes) == 6


@given(PLACES)
def test_a_hash_has_32_bytes_and_is_the_same_every_time(place: tuple[bytes, str, int, int, bytes]) -> None:
    assert chain_hash(*place) == chain_hash(*place)
    assert len(chain_hash(*place)) == 32
