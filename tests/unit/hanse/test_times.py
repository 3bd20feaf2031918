"""Times in messages, and those that come from outside."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from hanse.errors import ValidationFailed
from hanse.times import instant, instant_in, put_time
from hanse_protos.log.v1.log_pb2 import Event


@pytest.mark.parametrize("at", [datetime(1970, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC),
                                datetime(2026, 11, 23, 1, 2, 3, 456_789, UTC)])  # fmt: skip
def test_a_time_that_is_put_into_a_field_is_there_to_the_microsecond(at: datetime) -> None:
    event = Event()
    put_time(event.occur_time, at)
    assert event.HasField("occur_time") and instant(event.occur_time) == at


def test_no_time_leaves_a_field_without_a_value() -> None:
    event = Event()
    put_time(event.occur_time, None)
    assert not event.HasField("occur_time")


@pytest.mark.parametrize(
    "value",
    [Timestamp(nanos=-1), Timestamp(nanos=10**9), Timestamp(seconds=2**40), Timestamp(seconds=-(2**63))],
    ids=str,
)
def test_a_time_that_no_calendar_knows_is_refused_with_its_field(value: Timestamp) -> None:
    with pytest.raises(ValidationFailed) as refused:
        instant_in("period.start_time", value)
    assert refused.value.metadata == {"fields": "period.start_time"}
