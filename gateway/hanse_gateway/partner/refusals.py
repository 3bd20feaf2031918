"""What the desk refuses, in the gateway's own words.

An error of the ticket service is not passed through: it speaks of another contract, and may tell a partner what is
none of its business. What the partner can act on keeps its reason; what it can only wait for is UNAVAILABLE; all else
is ours, and goes to our log.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import structlog

from hanse.errors import (
    HanseError,
    IllegalTransition,
    PageTokenInvalid,
    PolicyMissing,
    RequestIdReused,
    ResourceNotFound,
    Unavailable,
    ValidationFailed,
)
from hanse.policy.errors import CategoryUnknown, ServiceUnknown
from hanse.rpc.client import RemoteError, remote_errors

PARTNERS_ACT_ON: dict[str, type[HanseError]] = {
    error.reason: error
    for error in (
        CategoryUnknown,
        IllegalTransition,
        PageTokenInvalid,
        RequestIdReused,
        ResourceNotFound,
        ServiceUnknown,
        ValidationFailed,
    )
}
PARTNERS_WAIT_FOR = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
    }
)
TOLD_METADATA = frozenset({"category", "fields", "from", "resource", "service", "verb"})
"""What is told of the case. A request id is not: the one that the desk knows is not the partner's."""

_HINTS: dict[type[HanseError], str] = {
    IllegalTransition: "Read it again: in its present state it does not take this step.",
}

logger = structlog.get_logger(__name__)


@contextmanager
def desk_refusals() -> Iterator[None]:
    """Turn what the desk refuses inside the block into an error of the gateway."""
    try:
        with remote_errors():
            yield
    except RemoteError as error:
        raise own_error(error) from error


def own_error(error: RemoteError) -> HanseError:
    """Return what a partner is told of an error of the desk."""
    if kind := PARTNERS_ACT_ON.get(error.reason):
        told = {name: value for name, value in error.metadata.items() if name in TOLD_METADATA}
        return kind(hint=_HINTS.get(kind), **told)
    if error.reason == PolicyMissing.reason:
        return Unavailable("The unit takes no tickets yet.", hint="Try again later, with the same request id.")
    if error.code in PARTNERS_WAIT_FOR:
        return Unavailable()
    logger.error("the desk refused the gateway", code=error.code.name, reason=error.reason, error=str(error))
    return HanseError()
