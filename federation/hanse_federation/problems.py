"""What goes wrong on a link, in words: for the unit's status, and for the other end."""

import asyncpg
import grpc
from sqlalchemy.exc import DBAPIError

from hanse.errors import DatabaseUnavailable, HanseError, ValidationFailed
from hanse.rpc.client import RemoteError, remote_error

DATABASE_ERRORS = (DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
"""What a database raises through SQLAlchemy, and through the driver where COPY goes to it directly."""

DATA_EXCEPTION = "22"
"""The SQLSTATE class of values that the database can't take, such as a text with a zero byte."""


def from_database(error: Exception) -> HanseError:
    """Return a database's error as one of ours: the sender's fault, or one that passes."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, asyncpg.DataError) or (getattr(cause, "sqlstate", None) or "").startswith(DATA_EXCEPTION):
        return ValidationFailed("a record holds a value that can't be stored")
    return DatabaseUnavailable()


def known_problem(error: Exception) -> HanseError | RemoteError | None:
    """Return why a link ended; None for a reason that nobody foresaw."""
    if isinstance(error, HanseError | RemoteError):
        return error
    if isinstance(error, grpc.RpcError):
        return remote_error(error)
    return from_database(error) if isinstance(error, DATABASE_ERRORS) else None


def in_words(error: Exception) -> str:
    """Return why a link ended, as it is shown: the reason, and what happened."""
    problem = known_problem(error)
    return f"{problem.reason}: {problem}" if problem else f"INTERNAL: {type(error).__name__}"
