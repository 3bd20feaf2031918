"""Calling a service from an activity: the request's id, and what an error means for trying again."""

from collections.abc import Awaitable
from datetime import timedelta
from typing import TypeVar
from uuid import UUID, uuid5

import grpc
from temporalio import activity
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from hanse.discreet import discreet
from hanse.rpc.client import remote_error

CALL_TIMEOUT_SECONDS = 4.0
"""The deadline of a call. A service answers in milliseconds; what takes longer is asked again as the same request."""
ACTIVITY_TIMEOUT = timedelta(seconds=5)
"""How long one try of an activity may take: so late is noticed that a worker was killed in the middle of one."""

TRY_FOR_EVER = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2.0, maximum_interval=timedelta(seconds=30)
)
"""A service may be down for days. When it is back, nobody waits longer than 30 seconds for the next try."""

_HOPELESS = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.FAILED_PRECONDITION,
    }
)
"""What a service answers when repeating the same request cannot help."""

_REQUEST_IDS = UUID("6f0c1a52-6f0e-5e0a-9d1b-3a6f6f1f7c11")
"""The namespace of the request ids that are made here (RFC 9562, version 5)."""

Response = TypeVar("Response")


def request_id() -> str:
    """Return the id of the request that the current activity makes: the same at every try, and no other's."""
    info = activity.info()
    return str(uuid5(_REQUEST_IDS, f"{info.workflow_id}/{info.workflow_run_id}/{info.activity_id}"))


async def answer_of(call: Awaitable[Response]) -> Response:
    """Return what a service answers.

    Raises ApplicationError with the service's reason as its type; Temporal tries again unless that is hopeless.
    """
    try:
        return await call
    except grpc.RpcError as error:
        remote = remote_error(error)
        hopeless = remote.code in _HOPELESS
        raise ApplicationError(
            f"{remote} {remote.hint}".strip(),
            type=remote.reason,
            non_retryable=hopeless,
            # A service that is away is no news for each process at each try; the reconciler logs it once.
            category=ApplicationErrorCategory.UNSPECIFIED if hopeless else ApplicationErrorCategory.BENIGN,
        ) from error


def text_of(error: BaseException) -> str:
    """Return what the log may say of a service, a database or a Temporal that did not answer."""
    return str(remote_error(error)) if isinstance(error, grpc.RpcError) else discreet(error)
