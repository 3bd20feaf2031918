"""Etags are checked where they are given."""

from __future__ import annotations

import pytest

from hanse.errors import EtagMismatch
from hanse.etags import check_etag


@pytest.mark.parametrize("etag", ["", "v3"])
def test_a_caller_that_saw_what_there_is_or_does_not_say_may_change_it(etag: str) -> None:
    check_etag("units/munich/tickets/t1", "v3", etag)


def test_a_caller_that_saw_something_else_is_told_what_there_is() -> None:
    with pytest.raises(EtagMismatch) as raised:
        check_etag("units/munich/tickets/t1", "v3", "v2")
    assert raised.value.metadata == {"resource": "units/munich/tickets/t1", "etag": "v2", "current": "v3"}
