"""A unit whose one service is told things, served over gRPC, for the tests of dead letters. No broker is needed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import uuid4

from google.protobuf.message import Message
from sqlalchemy import Engine, create_engine, select, text

from hanse.database import with_driver
from hanse.errors import FailedPrecondition
from hanse.identity import Role
from hanse.log.events import Fact
from hanse.names import home_of
from hanse.rpc.client import remote_errors
from hanse.rpc.dead_letter_servicer import served
from hanse.runtime import Runtime
from hanse.telling.inbox import Effect
from hanse.telling.receiving import Receiver, open_engine
from hanse.work import CommandExecutor, Work
from hanse_protos.log.v1.log_pb2 import Event, LogRecord
from hanse_protos.telling.v1 import dead_letters_pb2 as pb
from hanse_protos.telling.v1.dead_letters_pb2_grpc import DeadLetterServiceStub
from hanse_protos.ticket.v1 import events_pb2 as events
from hanse_protos.ticket.v1.ticket_pb2 import EngagementSummary
from tests.integration.hanse.told import EFFECT, SCHEMA, note
from tests.support import Caller, Serve, record_of

UNIT, REACTION = "units/shanghai", "told.on_ticket"
TICKET, OTHER = f"{UNIT}/tickets/a", f"{UNIT}/tickets/b"


def refuse(work: Work, fact: Fact) -> None:
    """Do half of something and fail, as a defect does."""
    note(work, fact)
    work.tell(fact.event.resource, events.TicketResolved())
    raise FailedPrecondition("the reason")


@dataclass
class LetterUnit:
    """The unit: what it is told fails by `broken`, and a retry does `mended`; both may be changed by a test."""

    runtime: Runtime
    executor: CommandExecutor
    engine: Engine
    broken: dict[type[Message], Effect]
    mended: dict[type[Message], Effect]
    caller: Caller | None = None
    engines: list[Engine] = field(default_factory=list)

    @classmethod
    async def create(cls, runtime: Runtime, executor: CommandExecutor, serve: Serve) -> LetterUnit:
        engine = create_engine(with_driver(runtime.settings.database_url, "psycopg"))
        with engine.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA {SCHEMA.name}"))
            SCHEMA.metadata.create_all(connection)
        every = (events.TicketOpened, events.TicketCommented, events.TicketResolved, events.EngagementAccepted)
        broken: dict[type[Message], Effect] = dict.fromkeys(every, note)
        mended: dict[type[Message], Effect] = dict.fromkeys(every, note)
        unit = cls(runtime, executor, engine, broken | {events.TicketOpened: refuse}, mended)
        service = served(runtime.database, {SCHEMA.name: executor}, {SCHEMA.name: unit.mended})
        unit.caller = await serve(runtime, [service])
        return unit

    def stub(self, *roles: Role) -> Any:
        assert self.caller
        return DeadLetterServiceStub(self.caller.channel(*roles or (Role.OPERATIONS,), actor="agents/wei"))

    async def tell(self, payload: Message, resource: str = TICKET, *, trace: str = "") -> LogRecord:
        """Have the reaction be told a fact, and return it."""
        writer, about = home_of(resource), cast(Any, payload)
        if isinstance(payload, events.EngagementAccepted):
            payload.engagement.MergeFrom(EngagementSummary(name=resource, home=writer, provider=writer))
        else:
            about.ticket.name = resource
        record = record_of(payload, resource, unit=writer)
        event = Event.FromString(record.event)
        event.trace_context = trace
        record.event = event.SerializeToString()
        await self.receive(record.SerializeToString())
        return record

    async def receive(self, message: bytes) -> None:
        """Have the reaction receive a message; it waits for nothing between its tries."""
        engine = open_engine(self.runtime.settings.database_url)
        self.engines.append(engine)
        receiver = Receiver(engine, SCHEMA, UNIT, sleep=lambda _seconds: None)
        await asyncio.to_thread(receiver.receive, message, self.broken, REACTION)

    async def letters(self, *, resolved: bool = False) -> list[pb.DeadLetter]:
        request = pb.ListDeadLettersRequest(parent=f"{UNIT}/services/-", show_resolved=resolved)
        with remote_errors():
            return list((await self.stub().ListDeadLetters(request)).dead_letters)

    async def states(self) -> Mapping[str, str]:
        """Return the state of every letter, by its event's id."""
        letters = await self.letters(resolved=True)
        return {letter.event_id: pb.DeadLetterState.Name(letter.state) for letter in letters}

    async def retry(self, name: str, request_id: str = "") -> pb.DeadLetter:
        request = pb.RetryDeadLetterRequest(name=name, request_id=request_id or str(uuid4()))
        with remote_errors():
            return await self.stub().RetryDeadLetter(request)

    async def discard(self, name: str, reason: str = "told by mistake") -> pb.DeadLetter:
        request = pb.DiscardDeadLetterRequest(name=name, reason=reason, request_id=str(uuid4()))
        with remote_errors():
            return await self.stub().DiscardDeadLetter(request)

    def effects(self) -> list[str]:
        """Return the ids of the events that had their effect, in the order of the effects."""
        with self.engine.connect() as connection:
            return list(connection.scalars(select(EFFECT.c.event_id).order_by(EFFECT.c.number)))

    def close(self) -> None:
        for engine in (self.engine, *self.engines):
            engine.dispose()


def id_of(record: LogRecord) -> str:
    return Event.FromString(record.event).event_id


def name_of(record: LogRecord) -> str:
    return f"{UNIT}/services/told/deadLetters/{id_of(record)}.on_ticket"
