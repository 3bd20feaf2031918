"""From Python's times to protobuf's and back."""

from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp


def timestamp(value: datetime) -> Timestamp:
    """Return an aware instant as a Timestamp."""
    message = Timestamp()
    message.FromDatetime(value)
    return message


def duration(value: timedelta) -> Duration:
    """Return a length of time as a Duration."""
    message = Duration()
    message.FromTimedelta(value)
    return message


def instant(value: Timestamp) -> datetime:
    """Return a Timestamp as an aware instant in UTC, to the microsecond."""
    return value.ToDatetime(tzinfo=UTC)


def put_time(field: Timestamp, value: datetime | None) -> None:
    """Set a timestamp field, unless there is no value."""
    if value is not None:
        field.FromDatetime(value)
