"""The gates that every request passes, over real gRPC with TLS."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from hanse.errors import LogFork
from hanse.identity import Role, TokenSigner
from hanse.rpc.call import current_caller
from hanse.rpc.client import RemoteError, remote_errors
from hanse.rpc.server import MAX_MESSAGE_BYTES, Served
from hanse.runtime import Runtime
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import service_pb2_grpc as stubs
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from tests.support import TOKEN_LIFETIME, Caller, MakeRuntime, MakeUnitFolder, Serve

SHANGHAI, MUNICH = "units/shanghai", "units/munich"
SERVICE = "hanse_protos.ticket.v1.TicketService"
SECRET = "password=hunter2"
METADATA_LIMIT_BYTES = 8_192
"""What a gRPC client takes of trailers by default."""
NO_DATABASE = "postgresql://postgres@127.0.0.1:1/none"

Errors = dict[str, Exception]


class Desk(stubs.TicketServiceServicer):
    """Answers with what it was asked, or fails as it was told."""

    def __init__(self, errors: Errors) -> None:
        self._errors = errors

    async def CreateTicket(self, request: rpc.CreateTicketRequest, context: Any) -> pb.Ticket:  # noqa: N802
        return request.ticket

    async def GetTicket(self, request: rpc.GetTicketRequest, context: Any) -> pb.Ticket:  # noqa: N802
        if error := self._errors.get("GetTicket"):
            raise error
        return pb.Ticket(name=request.name, assignee=current_caller().actor)


@pytest.fixture
def errors() -> Errors:
    """What the servicer is to fail with, by rpc."""
    return {}


@pytest.fixture
def runtime(make_runtime: MakeRuntime) -> Runtime:
    return make_runtime(SHANGHAI, database_url=NO_DATABASE)


@pytest.fixture
async def caller(runtime: Runtime, serve: Serve, errors: Errors) -> Caller:
    desk = Desk(errors)  # What it has not is not implemented, which is an answer too.
    return await serve(runtime, [Served(SERVICE, stubs.add_TicketServiceServicer_to_server, desk)])


async def get(channel: grpc.aio.Channel) -> pb.Ticket:
    return await stubs.TicketServiceStub(channel).GetTicket(rpc.GetTicketRequest(name=f"{SHANGHAI}/tickets/1"))


async def refusal(call: Any) -> RemoteError:
    with pytest.raises(RemoteError) as caught, remote_errors():
        await call
    return caught.value


async def send(channel: grpc.aio.Channel, method: str, content: bytes) -> pb.Ticket:
    """Send bytes as they are, as a client of another make may."""
    call = channel.unary_unary(
        f"/{SERVICE}/{method}", request_serializer=lambda content: content, response_deserializer=pb.Ticket.FromString
    )
    return await call(content)


def creation(**ticket: Any) -> rpc.CreateTicketRequest:
    fields: dict[str, Any] = {"title": "Dark", "category": "display", "priority": pb.P1} | ticket
    return rpc.CreateTicketRequest(parent=SHANGHAI, ticket=pb.Ticket(**fields), request_id=str(uuid4()))


# Who calls.


async def test_a_caller_with_a_token_and_a_role_is_served_under_its_name(caller: Caller) -> None:
    assert (await get(caller.channel(Role.AGENT, actor="agents/wu"))).assignee == f"{SHANGHAI}/agents/wu"


async def test_a_missing_token_is_refused(caller: Caller) -> None:
    error = await refusal(get(caller.channel_with(None)))
    assert (error.code, error.reason, "authorization" in error.hint) == (
        grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING", True,
    )  # fmt: skip


@pytest.mark.parametrize("token", ["x", "a.b.c", "é", "eyJhbGciOiJub25lIn0.e30."])
async def test_a_garbled_token_is_refused(caller: Caller, token: str) -> None:
    channel = caller.channel_with(None)
    metadata = (("authorization", f"Bearer {token.encode('ascii', 'replace').decode()}"),)
    call = stubs.TicketServiceStub(channel).GetTicket(
        rpc.GetTicketRequest(name=f"{SHANGHAI}/tickets/1"), metadata=metadata
    )
    assert (await refusal(call)).reason == "TOKEN_INVALID"


async def test_an_expired_token_is_refused(caller: Caller, runtime: Runtime) -> None:
    token = runtime.signer.mint(f"{SHANGHAI}/agents/li", [Role.AGENT], timedelta(seconds=-1))
    error = await refusal(get(caller.channel_with(token)))
    assert (error.code, error.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_EXPIRED")


async def test_a_token_of_another_unit_is_refused(caller: Caller, unit_folder: MakeUnitFolder) -> None:
    token = TokenSigner(unit_folder(MUNICH) / "token.key", MUNICH).mint("a", [Role.AGENT], TOKEN_LIFETIME)
    error = await refusal(get(caller.channel_with(token)))
    assert (error.reason, error.metadata["issuer"]) == ("TOKEN_FOREIGN", MUNICH)


async def test_a_token_in_this_units_name_that_another_unit_signed_is_refused(
    caller: Caller, unit_folder: MakeUnitFolder
) -> None:
    token = TokenSigner(unit_folder(MUNICH) / "token.key", SHANGHAI).mint("a", [Role.AGENT], TOKEN_LIFETIME)
    assert (await refusal(get(caller.channel_with(token)))).reason == "TOKEN_SIGNATURE_INVALID"


async def test_a_caller_without_the_role_is_told_which_roles_may(caller: Caller) -> None:
    error = await refusal(get(caller.channel(Role.PARTNER)))
    assert (error.code, error.reason, Role.AGENT in error.metadata["needed"]) == (
        grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING", True,
    )  # fmt: skip


async def test_a_caller_without_the_role_is_refused_before_the_request_is_read(caller: Caller) -> None:
    assert (await refusal(send(caller.channel(Role.PARTNER), "GetTicket", b"\xff\xff"))).reason == "ROLE_MISSING"


async def test_an_rpc_that_the_server_does_not_have_is_not_implemented(caller: Caller) -> None:
    error = await refusal(send(caller.channel(Role.AGENT), "NoSuchRpc", b""))
    assert error.code == grpc.StatusCode.UNIMPLEMENTED


# What is asked.


async def test_a_text_in_broken_utf8_is_named(caller: Caller) -> None:
    content = creation(title="XXXX").SerializeToString().replace(b"XXXX", b"\xff\xfe\xc3(")
    error = await refusal(send(caller.channel(Role.AGENT), "CreateTicket", content))
    assert (error.code, error.reason, error.metadata["fields"]) == (
        grpc.StatusCode.INVALID_ARGUMENT, "VALIDATION_FAILED", "ticket.title",
    )  # fmt: skip


async def test_a_text_with_a_nul_is_named(caller: Caller) -> None:
    error = await refusal(stubs.TicketServiceStub(caller.channel(Role.AGENT)).CreateTicket(creation(product="a\0b")))
    assert (error.reason, error.metadata["fields"]) == ("VALIDATION_FAILED", "ticket.product")


@pytest.mark.parametrize("content", [b"\xff\xff\xff", b"\x0a\xff", b"\x08"])
async def test_what_is_no_message_is_refused(caller: Caller, content: bytes) -> None:
    error = await refusal(send(caller.channel(Role.AGENT), "CreateTicket", content))
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "VALIDATION_FAILED")


async def test_an_oversized_field_is_named(caller: Caller) -> None:
    error = await refusal(stubs.TicketServiceStub(caller.channel(Role.AGENT)).CreateTicket(creation(title="x" * 201)))
    assert (error.reason, error.metadata["fields"]) == ("VALIDATION_FAILED", "ticket.title")


async def test_every_field_that_is_wrong_is_named_at_once(caller: Caller) -> None:
    request = creation(title="", category="", priority=99)
    error = await refusal(stubs.TicketServiceStub(caller.channel(Role.AGENT)).CreateTicket(request))
    assert error.metadata["fields"] == "ticket.title, ticket.category, ticket.priority"


async def test_a_message_beyond_the_limit_is_refused(caller: Caller) -> None:
    channel = caller.channel_with(None)
    error = await refusal(send(channel, "CreateTicket", b"x" * (MAX_MESSAGE_BYTES + 1)))
    assert error.code == grpc.StatusCode.RESOURCE_EXHAUSTED


# What goes wrong.


async def test_a_defect_is_internal_and_its_text_stays_inside(caller: Caller, errors: Errors) -> None:
    errors["GetTicket"] = RuntimeError(SECRET)
    error = await refusal(get(caller.channel(Role.AGENT)))
    assert (error.code, error.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert SECRET not in f"{error} {error.hint} {error.metadata}"


@pytest.mark.parametrize("broken", [ConnectionRefusedError(SECRET), asyncpg.CannotConnectNowError(SECRET)])
async def test_a_database_that_does_not_answer_is_unavailable(
    caller: Caller, errors: Errors, broken: Exception
) -> None:
    errors["GetTicket"] = broken
    error = await refusal(get(caller.channel(Role.AGENT)))
    assert (error.code, error.reason, SECRET in str(error)) == (
        grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE", False,
    )  # fmt: skip


async def test_an_error_carries_its_hint_and_its_metadata(caller: Caller, errors: Errors) -> None:
    errors["GetTicket"] = LogFork("forked", hint="Ask a person.", stream="s", from_="1")
    error = await refusal(get(caller.channel(Role.AGENT)))
    assert (error.code, str(error), error.hint, error.metadata) == (
        grpc.StatusCode.DATA_LOSS, "forked", "Ask a person.", {"stream": "s", "from": "1"},
    )  # fmt: skip


async def trailers_of(call: Any) -> int:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    sizes = (len(key) + len(value) for key, value in caught.value.trailing_metadata())
    return sum(sizes) + 3 * len((caught.value.details() or "").encode())


async def test_hundreds_of_broken_rules_fit_into_the_trailers(caller: Caller) -> None:
    change = rpc.HistoricChange(holder="x" * 500, tier=9, agent="!" * 100)
    request = rpc.ImportTicketsRequest(
        parent=SHANGHAI,
        tickets=[rpc.HistoricTicket(external_id="界" * 50, changes=[change] * 5)] * 100,
        request_id=str(uuid4()),
    )
    call = stubs.TicketServiceStub(caller.channel(Role.OPERATIONS)).ImportTickets(request)
    assert await trailers_of(call) < METADATA_LIMIT_BYTES


async def test_a_very_long_error_is_cut_to_fit_and_keeps_its_hint(caller: Caller, errors: Errors) -> None:
    errors["GetTicket"] = LogFork("界" * 10_000, hint="Ask a person.", **{f"fact{n}": "界" * 900 for n in range(50)})
    error = await refusal(get(caller.channel(Role.AGENT)))
    assert (error.code, error.hint, str(error)[-1]) == (grpc.StatusCode.DATA_LOSS, "Ask a person.", "…")


# What anybody may ask.


async def test_health_answers_without_a_token(caller: Caller) -> None:
    stub = health_pb2_grpc.HealthStub(caller.channel_with(None))
    for service in ("", SERVICE):
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_reflection_lists_the_services_without_a_token(caller: Caller) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(caller.channel_with(None))
    call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    answers = [answer async for answer in call]
    assert SERVICE in {service.name for service in answers[0].list_services_response.service}
