"""What using the database raises, and what callers are told of it."""

from __future__ import annotations

import asyncpg
import pytest

from hanse.database import DATABASE_ERRORS, as_hanse_error
from hanse.errors import DatabaseUnavailable


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        asyncpg.CannotConnectNowError(),
        asyncpg.InterfaceError("connection is closed"),
        # What the fault harness saw when PostgreSQL was killed between two messages of one operation.
        asyncpg.InternalClientError("cannot switch to state 11; another operation (2) is in progress"),
    ],
)
def test_whatever_the_driver_raises_when_the_server_dies_is_told_as_unavailable(error: Exception) -> None:
    assert isinstance(error, DATABASE_ERRORS)
    assert isinstance(as_hanse_error(error), DatabaseUnavailable)
