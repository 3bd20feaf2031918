"""What goes wrong on a link, in words: for the unit's status, and for the other end."""

import grpc

from hanse.database import DATABASE_ERRORS, as_hanse_error
from hanse.errors import FactUnreadable, HanseError, LogFork, LogGap, LogQuarantined, UnitUnreachable
from hanse.rpc.client import RemoteError, remote_error

StreamProblem = LogFork | LogQuarantined | LogGap | FactUnreadable
"""What is wrong with one stream of a link, and with no other: each names the stream."""
STREAM_PROBLEMS = (LogFork, LogQuarantined, LogGap, FactUnreadable)

REFUSED = (LogFork.reason, LogQuarantined.reason, FactUnreadable.reason)
"""Why a receiver takes a stream no further: at a gap it says where to go on, and the sender tries that first."""

CUT_SHORT = (grpc.StatusCode.INTERNAL, "Internal error from Core")
"""What grpc.aio reports where a call ended while something was being written: then that failure may be seen before the
other end's own reason, which is lost. The next link brings it again."""


def known_problem(error: Exception) -> HanseError | RemoteError | None:
    """Return why a link ended; None for a reason that nobody foresaw."""
    if isinstance(error, HanseError | RemoteError):
        return error
    if isinstance(error, grpc.RpcError):
        if (error.code(), error.details()) == CUT_SHORT:
            return UnitUnreachable("the link ended while a frame was being sent")
        return remote_error(error)
    return as_hanse_error(error) if isinstance(error, DATABASE_ERRORS) else None


def in_words(error: Exception) -> str:
    """Return why a link ended, as it is shown: the reason, and what happened."""
    problem = known_problem(error)
    return f"{problem.reason}: {problem}" if problem else f"INTERNAL: {type(error).__name__}"
