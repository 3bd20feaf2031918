"""Saying what went wrong without repeating what people told us.

A log line, a span and a workflow's history leave a unit more easily than a table does, so none of them may quote a
row. Errors do quote: PostgreSQL's DETAIL shows the values that clash, a driver shows the value that it can't take, and
`ValueError(text)` is anybody's. So an error is described by what we know to be harmless: its type; the words of our
own errors, which name resources and rules; SQLSTATE and constraint of the database's; the addresses and reasons of
connections. Of any other error it says where it was raised, which is what a developer needs to find the line.
"""

import logging
import sys
import traceback
from types import TracebackType
from typing import TextIO

from hanse.errors import HanseError

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def discreet(error: BaseException) -> str:
    """Return what may be said of an error outside of the unit's database."""
    kind = type(error).__name__
    cause = getattr(error, "orig", None) or error
    if sqlstate := getattr(cause, "sqlstate", None):
        constraint = _constraint_of(cause)
        return f"{kind}: {type(cause).__name__} ({sqlstate}){f' of {constraint}' if constraint else ''}"
    if isinstance(cause, HanseError | OSError) or _is_of_a_server(cause):
        return f"{kind}: {cause}"
    return f"{kind}{_place_of(error)}"


def _constraint_of(cause: object) -> str:
    """Return the constraint that was broken, from either driver's error."""
    name = getattr(cause, "constraint_name", None) or getattr(getattr(cause, "diag", None), "constraint_name", None)
    if name is None and isinstance(cause, BaseException) and cause.__cause__ is not None:
        # SQLAlchemy wraps the errors of asyncpg once more.
        return _constraint_of(cause.__cause__)
    return str(name or "")


def _is_of_a_server(error: BaseException) -> bool:
    """Whether an error is about a server that did not answer: drivers' connection errors, gRPC's, Temporal's."""
    # By name: the process of the reactions may import neither gRPC nor Temporal. An OperationalError that has an
    # SQLSTATE has been described by that; without one it says why there is no connection.
    return bool({kind.__name__ for kind in type(error).__mro__} & {"RemoteError", "RPCError", "OperationalError"})


def _place_of(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f" at {frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name}" if frames else ""


def discreet_traceback(error: BaseException) -> str:
    """Return an error with its causes and where each was raised, in lines, and without what its variables held."""
    lines = []
    if (earlier := error.__cause__ or (None if error.__suppress_context__ else error.__context__)) is not None:
        lines += [discreet_traceback(earlier), "\n…, and then:\n\n"]
    lines += ["Traceback (most recent call last):\n", *traceback.format_tb(error.__traceback__), discreet(error)]
    if isinstance(error, BaseExceptionGroup):
        lines += [f"\n\nOne of its errors:\n{discreet_traceback(each)}" for each in error.exceptions]
    return "".join(lines)


def write_traceback(stream: TextIO, exc_info: ExcInfo) -> None:
    """Write an error as structlog's renderer asks for it."""
    stream.write(f"\n{discreet_traceback(exc_info[1])}\n")


class DiscreetFormatter(logging.Formatter):
    """Formats what libraries log, their errors included."""

    def formatException(self, ei: object) -> str:  # noqa: N802 - named by the standard library.
        """Return an error in lines."""
        return discreet_traceback(ei[1]) if isinstance(ei, tuple) and ei[1] is not None else ""


def print_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print an error that ends the process; a `sys.excepthook`."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    print(discreet_traceback(error), file=sys.stderr)
