"""Whatever one end of a link sends, the other ends the link with a typed reason, and takes the next one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from hanse.cli.schemas import migrate_all
from hanse.config import Settings
from hanse.local.ports import LOOPBACK
from hanse.local.postgres import EmbeddedPostgres
from hanse.names import downstream_name
from hanse.rpc.client import remote_error
from hanse.runtime import Runtime
from hanse_federation.link.agent import EXCHANGE, Agent
from hanse_protos.federation.v1.link_pb2 import HubFrame, RecordBatch, UnitFrame, Welcome
from hanse_protos.log.v1.log_pb2 import SealedField
from tests.batches import altered, chained
from tests.fuzz.effort import FUZZED
from tests.fuzz.strategies import Known, mutated, requests
from tests.fuzz.target import ANSWER_SECONDS, QUICK, Target, answers, checked
from tests.integration.hanse_federation.group import batch_of, hello
from tests.integration.hanse_federation.scripted import scripted_hub, speak_as
from tests.support import MakeUnitFolder

MUNICH = "units/munich"
DOWNSTREAM = downstream_name(MUNICH)
MAX_FRAMES = 6
KNOWN = Known(
    (MUNICH, "units/shanghai", "units/munich/streams/ticket", "units/munich/streams/policy", DOWNSTREAM),
    (("unit", (MUNICH,)), ("stream", ("units/munich/streams/ticket", DOWNSTREAM)), ("reason", ("LOG_FORK", ""))),
)
BREAK_OFF_SECONDS = 0.05
"""For how long the scripted hub waits before it ends a link, so that what it sent is read."""
UNSENT = "Internal error from Core"
"""What gRPC's own client says, and not the hub, where the link has ended in the moment in which it sends a frame: then
it loses the hub's reason."""


def conversations(
    frame_class: type[Message], first: bytes, wrap: Callable[[RecordBatch], bytes], sound: RecordBatch
) -> st.SearchStrategy[list[bytes]]:
    """Return what an end may say: mostly a proper beginning, then frames of all kinds, sound, odd and broken."""
    odd = requests(frame_class, KNOWN).map(lambda frame: frame.SerializeToString())
    frames = st.one_of(odd, odd, mutated(frame_class, KNOWN), st.just(wrap(sound)), tampered(sound).map(wrap))
    beginning: st.SearchStrategy[list[bytes]] = st.one_of(st.just([first]), st.just([first]), st.just([]))
    return st.tuples(beginning, st.lists(frames, max_size=MAX_FRAMES)).map(lambda parts: [*parts[0], *parts[1]])


@st.composite
def tampered(draw: Callable[..., Any], sound: RecordBatch) -> RecordBatch:
    """Return a batch that is sound but for one thing."""
    index = draw(st.integers(0, len(sound.events) - 1))
    batch = RecordBatch()
    batch.CopyFrom(sound)
    match draw(st.integers(0, 8)):
        case 0:
            return altered(sound, index, event=sound.events[index] + draw(st.binary(min_size=1, max_size=20)))
        case 1:
            return altered(sound, index, hash=draw(st.binary(max_size=40)))
        case 2:
            batch.first_sequence = draw(st.sampled_from([2, 7, 2**62, 2**63 - 1]))
        case 3:
            batch.epoch = draw(st.sampled_from([2, 2**31 - 1]))
        case 4:
            batch.previous_hash = draw(st.binary(max_size=32))
        case 5:
            batch.stream = draw(
                st.sampled_from(["units/shanghai/streams/ticket", "units/munich/streams/\0", "x" * 120])
            )
        case 6:
            return altered(
                sound, index, sealed=[SealedField(field="title", salt=b"x", value=draw(st.text(max_size=20)))]
            )
        case 7:
            # Its hash is right: only decoding it finds out.
            batch = chained(sound.stream, [*sound.events[:index], draw(st.binary(max_size=20)), *sound.events[index:]])
        case _:
            # Fields of a record that is none, or of one twice.
            for of_record in draw(st.lists(st.sampled_from([-1, 0, len(sound.events), 2**31 - 1]), min_size=1)):
                batch.sealed.add(index=of_record)
    return batch


# Headquarters' end.


async def converse(target: Target, frames: list[bytes]) -> None:
    """Speak to the hub as Munich, and hear it end the link for a reason that has a type."""
    async with speak_as(target.unit_folder(MUNICH), target.hub.port) as exchange:
        call = exchange(_said(frames), timeout=ANSWER_SECONDS)
        try:
            async for _ in call:
                pass
        except grpc.aio.AioRpcError as error:
            reason = UNSENT if error.details() == UNSENT else checked(EXCHANGE, remote_error(error))
            answers[f"hub.{EXCHANGE.rpartition('.')[2]}"][reason] += 1
        else:
            pytest.fail("the hub ended a link without a reason")
    async with target.runtime.database.engine.begin() as connection:
        # A quarantine would keep every later input from reaching the code behind it.
        await connection.execute(text("DELETE FROM federation.quarantine"))


async def _said(frames: list[bytes]) -> AsyncIterator[bytes]:
    for frame in frames:
        yield frame


def test_the_hub_ends_a_link_for_a_typed_reason_whatever_a_unit_sends(target: Target) -> None:
    def wrap(batch: RecordBatch) -> bytes:
        return UnitFrame(unit=MUNICH, batch=batch).SerializeToString()

    @FUZZED
    @given(conversations(UnitFrame, hello(MUNICH).SerializeToString(), wrap, batch_of(MUNICH, 3)))
    def send(frames: list[bytes]) -> None:
        target.run(converse(target, frames))

    send()
    target.run(target.goes_on())


# The unit's end.


@dataclass
class ShoutingHub:
    """A hub that says what it is told to, to an agent that dials it again and again."""

    frames: list[bytes] = field(default_factory=list)
    dialled: asyncio.Event = field(default_factory=asyncio.Event)

    async def exchange(self, _requests: AsyncIterator[bytes], _context: Any) -> AsyncIterator[bytes]:
        self.dialled.set()
        for frame in self.frames:
            yield frame
        await asyncio.sleep(BREAK_OFF_SECONDS)

    async def next_dial(self) -> None:
        """Wait until the agent dials anew."""
        self.dialled.clear()
        async with asyncio.timeout(ANSWER_SECONDS):
            await self.dialled.wait()


@dataclass
class AgentTarget:
    """Munich's agent, the hub that it dials, and where both run."""

    runtime: Runtime
    hub: ShoutingHub
    task: asyncio.Task[None]
    run: Callable[[Coroutine[Any, Any, Any]], Any]

    async def hear(self, frames: list[bytes]) -> None:
        """Have the agent hear frames, and end the link for a reason that has a type."""
        self.hub.frames = frames
        await self.hub.next_dial()
        # The one that follows it comes after the agent has noted why the last one ended.
        await self.hub.next_dial()
        async with self.runtime.database.engine.begin() as connection:
            noted = str(await connection.scalar(text("SELECT last_error FROM federation.link WHERE \"end\" = 'AGENT'")))
            await connection.execute(text("DELETE FROM federation.quarantine"))
        reason = noted.partition(":")[0]
        answers["agent.FederationService/Exchange"][reason] += 1
        assert reason not in {"INTERNAL", "UNKNOWN", "DATABASE_UNAVAILABLE", ""}, noted
        assert not self.task.done()


@pytest.fixture(scope="module")
async def agent(postgres: EmbeddedPostgres, unit_folder: MakeUnitFolder) -> AsyncIterator[AgentTarget]:
    """Munich's agent, which dials a hub that is not one."""
    url = await postgres.ensure_database("fuzz_unit")
    migrate_all(url)
    hub = ShoutingHub()
    async with scripted_hub(unit_folder, hub.exchange) as address:
        settings = {
            "unit": MUNICH, "folder": unit_folder(MUNICH), "database_url": url, "broker_url": "redis://127.0.0.1:1/0",
            "temporal_address": f"{LOOPBACK}:1", "temporal_namespace": "fuzz", "serve_address": f"{LOOPBACK}:1",
            "gateway_address": f"{LOOPBACK}:1", "hub_address": address,
        }  # fmt: skip
        runtime = Runtime(Settings.model_validate(settings))
        task = asyncio.create_task(Agent(runtime, timing=QUICK).run())
        yield AgentTarget(runtime, hub, task, asyncio.get_running_loop().run_until_complete)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await runtime.close()


def test_the_agent_ends_a_link_for_a_typed_reason_whatever_headquarters_sends(agent: AgentTarget) -> None:
    def wrap(batch: RecordBatch) -> bytes:
        return HubFrame(batch=batch).SerializeToString()

    sound = chained(DOWNSTREAM, batch_of(MUNICH, 3).events)
    welcome = HubFrame(welcome=Welcome(credit=100, downstream=DOWNSTREAM)).SerializeToString()

    @FUZZED
    @given(conversations(HubFrame, welcome, wrap, sound))
    def send(frames: list[bytes]) -> None:
        agent.run(agent.hear(frames))

    send()
