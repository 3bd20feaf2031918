"""Where two holders of a stream disagree."""

from __future__ import annotations

import pytest

from hanse.errors import LogFork
from hanse.log.append import Head
from hanse_federation.link.forks import check_not_behind

STREAM = "units/munich/streams/ticket"
RECEIVED = Head(1, 10, b"hash")


@pytest.mark.parametrize("sender", [RECEIVED, Head(1, 11, b"later"), Head(2, 1, b"new epoch")])
def test_a_sender_at_or_past_what_was_received_is_well(sender: Head) -> None:
    check_not_behind(STREAM, sender, RECEIVED)


@pytest.mark.parametrize("sender", [Head(1, 9, b"hash"), Head(1, 10, b"other"), Head(1, 0, b"")])
def test_a_sender_that_lost_what_was_received_is_a_fork(sender: Head) -> None:
    with pytest.raises(LogFork):
        check_not_behind(STREAM, sender, RECEIVED)
