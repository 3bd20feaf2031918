"""Calling: channels with TLS, a token and the trace; a peer's status as a typed error."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from hanse.identity import Role, TokenSigner
from hanse.rpc.server import KEEPALIVE_OPTIONS, MAX_MESSAGE_BYTES
from hanse.telemetry import TRACEPARENT, current_traceparent

CALL_TIMEOUT_SECONDS = 10.0
"""The deadline of a unary call whose caller names none."""
SERVICE_TOKEN_LIFETIME = timedelta(minutes=10)
"""How long a worker's token lasts."""

CHANNEL_OPTIONS = [
    *KEEPALIVE_OPTIONS,
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
]


class RemoteError(Exception):
    """What a peer answered instead of a result. It says which reason the peer gave; it is not an error of ours."""

    def __init__(self, code: grpc.StatusCode, reason: str, message: str, hint: str, metadata: dict[str, str]) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.hint = hint
        self.metadata = metadata


def remote_error(error: grpc.RpcError) -> RemoteError:
    """Return a gRPC error as a RemoteError; a status without ErrorInfo has the code's name as its reason."""
    code: grpc.StatusCode = error.code()
    message: str = error.details() or code.name
    status = rpc_status.from_call(error)
    for detail in status.details if status else ():
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            metadata = dict(info.metadata)
            return RemoteError(code, info.reason, message, metadata.pop("hint", ""), metadata)
    return RemoteError(code, code.name, message, _HINTS.get(code, ""), {})


_HINTS = {
    grpc.StatusCode.UNAVAILABLE: "Is the server up? `hanse status` shows what runs.",
    grpc.StatusCode.DEADLINE_EXCEEDED: "It took too long; send it again with the same request id.",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "The message is too large; send less at once.",
}


@contextmanager
def remote_errors() -> Iterator[None]:
    """Turn gRPC errors raised inside the block into RemoteError."""
    try:
        yield
    except grpc.RpcError as error:
        raise remote_error(error) from error


TokenSource = Callable[[], str]
"""Returns a token for the next call."""


def service_tokens(signer: TokenSigner, actor: str, roles: frozenset[Role]) -> TokenSource:
    """Return a source of tokens for a worker of the unit. One is used for half of its life, then the next is minted."""
    token, fresh_until = "", 0.0

    def current() -> str:
        nonlocal token, fresh_until
        if time.monotonic() >= fresh_until:
            token = signer.mint(actor, roles, SERVICE_TOKEN_LIFETIME)
            fresh_until = time.monotonic() + SERVICE_TOKEN_LIFETIME.total_seconds() / 2
        return token

    return current


def fixed_token(token: str) -> TokenSource:
    """Return a source that always gives one token."""
    return lambda: token


class _CallMetadata:
    """Adds the token and the trace to each call."""

    def __init__(self, token: TokenSource | None, headers: dict[str, str] | None) -> None:
        self._token = token
        self._headers = headers or {}

    def complete(self, details: grpc.aio.ClientCallDetails, timeout: float | None) -> grpc.aio.ClientCallDetails:
        """Return the call's details with what every call carries."""
        metadata = grpc.aio.Metadata(*(details.metadata or ()), *self._headers.items())
        if self._token:
            metadata.add("authorization", f"Bearer {self._token()}")
        if traceparent := current_traceparent():
            metadata.add(TRACEPARENT, traceparent)
        return grpc.aio.ClientCallDetails(
            details.method, timeout, metadata, details.credentials, details.wait_for_ready
        )


# gRPC sorts an interceptor by the first kind that it is, so there is one class for each kind.


class _Unary(grpc.aio.UnaryUnaryClientInterceptor):
    """Completes unary calls, and gives a deadline to those that have none."""

    def __init__(self, call_metadata: _CallMetadata) -> None:
        self._call_metadata = call_metadata

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        timeout = client_call_details.timeout or CALL_TIMEOUT_SECONDS
        return await continuation(self._call_metadata.complete(client_call_details, timeout), request)


class _ServerStream(grpc.aio.UnaryStreamClientInterceptor):
    """Completes calls that are answered by a stream."""

    def __init__(self, call_metadata: _CallMetadata) -> None:
        self._call_metadata = call_metadata

    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        details = self._call_metadata.complete(client_call_details, client_call_details.timeout)
        return await continuation(details, request)


def open_channel(
    address: str,
    authority: Path,
    token: TokenSource | None = None,
    *,
    headers: dict[str, str] | None = None,
) -> grpc.aio.Channel:
    """Return a channel to a server of the group, which must show a certificate of the group's authority.

    The embedded default serves on loopback with a certificate for localhost.
    """
    call_metadata = _CallMetadata(token, headers)
    return grpc.aio.secure_channel(
        address,
        grpc.ssl_channel_credentials(authority.read_bytes()),
        options=CHANNEL_OPTIONS,
        interceptors=[_Unary(call_metadata), _ServerStream(call_metadata)],
    )
