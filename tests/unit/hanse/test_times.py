"""Times that come from outside."""

from __future__ import annotations

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from hanse.errors import ValidationFailed
from hanse.times import instant_in


@pytest.mark.parametrize(
    "value",
    [Timestamp(nanos=-1), Timestamp(nanos=10**9), Timestamp(seconds=2**40), Timestamp(seconds=-(2**63))],
    ids=str,
)
def test_a_time_that_no_calendar_knows_is_refused_with_its_field(value: Timestamp) -> None:
    with pytest.raises(ValidationFailed) as refused:
        instant_in("period.start_time", value)
    assert refused.value.metadata == {"fields": "period.start_time"}
