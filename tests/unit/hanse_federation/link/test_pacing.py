"""How large batches get."""

from hanse_federation.link.frames import MAX_BATCH_BYTES
from hanse_federation.link.pacing import FIRST_BATCH_BYTES, GROWTH, LATE_SECONDS, SOON_SECONDS, Pace


def test_batches_grow_to_the_most_that_one_may_hold() -> None:
    pace = Pace()
    for _ in range(20):
        pace.acknowledged(0.0, 1)
    assert pace.batch_bytes == MAX_BATCH_BYTES


def test_batches_shrink_no_further_than_they_began() -> None:
    pace = Pace()
    for _ in range(20):
        pace.acknowledged(2 * LATE_SECONDS, 1)
    assert pace.batch_bytes == FIRST_BATCH_BYTES


def test_batches_that_wait_for_one_another_are_not_late() -> None:
    pace = Pace()
    pace.acknowledged(8 * SOON_SECONDS, 8)
    assert pace.batch_bytes == GROWTH * FIRST_BATCH_BYTES
