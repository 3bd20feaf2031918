"""The desk of one unit, as its people, its customers' gateway and its workers use it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf.message import Message

from hanse.identity import Role
from hanse.log.events import Fact
from hanse.log.follow import START, StoredRecord, read_after, read_head
from hanse.log.sealing import seal
from hanse.names import stream_name
from hanse.policy import load_yaml
from hanse.rpc.client import RemoteError, remote_errors
from hanse.runtime import Runtime
from hanse.times import timestamp
from hanse.work import CommandExecutor, Work
from hanse_protos.log.v1.log_pb2 import LogRecord, SealedFields
from hanse_protos.policy.v1.policy_pb2 import Policy
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import service_pb2_grpc as stubs
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.effects import EFFECTS
from hanse_services.ticket.model import SCHEMA
from tests.support import Caller, apply

HEADQUARTERS, MUNICH, SHANGHAI = "units/hq", "units/munich", "units/shanghai"
MONDAY = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
"""09:00 in Munich, where work begins."""
PLENTY = 1_000

StartDesk = Callable[[str], Awaitable["Desk"]]

POLICY_YAML = """
title: Two calendars and a ladder
categories:
  - {id: display, titles: {en: Displays}, skill: display}
calendars:
  - {id: always, time_zone: Etc/UTC, shifts: [{days: MON-SUN, start: "00:00", end: "24:00"}]}
  - {id: office, time_zone: Europe/Berlin, shifts: [{days: MON-FRI, start: "09:00", end: "17:00"}]}
units:
  - {unit: units/hq, calendar: always, languages: [en], skills: [display]}
  - {unit: units/munich, calendar: office, languages: [de], skills: [display]}
  - {unit: units/shanghai, calendar: always, languages: [zh], skills: []}
services:
  - {id: displays, owner: units/munich, categories: [display]}
  - {id: on-site, owner: units/hq, categories: [display], cost: 80.00 EUR}
targets:
  - {id: every, response: 1h, resolution: 10h, warn_percents: [50]}
soft: {review_within: 720h, cap: 1440h, when: ticket.priority != "P1"}
ladder:
  - {at_percent: 60, action: CLIMB}
  - {at_percent: 70, action: CLIMB, when: 'ticket.priority == "P1"'}
  - {at_percent: 70, action: CLIMB, when: 'ticket.tier == 2'}
  - {at_percent: 80, action: CLIMB, when: 'ticket.tier == 1'}
  - {at_percent: 90, action: REQUEST_ENGAGEMENT, when: 'ticket.tier == 3'}
routing:
  {eligible: ticket.skill in provider.skills, score: 0 - load, offer_timeout: 15m, rounds: 1, final_owner: units/hq}
peers: [{units: [units/shanghai, units/munich]}]
rates: [{id: every, amount: 100.00 EUR}]
tunable: {targets: [{target: every, resolution: {floor: 5h, ceiling: 20h}}]}
"""


def policy(version: int = 1) -> Policy:
    return Policy(name=f"policies/{version}", version=version, document=load_yaml(POLICY_YAML))


def new_request_id() -> str:
    return str(uuid4())


class FakeClock:
    """Stands until it is moved."""

    def __init__(self, now: datetime = MONDAY) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **amount: float) -> datetime:
        self.now += timedelta(**amount)
        return self.now


@dataclass
class Refusal:
    """What a call was refused with, once it was."""

    error: RemoteError | None = None

    @property
    def reason(self) -> str:
        assert self.error is not None
        return self.error.reason


@contextmanager
def refused() -> Iterator[Refusal]:
    """Expect that a call is refused, and say with what."""
    refusal = Refusal()
    with pytest.raises(RemoteError) as caught, remote_errors():
        yield refusal
    refusal.error = caught.value


@dataclass
class Desk:
    """One unit's desk on a database of its own, served over gRPC; its commands run under a clock of the test's."""

    runtime: Runtime
    executor: CommandExecutor
    caller: Caller
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.executor.clock = self.clock
        person, worker = self.caller.channel(Role.AGENT), self.caller.channel(Role.SYSTEM, actor="services/gateway")
        self.tickets = stubs.TicketServiceStub(person)
        self.engagements = stubs.EngagementServiceStub(person)
        self.system = stubs.TicketServiceStub(worker)
        self.federation = stubs.EngagementServiceStub(worker)
        operations = self.caller.channel(Role.OPERATIONS, actor="agents/ops")
        self.operations = stubs.TicketServiceStub(operations)

    @property
    def unit(self) -> str:
        return self.runtime.unit

    async def open(self, *, contact: pb.Contact | None = None, partner: str = "", **fields: Any) -> pb.Ticket:
        """Open a ticket, as the gateway."""
        defaults: dict[str, Any] = {"title": "Screen is dark", "category": "display", "priority": pb.P2}
        return await self.system.CreateTicket(
            rpc.CreateTicketRequest(
                parent=self.unit,
                ticket=pb.Ticket(**(defaults | fields)),
                contact=contact,
                partner=partner,
                request_id=new_request_id(),
            )
        )

    async def do(self, verb: str, name: str, **fields: Any) -> pb.Ticket:
        """Take a step of a ticket, as an agent; `verb` is the rpc's name."""
        request = getattr(rpc, f"{verb}Request")(
            name=name, request_id=new_request_id(), **(TEXTS.get(verb, {}) | fields)
        )
        answer: pb.Ticket = await getattr(self.tickets, verb)(request)
        return answer

    async def engage(self, verb: str, name: str, **fields: Any) -> pb.Engagement:
        """Take a step of an engagement, as an agent."""
        place = "parent" if verb == "RequestEngagement" else "name"
        values = {place: name, "request_id": new_request_id()} | TEXTS.get(verb, {}) | fields
        answer: pb.Engagement = await getattr(self.engagements, verb)(getattr(rpc, f"{verb}Request")(**values))
        return answer

    async def offer_to_peers(self, name: str, *reachable: str) -> pb.Engagement:
        """Have an engagement offered to one of the peers that can be reached, as the federation does."""
        request = rpc.OfferToPeerRequest(name=name, peers=reachable, request_id=new_request_id())
        return await self.federation.OfferToPeer(request)

    async def customer_says(self, name: str, text: str, partner: str) -> pb.Ticket:
        return await self.system.CommentTicket(
            rpc.CommentTicketRequest(name=name, text=text, partner=partner, request_id=new_request_id())
        )

    async def evaluate(self, name: str) -> rpc.EvaluateClocksResponse:
        return await self.system.EvaluateClocks(rpc.EvaluateClocksRequest(name=name, request_id=new_request_id()))

    async def skip_step(self, name: str) -> str:
        """Skip the next step of a ticket's clocks, as a person has it done, and return which that is."""
        person, request_id = "units/shanghai/agents/li", new_request_id()
        request = rpc.SkipClockStepRequest(name=name, reason="Agreed", requester=person, request_id=request_id)
        return (await self.system.SkipClockStep(request)).step

    async def open_clocks(self, *names: str, **page: Any) -> rpc.ListOpenClocksResponse:
        """List the open clocks, of these tickets or of all."""
        return await self.system.ListOpenClocks(rpc.ListOpenClocksRequest(names=names, **page))

    async def get(self, name: str) -> pb.Ticket:
        return await self.tickets.GetTicket(rpc.GetTicketRequest(name=name))

    async def engagement(self, name: str) -> pb.Engagement:
        return await self.engagements.GetEngagement(rpc.GetEngagementRequest(name=name))

    async def import_tickets(self, *tickets: rpc.HistoricTicket) -> rpc.ImportTicketsResponse:
        request = rpc.ImportTicketsRequest(parent=self.unit, tickets=tickets, request_id=new_request_id())
        return await self.operations.ImportTickets(request)

    async def is_told(self, record: LogRecord) -> bool:
        """Let the desk be told a fact of somebody else; return whether it was new to it."""
        effects = defaultdict(lambda: _no_effect, EFFECTS)
        return await apply(self.runtime, SCHEMA, record, effects, clock=self.clock)

    async def records(self) -> list[StoredRecord]:
        stream = stream_name(self.unit, SCHEMA.name)
        return await self.runtime.database.read(read_after, SCHEMA.log, stream, START, PLENTY)

    async def told_types(self) -> list[str]:
        return [record.type.rsplit(".", 1)[-1] for record in await self.records()]

    async def fact(self, kind: type[Message]) -> LogRecord:
        """Return the last fact of a kind that this desk told, as it travels with all its texts."""
        records = [record for record in await self.records() if record.type == kind.DESCRIPTOR.full_name]
        last = records[-1]
        sealed = SealedFields.FromString(last.sealed) if last.sealed else seal({})
        return LogRecord(
            stream=last.stream, epoch=last.epoch, sequence=last.sequence, hash=last.hash, event=last.event,
            sealed=sealed.fields,
        )  # fmt: skip

    async def head(self) -> object:
        return await self.runtime.database.read(read_head, SCHEMA.log, stream_name(self.unit, SCHEMA.name))


def _no_effect(work: Work, fact: Fact) -> None:
    """Facts that are not in EFFECTS are kept, for the timeline."""


TEXTS: dict[str, dict[str, Any]] = {
    "CommentTicket": {"text": "We look into it"},
    "AssignTicket": {"assignee": "units/shanghai/agents/li"},
    "SuspendTicket": {"reason": "Nobody has seen this before", "review_time": timestamp(MONDAY + timedelta(days=7))},
    "ReclassifyTicket": {"priority": pb.P1, "reason": "The whole floor is dark"},
    "PauseTicket": {"waiting_for": "customer", "reason": "Which model?"},
    "ResolveTicket": {"solution": "Changed the cable"},
    "ReopenTicket": {"reason": "Dark again"},
    "DeclineEngagement": {"reason": "No spare parts"},
    "DeliverEngagement": {"solution": "Changed the board"},
    "RejectEngagement": {"reason": "Still dark"},
    "RecallEngagement": {"reason": "The customer sends it in"},
    "ReassignEngagement": {"reason": "No news for a week"},
    "NoteEngagementWork": {"text": "Ordered a board"},
}
"""What the steps need beside a name."""
