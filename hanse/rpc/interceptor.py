"""The four gates that every request passes, and the one place where errors become statuses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, NoReturn, Protocol

import grpc
import structlog
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from opentelemetry.trace import SpanKind

from hanse.database import DATABASE_ERRORS, as_hanse_error
from hanse.discreet import discreet
from hanse.errors import HanseError, RoleMissing, ValidationFailed
from hanse.identity import Caller, Role
from hanse.rpc.access import PUBLIC_PREFIXES, ROLES_BY_RPC, Otherwise
from hanse.rpc.call import set_caller
from hanse.rpc.texts import unfit_text
from hanse.telemetry import TRACEPARENT, span
from hanse.validation import validate

ERROR_DOMAIN = "hanse"
BEARER = "Bearer "
NOBODY: frozenset[Role] = frozenset()

# gRPC carries a status in the trailers, which clients take up to 8 kB of by default; a longer one reaches nobody. The
# message is in there twice: percent-encoded (3 bytes for each) and in the details in base64 (4 bytes for each 3).
MAX_STATUS_MESSAGE_BYTES = 1_200
MAX_STATUS_METADATA_BYTES = 1_200
MAX_METADATA_VALUE_BYTES = 400

Metadata = Mapping[str, str]
Context = grpc.aio.ServicerContext[Any, Any]

logger = structlog.get_logger(__name__)


class Authenticator(Protocol):
    """Turns a call's metadata into a caller, or raises a typed error."""

    async def __call__(self, metadata: Metadata) -> Caller: ...


class Gates(grpc.aio.ServerInterceptor):
    """Decodes, authenticates, authorises and validates every request; maps every error."""

    def __init__(self, authenticate: Authenticator) -> None:
        self._authenticate = authenticate

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wrap the handler of an rpc."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith(PUBLIC_PREFIXES):
            return handler
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(
                self._unary(method, handler), response_serializer=handler.response_serializer
            )
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(
                self._server_stream(method, handler), response_serializer=handler.response_serializer
            )
        return grpc.stream_stream_rpc_method_handler(
            self._stream(method, handler),
            request_deserializer=lambda content: content,
            response_serializer=handler.response_serializer,
        )

    def _unary(self, method: str, handler: Any) -> Callable[[bytes, Context], Awaitable[Message]]:
        async def serve(content: bytes, context: Context) -> Message:
            try:
                metadata = _metadata_of(context)
                with span(method, metadata.get(TRACEPARENT, ""), SpanKind.SERVER):
                    await self._admit(method, metadata)
                    request = _request(handler, content)
                    response: Message = await handler.unary_unary(request, context)
                    return response
            except Exception as error:
                await abort(context, method, error)

        return serve

    def _server_stream(self, method: str, handler: Any) -> Callable[[bytes, Context], AsyncIterator[Message]]:
        async def serve(content: bytes, context: Context) -> AsyncIterator[Message]:
            try:
                metadata = _metadata_of(context)
                await self._admit(method, metadata)
                request = _request(handler, content)
                async for response in handler.unary_stream(request, context):
                    yield response
            except Exception as error:
                await abort(context, method, error)

        return serve

    def _stream(self, method: str, handler: Any) -> Callable[[AsyncIterator[bytes], Context], AsyncIterator[Message]]:
        async def requests(contents: AsyncIterator[bytes]) -> AsyncIterator[Message]:
            async for content in contents:
                yield decode(handler.request_deserializer, content)

        async def serve(contents: AsyncIterator[bytes], context: Context) -> AsyncIterator[Message]:
            try:
                await self._admit(method, _metadata_of(context))
                async for response in handler.stream_stream(requests(contents), context):
                    yield response
            except Exception as error:
                await abort(context, method, error)

        return serve

    async def _admit(self, method: str, metadata: Metadata) -> None:
        """Authenticate and authorise. Raises a typed error before anything is decoded or looked up."""
        roles = ROLES_BY_RPC.get(method, NOBODY)
        if isinstance(roles, Otherwise):
            return
        caller = await self._authenticate(metadata)
        set_caller(caller)
        require_role(caller, roles)


def require_role(caller: Caller, roles: frozenset[Role]) -> None:
    """Raise RoleMissing unless the caller has one of the roles."""
    if not caller.roles & roles:
        raise RoleMissing(needed=", ".join(sorted(roles)) or "none: the rpc is closed", actor=caller.actor)


def _metadata_of(context: Context) -> Metadata:
    return {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}


def _request(handler: Any, content: bytes) -> Message:
    request = decode(handler.request_deserializer, content)
    if b"\0" in content and (path := unfit_text(request.DESCRIPTOR, content)):
        raise ValidationFailed(f"{path} holds a NUL character", hint="Leave it out.", fields=path)
    return request


def decode(deserialize: Callable[[bytes], Message], content: bytes) -> Message:
    """Decode a request and check the rules that its contract declares. Raises ValidationFailed."""
    try:
        request = deserialize(content)
    except (DecodeError, UnicodeDecodeError) as error:
        raise _undecodable(deserialize, content) from error
    validate(request)
    return request


def _undecodable(deserialize: Callable[[bytes], Message], content: bytes) -> ValidationFailed:
    path = unfit_text(deserialize(b"").DESCRIPTOR, content)
    if path:
        return ValidationFailed(f"{path} is not valid UTF-8", hint="Encode texts in UTF-8.", fields=path)
    return ValidationFailed("the request can't be decoded", hint="Send what the contract describes, as protobuf.")


async def abort(context: Context, method: str, error: Exception) -> NoReturn:
    """End a call with the status of an error."""
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if isinstance(error, DATABASE_ERRORS):
        logger.warning("an rpc failed at the database", rpc=method, error=discreet(error))
        error = as_hanse_error(error)
    elif not isinstance(error, HanseError):
        logger.exception("an rpc failed for a reason that has no type", rpc=method, exc_info=error)
        error = HanseError()
    await context.abort_with_status(rpc_status.to_status(status_of(error)))


def status_of(error: HanseError) -> status_pb2.Status:
    """Return the status of an error: its code, its message, its reason and its hint in an ErrorInfo; cut to fit."""
    details = any_pb2.Any()
    details.Pack(
        error_details_pb2.ErrorInfo(
            reason=error.reason, domain=ERROR_DOMAIN, metadata=_fitting({"hint": error.hint, **error.metadata})
        )
    )
    return status_pb2.Status(code=error.code, message=_cut(str(error), MAX_STATUS_MESSAGE_BYTES), details=[details])


def _fitting(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the first entries that fit into a status, each cut to size."""
    room, fitting = MAX_STATUS_METADATA_BYTES, {}
    for key, value in metadata.items():
        short = _cut(value, MAX_METADATA_VALUE_BYTES)
        room -= len(key.encode()) + len(short.encode())
        if room < 0:
            break
        fitting[key] = short
    return fitting


def _cut(text: str, size_bytes: int) -> str:
    content = text.encode(errors="replace")
    return text if len(content) <= size_bytes else content[: size_bytes - 3].decode(errors="ignore") + "…"
