"""What the tests of the federation are made of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
from google.protobuf.message import Message
from sqlalchemy.orm import Session

from hanse.local.line import Line
from hanse.local.ports import LOOPBACK, free_port
from hanse.log.append import Entry, Head, append
from hanse.log.events import Origin, new_event
from hanse.log.follow import START, StoredRecord, read_after, read_head
from hanse.log.verify import Verification, verify
from hanse.names import HEADQUARTERS, downstream_name, stream_name
from hanse.policy.store import PolicyStore
from hanse.rpc.client import remote_errors
from hanse.runtime import Runtime
from hanse.schema import ServiceSchema
from hanse.work import Cause, CommandExecutor
from hanse_federation.headquarters.forwarding import forward_decisions
from hanse_federation.headquarters.views import list_units
from hanse_federation.link.agent import Agent
from hanse_federation.link.end import Timing
from hanse_federation.link.frames import PROTOCOL_VERSION
from hanse_federation.link.hub import Hub
from hanse_federation.membership.register import admit_unit
from hanse_federation.model import LOG, MIGRATIONS, SCHEMA, UPSTREAM_SERVICES
from hanse_protos.federation.v1.group_pb2 import ListUnitsRequest
from hanse_protos.federation.v1.link_pb2 import Hello, HubFrame, RecordBatch, UnitFrame
from hanse_protos.federation.v1.link_pb2_grpc import FederationServiceStub
from hanse_protos.federation.v1.membership_pb2 import AdmitUnitRequest, Member
from hanse_protos.policy.v1.policy_pb2 import Policy
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as ticket
from tests.batches import chained
from tests.support import OCCUR_TIME, MakeRuntime, small_policy

QUICK = Timing(
    heartbeat_seconds=0.1, silence_seconds=3.0, welcome_seconds=3.0, first_delay_seconds=0.05, last_delay_seconds=0.2
)
"""A link that notices everything soon."""
WAIT_SECONDS = 60.0
"""Nothing here takes a second on an idle machine; a busy one gets its time."""
BARE_SERVICE = Path(__file__).parent / "bare_service"
"""Migrations of a service that has a log and nothing else."""
EVERYTHING = 1_000_000


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not await condition():  # noqa: ASYNC110 - what is waited for happens in other processes' databases.
            await asyncio.sleep(0.02)


@dataclass
class Unit:
    """A unit, with its agent, and the line that the agent dials headquarters over."""

    runtime: Runtime
    line: Line
    hq: Runtime
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.runtime.unit

    async def tell(
        self,
        *payloads: tuple[str, Message],
        service: str = "ticket",
        sealed: Mapping[str, str] | None = None,
        policy_version: int = 0,
    ) -> None:
        """Append facts to one of the unit's streams, as its service does: resource and payload each."""
        origin = Origin(self.name, f"{self.name}/agents/li", policy_version=policy_version)
        entries = [new_event(origin, resource, payload, OCCUR_TIME, sealed) for resource, payload in payloads]
        await self.append(entries, service)

    async def append(self, entries: list[Entry], service: str = "ticket") -> None:
        """Append entries to one of the unit's streams."""
        log = ServiceSchema(service).log
        await self.runtime.database.write(append, log, stream_name(self.name, service), entries)

    async def open_tickets(self, count: int, first: int = 1) -> None:
        """Open some tickets."""
        names = [f"{self.name}/tickets/t{number}" for number in range(first, first + count)]
        await self.tell(*((name, told.TicketOpened(ticket=summary(name))) for name in names))

    def start(self, timing: Timing = QUICK) -> None:
        """Let the agent run."""
        self.tasks.append(asyncio.create_task(Agent(self.runtime, timing=timing).run()))

    async def stop(self) -> None:
        """End the agent, as a killed process would."""
        for task in self.tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self.tasks.clear()

    async def sent(self, service: str = "ticket") -> list[StoredRecord]:
        """Return one of the unit's own streams."""
        log = ServiceSchema(service).log
        return await self.runtime.database.read(read_after, log, stream_name(self.name, service), START, EVERYTHING)

    async def taken(self, service: str = "ticket") -> list[StoredRecord]:
        """Return headquarters' copy of one of the unit's streams."""
        return await self.hq.database.read(read_after, LOG, stream_name(self.name, service), START, EVERYTHING)

    async def told(self) -> list[StoredRecord]:
        """Return the unit's copy of headquarters' stream to it."""
        return await self.runtime.database.read(read_after, LOG, downstream_name(self.name), START, EVERYTHING)

    async def told_types(self) -> list[str]:
        """Return what headquarters has told the unit, by the events' short types."""
        return [record.type.rsplit(".", 1)[-1] for record in await self.told()]

    async def agrees(self) -> bool:
        """Return whether both ends of the link have the same heads, in both directions."""
        down = downstream_name(self.name)
        pairs = [(down, await self.runtime.database.read(read_head, LOG, down))]
        for service in UPSTREAM_SERVICES:
            stream = stream_name(self.name, service)
            pairs.append((stream, await self.runtime.database.read(read_head, ServiceSchema(service).log, stream)))
        return all([head == await self.hq.database.read(read_head, LOG, stream) for stream, head in pairs])

    async def caught_up(self) -> None:
        """Wait until both ends agree."""
        await eventually(self.agrees)

    async def head(self, stream: str) -> Head:
        """Return where a stream of the federation's schema ends in this unit."""
        return await self.runtime.database.read(read_head, LOG, stream)

    async def verification(self, stream: str) -> Verification:
        """Verify a stream of the federation's schema in this unit."""
        return await self.runtime.database.read(verify, LOG, stream)

    async def enact(self, policy: Policy) -> None:
        """Put a policy in force, as the reaction does."""
        await enact(self.runtime, policy)


async def enact(runtime: Runtime, policy: Policy) -> None:
    """Put a policy in force in the federation of a unit."""
    await runtime.database.write(_enact, policy)


def _enact(session: Session, policy: Policy) -> None:
    PolicyStore(SCHEMA).enact(session, policy)


class Group:
    """Headquarters, and how units come to it."""

    def __init__(self, make_runtime: MakeRuntime, stack: AsyncExitStack) -> None:
        self._make_runtime = make_runtime
        self.stack = stack

    async def start(self) -> None:
        """Start headquarters' hub."""
        self.hq = self._runtime(HEADQUARTERS, hub_listen_address=f"{LOOPBACK}:{free_port()}")
        # The tests' authority issues into folders of its own.
        self.hq.settings.authority_folder = self.hq.settings.folder.parents[1]
        await self._listen(self.hq)
        self.now = OCCUR_TIME
        self.executor = CommandExecutor(self.hq.database, SCHEMA, HEADQUARTERS, clock=lambda: self.now)
        self.executor.after_append = forward_decisions
        self.stack.push_async_callback(self.executor.close)
        await self.start_hub()

    async def start_hub(self, timing: Timing = QUICK) -> None:
        """Start a hub, a new one after the old one was stopped."""
        self.hub = Hub(self.hq, timing=timing)
        await self.hub.start()
        self.stack.push_async_callback(self.hub.stop)

    def _runtime(self, name: str, **settings: object) -> Runtime:
        services = [(ServiceSchema(service), BARE_SERVICE) for service in UPSTREAM_SERVICES]
        return self._make_runtime(name, (SCHEMA, MIGRATIONS), *services, **settings)

    async def _listen(self, runtime: Runtime) -> None:
        task = asyncio.create_task(runtime.wakeup.run())
        self.stack.push_async_callback(end, task)

    async def unit(self, name: str, *, agent: bool = True, folder: Path | None = None) -> Unit:
        """Add a unit with a line of its own: as a member, unless it has a folder of its own, with a certificate."""
        if folder is None:
            await self.admit(name)
        line = Line(LOOPBACK, self.hub.port)
        await self.stack.enter_async_context(line)
        if name == HEADQUARTERS:
            runtime = self.hq
            runtime.settings.hub_address = line.address
        else:
            own_folder = {"folder": folder} if folder else {}
            runtime = self._runtime(name, hub_address=line.address, **own_folder)
            await self._listen(runtime)
        unit = Unit(runtime, line, self.hq)
        self.stack.push_async_callback(unit.stop)
        if agent:
            unit.start()
        return unit

    async def admit(self, name: str) -> None:
        """Make a unit a member, as headquarters' administrator does."""
        if name != HEADQUARTERS:
            await self.execute(admit_unit, AdmitUnitRequest(unit=name), Member)

    async def execute(self, command: Any, request: Any, answer_type: Any) -> Any:
        """Let headquarters decide something."""
        request.request_id = str(uuid4())
        return await self.executor.execute(
            command, request, Cause("units/hq/services/escalation", request.request_id), answer_type
        )

    def later(self, **length: float) -> None:
        """Let time pass for headquarters' decisions."""
        self.now += timedelta(**length)

    async def enact(self, policy: Policy | None = None) -> None:
        """Put a policy in force at headquarters."""
        await enact(self.hq, policy or small_policy())


async def end(task: asyncio.Task[Any]) -> None:
    """End a task."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def converse(
    group: Group, frames: Sequence[UnitFrame], *, certificate: Path | None, until: str = "acknowledgement"
) -> HubFrame:
    """Speak to the hub as whoever has the certificate in a folder; return the first answer of a kind."""
    authority = group.hq.settings.tls.authority.read_bytes()
    pair = [(certificate / name).read_bytes() for name in ("unit.key", "unit.crt")] if certificate else [None, None]
    credentials = grpc.ssl_channel_credentials(authority, *pair)
    async with grpc.aio.secure_channel(f"{LOOPBACK}:{group.hub.port}", credentials) as channel:
        with remote_errors():
            async with asyncio.timeout(WAIT_SECONDS):
                call = FederationServiceStub(channel).Exchange(_say(frames))
                async for frame in call:
                    if frame.WhichOneof("frame") == until:
                        return frame
    raise AssertionError(f"the hub closed the link without a word of {until}")


async def _say(frames: Sequence[UnitFrame]) -> AsyncIterator[UnitFrame]:
    for frame in frames:
        yield frame
    await asyncio.sleep(WAIT_SECONDS)


def hello(unit: str) -> UnitFrame:
    """Return the first frame of a unit that has nothing."""
    return UnitFrame(unit=unit, hello=Hello(protocol_version=PROTOCOL_VERSION, credit=100))


def batch_of(unit: str, count: int = 1, first: int = 1, previous: bytes = b"", writer: str = "") -> RecordBatch:
    """Return a sound batch of a unit's ticket stream."""
    origin, names = Origin(writer or unit, "tests"), [f"{unit}/tickets/t{first + index}" for index in range(count)]
    events = [new_event(origin, name, told.TicketOpened(ticket=summary(name)), OCCUR_TIME).event for name in names]
    return chained(stream_name(unit, "ticket"), events, first=first, previous=previous)


async def start_unit(group: Group, name: str) -> Unit:
    """Add a unit and wait until its link is up."""
    unit = await group.unit(name)
    await linked(unit)
    return unit


async def linked(unit: Unit) -> None:
    """Wait until the link of a unit is up, as headquarters shows it."""

    async def is_reachable() -> bool:
        answer = await unit.hq.database.read(list_units, ListUnitsRequest())
        return any(status.unit == unit.name and status.reachable for status in answer.units)

    await eventually(is_reachable)


def summary(name: str, **fields: Any) -> ticket.TicketSummary:
    """Return a ticket's summary, without text."""
    values: dict[str, Any] = {
        "state": ticket.NEW, "priority": ticket.P2, "category": "display", "tier": 1,
        "holder": "/".join(name.split("/")[:2]), "open_time": OCCUR_TIME, "language": "zh-CN",
    }  # fmt: skip
    return ticket.TicketSummary(name=name, **{**values, **fields})


def engagement_summary(name: str, **fields: Any) -> ticket.EngagementSummary:
    """Return an engagement's summary as its home unit writes it."""
    ticket_name = name.rsplit("/engagements/", 1)[0]
    values: dict[str, Any] = {
        "state": ticket.REQUESTED, "home": "/".join(name.split("/")[:2]), "ticket": summary(ticket_name),
        "request_time": OCCUR_TIME, "policy_version": 1,
    }  # fmt: skip
    return ticket.EngagementSummary(name=name, **{**values, **fields})
