"""Sessions on a unit's database, for asyncio processes and for nameko's.

Domain code is written once, as plain functions over a synchronous `Session`. Asyncio processes run it over asyncpg
(`Database`, through SQLAlchemy's greenlet bridge); eventlet processes run it over psycopg (`hanse.telling.reacting`).
"""

import time
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

import asyncpg
from sqlalchemy import event
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from hanse.errors import Aborted, DatabaseUnavailable, HanseError, ValidationFailed
from hanse.session import UnitSession

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

POOL_SIZE = 5
MAX_OVERFLOW = 10
IDLE_IN_TRANSACTION_TIMEOUT_MS = 60_000
"""A transaction that is forgotten open is ended: it would hold locks and keep vacuum from its work."""
LOCK_TIMEOUT_MS = 5_000
"""A command that can't get its row in this time gives up; its caller tries again with the same request id."""
FRESH_SECONDS = 1.0
"""A connection that was in use so recently is not asked whether it still works, since asking takes three round trips,
nearly as many as a short transaction. That the server has closed it is known without asking; that a line broke without
a word is not, but then it breaks within transactions as well, and whoever runs them is prepared for it."""

DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""What asyncpg raises. The internal one comes where the server dies between two messages of one operation."""
DATABASE_ERRORS = (DBAPIError, PoolTimeoutError, *DRIVER_ERRORS)
"""What using the database raises: SQLAlchemy does not wrap what comes from connecting, nor asyncpg's internal error."""

_DATA_STATES = ("22", "54")
"""The classes of SQLSTATE in which PostgreSQL refuses a value itself: as none of its type, or as too large."""

# PostgreSQL's classes and codes of errors that are about the server and pass by themselves: no connection, rolled back
# as a deadlock's victim, a lock that took too long, out of resources, shutting down, an I/O error.
_PASSING_STATES = ("08", "40", "55P03", "53", "57P", "58")


def is_passing(error: Exception) -> bool:
    """Return whether an error is about the database server, not about what it was asked."""
    if not isinstance(error, DBAPIError):
        return False
    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        return isinstance(error, OperationalError | InterfaceError)
    return error.connection_invalidated or state.startswith(_PASSING_STATES)


def as_hanse_error(error: Exception) -> HanseError:
    """Return what a caller is told of one of DATABASE_ERRORS that did not pass."""
    if isinstance(error, IntegrityError | asyncpg.IntegrityConstraintViolationError):
        return Aborted("the change clashes with another one", hint="Read the resource again and decide anew.")
    if _is_about_value(error.orig if isinstance(error, DBAPIError) else error):
        return ValidationFailed("a value of the request can't be stored", hint="Correct it; a repeat can't help.")
    return DatabaseUnavailable()


def is_about_server(error: Exception) -> bool:
    """Return whether an error is about the database server, and not about the rows and values that it was given.

    As `is_passing`, and for what asyncpg raises by itself too.
    """
    return isinstance(error, DATABASE_ERRORS) and isinstance(as_hanse_error(error), DatabaseUnavailable)


def _is_about_value(cause: BaseException | None) -> bool:
    if str(getattr(cause, "sqlstate", "")).startswith(_DATA_STATES):
        return True
    # asyncpg refuses a value of its own accord with an error that is a ValueError too; SQLAlchemy keeps it as a cause.
    return any(isinstance(each, ValueError) for each in (cause, getattr(cause, "__cause__", None)))


def with_driver(url: str, driver: str) -> str:
    """Return a `postgresql://` URL with a SQLAlchemy driver, "asyncpg" or "psycopg"."""
    return make_url(url).set(drivername=f"postgresql+{driver}").render_as_string(hide_password=False)


def _split_encryption(url: str) -> tuple[str, str]:
    """Return a URL without what libpq calls `sslmode`, `sslrootcert` and so on, and a URL of nothing else.

    SQLAlchemy passes a URL's options to asyncpg as arguments, where these are not known; asyncpg reads them from a URL.
    """
    parsed = make_url(url)
    options = {name: value for name, value in parsed.query.items() if name.startswith("ssl")}
    plain = parsed.difference_update_query(options).render_as_string(hide_password=False)
    return plain, URL.create("postgresql", query=options).render_as_string()


class Database:
    """The database of a unit, as an asyncio process uses it."""

    def __init__(self, url: str, *, pool_size: int = POOL_SIZE) -> None:
        self.url = url
        settings = {
            "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_TIMEOUT_MS),
            "lock_timeout": str(LOCK_TIMEOUT_MS),
            "jit": "off",
        }
        plain_url, encryption = _split_encryption(url)
        self.engine = create_async_engine(
            with_driver(plain_url, "asyncpg"),
            pool_size=pool_size,
            max_overflow=MAX_OVERFLOW,
            # An error that quoted its statement's parameters would carry a customer's words into a log.
            hide_parameters=True,
            connect_args={"server_settings": settings, "dsn": encryption},
        )
        _replace_broken(self.engine.sync_engine)

    async def read(
        self,
        query: Callable[Concatenate[Session, Parameters], Result],
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Result:
        """Run a query function in a session, and leave no change behind."""
        async with AsyncSession(self.engine, sync_session_class=UnitSession, expire_on_commit=False) as session:
            return await session.run_sync(query, *args, **kwargs)

    async def write(
        self,
        change: Callable[Concatenate[Session, Parameters], Result],
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Result:
        """Run a function in one transaction, and commit it; an exception rolls it back."""
        async with AsyncSession(self.engine, sync_session_class=UnitSession, expire_on_commit=False) as session:
            return await session.run_sync(_in_transaction, lambda session: change(session, *args, **kwargs))

    async def close(self) -> None:
        """Close the connections."""
        await self.engine.dispose()


def _in_transaction(session: Session, change: Callable[[Session], Result]) -> Result:
    with session.begin():
        return change(session)


_USED_SECONDS = "hanse.used_seconds"
"""Where the pool keeps when a connection came back to it, by the monotonic clock; a new one never has."""


def _replace_broken(engine: Engine) -> None:
    """Let the pool replace connections that don't work any more before it hands them out."""

    def check_in(_connection: object, entry: ConnectionPoolEntry) -> None:
        entry.info[_USED_SECONDS] = time.monotonic()

    def check_out(connection: Any, entry: ConnectionPoolEntry, _proxy: object) -> None:
        used_seconds = entry.info.get(_USED_SECONDS)
        if used_seconds is None:
            return
        is_fresh = time.monotonic() - used_seconds < FRESH_SECONDS
        if connection.driver_connection.is_closed() or not (is_fresh or _answers(engine, connection)):
            raise InvalidatePoolError

    event.listen(engine, "checkin", check_in)
    event.listen(engine, "checkout", check_out)


def _answers(engine: Engine, connection: Any) -> bool:
    try:
        return engine.dialect.do_ping(connection)
    except engine.dialect.loaded_dbapi.Error:
        return False
