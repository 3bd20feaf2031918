"""The call that is being served: who calls, and in which trace."""

from contextvars import ContextVar

from google.protobuf.message import Message

from hanse.errors import TokenMissing
from hanse.identity import Caller
from hanse.telemetry import current_traceparent
from hanse.work import Cause

_caller: ContextVar[Caller | None] = ContextVar("caller", default=None)


def set_caller(caller: Caller | None) -> None:
    """Remember who makes the call that is being served."""
    _caller.set(caller)


def current_caller() -> Caller:
    """Return who makes the call that is being served. Raises TokenMissing outside of one."""
    caller = _caller.get()
    if caller is None:
        raise TokenMissing
    return caller


def cause_of(request: Message) -> Cause:
    """Return on whose account a command is done: the caller, the request's id, the trace."""
    caller = current_caller()
    return Cause(
        actor=caller.actor,
        request_id=getattr(request, "request_id", ""),
        trace_context=current_traceparent(),
        roles=caller.roles,
    )
