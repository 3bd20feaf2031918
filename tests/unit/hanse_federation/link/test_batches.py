"""Records in columns, as they travel."""

from __future__ import annotations

from hanse.log.append import EMPTY_HEAD
from hanse_federation.link.batches import batch_after, size_of
from hanse_protos.log.v1.log_pb2 import SealedField


def test_granted_texts_count_in_the_size_of_a_batch_which_bounds_how_much_is_under_way() -> None:
    events, hashes = [b"event"] * 2, [bytes(32)] * 2
    bare = batch_after("units/munich/streams/ticket", EMPTY_HEAD, events, hashes, {})
    text = SealedField(field="description", salt=bytes(16), value="x" * 10_000)
    granted = batch_after("units/munich/streams/ticket", EMPTY_HEAD, events, hashes, {1: [text]})
    assert (size_of(bare), size_of(granted) > 10_000) == (10, True)
