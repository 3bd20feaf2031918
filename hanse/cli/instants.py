"""Instants on the command line: how they are written, and that they are in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import overload

INSTANT_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"]
"""Midnight, to the minute, to the second."""


@overload
def in_utc(time: datetime) -> datetime: ...
@overload
def in_utc(time: None) -> None: ...
def in_utc(time: datetime | None) -> datetime | None:
    """Return a time that was given on the command line, which is in UTC."""
    return time.replace(tzinfo=UTC) if time else None
