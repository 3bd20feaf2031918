"""What the shared fixtures hand out. Fixtures are in `conftest.py`; their types are here, for tests to name them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import grpc
from google.protobuf.message import Message

from hanse.clock import Clock, utc_now
from hanse.identity import Role
from hanse.log.chain import EMPTY_HASH, chain_hash
from hanse.log.events import Fact, Origin, new_event, payload_of
from hanse.log.follow import START, read_after
from hanse.names import stream_name
from hanse.policy import load_yaml
from hanse.rpc.client import fixed_token, open_channel
from hanse.rpc.server import RpcServer, Served, by_token
from hanse.runtime import Runtime
from hanse.schema import ServiceSchema
from hanse.telling.inbox import Effect, Inbox
from hanse.work import Cause, CommandExecutor, Work
from hanse_protos.log.v1.log_pb2 import Event, LogRecord, SealedFields
from hanse_protos.policy.v1.policy_pb2 import Policy

TOKEN_LIFETIME = timedelta(hours=12)
"""Longer than any run: `make fuzz` calls with one token for more than an hour."""
OCCUR_TIME = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
"""When the facts of tests happened, unless they say: a Monday, in working hours in Europe."""

MAX_TOLD = 10_000
"""How many facts `told` returns at most."""

Migrations = tuple[ServiceSchema, Path]
"""A service's schema and the folder of its migrations."""

MakeUnitFolder = Callable[[str], Path]
MakeDatabase = Callable[..., str]
"""`make_database(service_migrations("hanse_services.policy"), …)` returns the URL of a fresh, migrated database."""


class MakeRuntime(Protocol):
    """`make_runtime("units/shanghai", service_migrations("hanse_services.policy"), …)`; keywords replace settings."""

    def __call__(self, unit: str, *migrations: Migrations, **settings: object) -> Runtime: ...


MakeExecutor = Callable[[Runtime, ServiceSchema], CommandExecutor]
Serve = Callable[[Runtime, Iterable[Served]], Awaitable["Caller"]]


def cause_by(actor: str = "units/shanghai/agents/li") -> Cause:
    """Return a cause with a request id of its own."""
    return Cause(actor=actor, request_id=str(uuid4()))


def record_of(
    payload: Message,
    resource: str,
    *,
    unit: str,
    service: str = "ticket",
    occur_time: datetime = OCCUR_TIME,
    sealed: Mapping[str, str] | None = None,
) -> LogRecord:
    """Return a fact as a reaction receives it: the first record of a stream, with all its sealed texts granted."""
    entry = new_event(Origin(unit, f"{unit}/agents/li"), resource, payload, occur_time, sealed)
    stream = stream_name(unit, service)
    fields = SealedFields.FromString(entry.sealed).fields if entry.sealed else []
    place_hash = chain_hash(EMPTY_HASH, stream, 1, 1, entry.event)
    return LogRecord(stream=stream, epoch=1, sequence=1, hash=place_hash, event=entry.event, sealed=fields)


async def apply(
    runtime: Runtime,
    schema: ServiceSchema,
    record: LogRecord,
    effects: Mapping[type, Effect],
    *,
    clock: Clock = utc_now,
) -> bool:
    """Apply a fact as a reaction does, in one transaction; return False where that was done before."""

    def choose(work: Work, fact: Fact) -> None:
        effects[type(fact.payload)](work, fact)

    return await runtime.database.write(Inbox(schema, runtime.unit, clock=clock).apply, record, choose)


async def told(runtime: Runtime, schema: ServiceSchema) -> list[tuple[Event, Message | None]]:
    """Return what a service has told so far, in order, each fact with its payload."""
    stream = stream_name(runtime.unit, schema.name)
    records = await runtime.database.read(read_after, schema.log, stream, START, limit=MAX_TOLD)
    events = [record.decoded() for record in records]
    return [(event, payload_of(event)) for event in events]


class Caller:
    """Opens channels to a server under test, for anybody."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._channels: list[grpc.aio.Channel] = []

    def channel(self, *roles: Role, actor: str = "agents/li") -> grpc.aio.Channel:
        """Return a channel that calls as somebody of the unit with these roles."""
        token = self._runtime.signer.mint(f"{self._runtime.unit}/{actor}", roles, TOKEN_LIFETIME)
        return self.channel_with(token)

    def channel_with(self, token: str | None) -> grpc.aio.Channel:
        """Return a channel that calls with this token, or with none."""
        settings = self._runtime.settings
        source = None if token is None else fixed_token(token)
        channel = open_channel(settings.serve_address, settings.tls.authority, source)
        self._channels.append(channel)
        return channel

    async def close(self) -> None:
        """Close the channels."""
        for channel in self._channels:
            await channel.close()


@asynccontextmanager
async def serving(runtime: Runtime, services: Iterable[Served]) -> AsyncIterator[Caller]:
    """Serve at the runtime's own address, so that `runtime.channel` reaches it too."""
    settings = runtime.settings
    server = RpcServer(settings.serve_address, settings.tls, by_token(runtime.verifier), services)
    caller = Caller(runtime)
    await server.start()
    try:
        yield caller
    finally:
        await caller.close()
        await server.stop()


POLICY_YAML = """
title: The policy that tests run under
reviews_required: 0
categories:
  - {id: display, titles: {en: Displays, zh: 显示屏}, skill: display}
calendars:
  - id: always
    time_zone: Etc/UTC
    shifts: [{days: [mon, tue, wed, thu, fri, sat, sun], start: "00:00", end: "24:00"}]
units:
  - {unit: units/hq, title: Headquarters, calendar: always, languages: [en], skills: [display]}
  - {unit: units/munich, title: Munich, calendar: always, languages: [de, en], skills: [display]}
  - {unit: units/shanghai, title: Shanghai, calendar: always, languages: [zh, en]}
targets:
  - {id: every, response: 1h, resolution: 8h, warn_percents: [80]}
routing:
  eligible: ticket.skill in provider.skills
  score: 0 - load
  offer_timeout: 15m
  rounds: 2
  final_owner: units/hq
rates:
  - {id: urgent, when: ticket.priority == "P1", amount: 480.50 EUR}
  - {id: every, amount: 900 CNY}
"""


def small_policy(version: int = 1) -> Policy:
    """Return a version of a small policy that holds together."""
    return Policy(name=f"policies/{version}", version=version, document=load_yaml(POLICY_YAML))
