"""The log service lists and verifies whatever the unit's schemas hold."""

from typing import TYPE_CHECKING

import grpc
import pytest
from sqlalchemy import text

from hanse.identity import Role
from hanse.log.append import append
from hanse.log.events import Origin, new_event
from hanse.migrations import service_migrations
from hanse.rpc.client import RemoteError, remote_errors
from hanse.rpc.log_servicer import served
from hanse.runtime import Runtime
from hanse.schema import ServiceSchema
from hanse_federation.model import LOG, MIGRATIONS, SCHEMA
from hanse_protos.log.v1.log_pb2 import ListStreamsRequest, VerifyStreamRequest, VerifyStreamResponse
from hanse_protos.log.v1.log_pb2_grpc import LogServiceStub
from hanse_protos.ticket.v1.events_pb2 import TicketOpened
from tests.support import OCCUR_TIME, MakeRuntime, Serve

if TYPE_CHECKING:
    from hanse_protos.log.v1.log_pb2_grpc import LogServiceAsyncStub

UNIT = "units/munich"
STREAM = f"{UNIT}/streams/ticket"


@pytest.fixture
async def runtime(make_runtime: MakeRuntime) -> Runtime:
    """A unit whose one schema holds one stream of five records."""
    runtime = make_runtime(UNIT, (SCHEMA, MIGRATIONS))
    entries = [
        new_event(Origin(UNIT, f"{UNIT}/agents/li"), f"{UNIT}/tickets/t{number}", TicketOpened(), OCCUR_TIME)
        for number in range(5)
    ]
    await runtime.database.write(append, LOG, STREAM, entries)
    return runtime


@pytest.fixture
async def stub(runtime: Runtime, serve: Serve) -> "LogServiceAsyncStub":
    """The service, as somebody of operations calls it."""
    caller = await serve(runtime, [served(runtime.database, [LOG])])
    return LogServiceStub(caller.channel(Role.OPERATIONS))


async def verify(stub: "LogServiceAsyncStub", stream: str = STREAM) -> VerifyStreamResponse:
    """Ask for a stream to be verified."""
    with remote_errors():
        return await stub.VerifyStream(VerifyStreamRequest(stream=stream))


async def test_streams_are_listed_with_their_heads(stub: "LogServiceAsyncStub") -> None:
    [head] = (await stub.ListStreams(ListStreamsRequest())).streams
    assert (head.stream, head.epoch, head.sequence, len(head.hash)) == (STREAM, 1, 5, 32)


async def test_an_intact_stream_verifies_to_its_head(stub: "LogServiceAsyncStub") -> None:
    [head] = (await stub.ListStreams(ListStreamsRequest())).streams
    verified = await verify(stub)
    assert (verified.intact, verified.records, verified.head.hash) == (True, 5, head.hash)


async def test_an_edited_record_is_found(stub: "LogServiceAsyncStub", runtime: Runtime) -> None:
    async with runtime.database.engine.begin() as connection:
        await connection.execute(text("UPDATE federation.log_record SET event = event || '\\x00' WHERE sequence = 3"))
    verified = await verify(stub)
    assert (verified.intact, verified.head.sequence) == (False, 2)
    assert verified.problem


async def test_each_holder_of_a_stream_is_shown(make_runtime: MakeRuntime, serve: Serve) -> None:
    desk = ServiceSchema("ticket").log
    runtime = make_runtime(UNIT, (SCHEMA, MIGRATIONS), service_migrations("hanse_services.ticket"))
    for log, count in ((desk, 3), (LOG, 2)):
        entries = [
            new_event(Origin(UNIT, "tests"), f"{UNIT}/tickets/t{number}", TicketOpened(), OCCUR_TIME)
            for number in range(count)
        ]
        await runtime.database.write(append, log, STREAM, entries)
    async with runtime.database.engine.begin() as connection:
        await connection.execute(text("UPDATE federation.log_record SET event = event || '\\x00' WHERE sequence = 2"))
    caller = await serve(runtime, [served(runtime.database, [desk, LOG])])
    verified = await verify(LogServiceStub(caller.channel(Role.OPERATIONS)))
    shown = {holder.schema: (holder.intact, holder.records) for holder in verified.holders}
    assert (verified.intact, shown) == (False, {"ticket": (True, 3), "federation": (False, 1)})


async def test_an_unknown_stream_is_not_found(stub: "LogServiceAsyncStub") -> None:
    with pytest.raises(RemoteError) as raised:
        await verify(stub, "units/munich/streams/nothing")
    assert raised.value.code == grpc.StatusCode.NOT_FOUND
