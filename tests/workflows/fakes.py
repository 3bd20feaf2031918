"""The two services that the processes ask, in memory, behind the real contracts and the real gates.

They keep the promises that the processes rest on: a repeated request id gets the first answer, and doing what is due
twice is doing it once. Nothing else of the services is here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

import grpc

from hanse.errors import HanseError, NothingToSkip, ResourceNotFound
from hanse.identity import Caller, Role
from hanse.local.ports import LOOPBACK
from hanse.rpc.interceptor import Gates, Metadata
from hanse.rpc.server import Served
from hanse.telemetry import current_traceparent
from hanse_protos.federation.v1 import group_pb2
from hanse_protos.federation.v1.group_pb2_grpc import RoutingServiceServicer, add_RoutingServiceServicer_to_server
from hanse_protos.ticket.v1 import service_pb2
from hanse_protos.ticket.v1.service_pb2_grpc import TicketServiceServicer, add_TicketServiceServicer_to_server

Now = Callable[[], Awaitable[datetime]]
State = TypeVar("State")


async def system_now() -> datetime:
    """Return the time by the system's clock."""
    return datetime.now(UTC)


@dataclass
class Done:
    """Something that a service did when it was due."""

    what: str
    due_time: datetime
    time: datetime

    @property
    def lateness(self) -> timedelta:
        return self.time - self.due_time


@dataclass
class FakeTicket:
    """A ticket with deadlines. Its clocks end when it is resolved."""

    deadlines: dict[str, datetime] = field(default_factory=dict)
    paused: bool = False
    ended: bool = False
    ends_with_last_deadline: bool = True
    done: list[Done] = field(default_factory=list)

    def evaluate(self, now: datetime) -> service_pb2.EvaluateClocksResponse:
        """Do what is due, each thing once."""
        answer = service_pb2.EvaluateClocksResponse()
        if not self.paused and not self.ended:
            for what in sorted(self.deadlines, key=self.deadlines.__getitem__):
                if self.deadlines[what] <= now:
                    self.done.append(Done(what, self.deadlines.pop(what), now))
                    answer.actions.append(what)
            if self.deadlines:
                answer.next_due_time.FromDatetime(min(self.deadlines.values()))
            elif self.ends_with_last_deadline:
                self.ended = True
        answer.ended = self.ended
        return answer

    def show(self, clocks: service_pb2.OpenClocks) -> None:
        """Say when something is due next, unless the clocks stand."""
        if self.deadlines and not self.paused:
            clocks.next_due_time.FromDatetime(min(self.deadlines.values()))


class FakeTickets(TicketServiceServicer):
    """The ticket service."""

    def __init__(self, now: Now = system_now) -> None:
        self.now = now
        self.tickets: dict[str, FakeTicket] = {}
        self.failures: list[HanseError] = []
        self.request_ids: list[str] = []
        self.traceparents: list[str] = []
        self.listings = 0
        """How often it was asked for all that is open, a page at a time."""
        self.gate = asyncio.Event()
        """An evaluation that is done holds its answer back until this is set."""
        self.gate.set()
        self._answers: dict[str, service_pb2.EvaluateClocksResponse] = {}

    async def EvaluateClocks(self, request: service_pb2.EvaluateClocksRequest, _context: Any) -> Any:  # noqa: N802
        self.request_ids.append(request.request_id)
        self.traceparents.append(current_traceparent())
        if self.failures:
            raise self.failures.pop(0)
        if request.name not in self.tickets:
            raise ResourceNotFound(resource=request.name)
        if request.request_id not in self._answers:
            self._answers[request.request_id] = self.tickets[request.name].evaluate(await self.now())
        await self.gate.wait()
        return self._answers[request.request_id]

    async def SkipClockStep(self, request: service_pb2.SkipClockStepRequest, _context: Any) -> Any:  # noqa: N802
        deadlines = self.tickets[request.name].deadlines
        if not deadlines:
            raise NothingToSkip(resource=request.name)
        what = min(deadlines, key=deadlines.__getitem__)
        del deadlines[what]
        return service_pb2.SkipClockStepResponse(step=what)

    async def ListOpenClocks(self, request: service_pb2.ListOpenClocksRequest, _context: Any) -> Any:  # noqa: N802
        """List in pages of two, so that there is more than one."""
        self.listings += not request.names
        asked = set(request.names) or self.tickets.keys()
        names = sorted(name for name, ticket in self.tickets.items() if name in asked and not ticket.ended)
        start, size = int(request.page_token or 0), len(asked) if request.names else 2
        answer = service_pb2.ListOpenClocksResponse(tickets=names[start : start + size])
        for name in answer.tickets:
            self.tickets[name].show(answer.open_clocks.add(ticket=name))
        if start + size < len(names):
            answer.next_page_token = str(start + size)
        return answer

    @property
    def served(self) -> Served:
        return Served("hanse_protos.ticket.v1.TicketService", add_TicketServiceServicer_to_server, self)


@dataclass
class FakeEngagement:
    """An engagement and whom it is offered to, in turn. The last one is the final owner, and has all the time."""

    candidates: list[str]
    timeout: timedelta = timedelta(minutes=15)
    offers: list[group_pb2.Offer] = field(default_factory=list)
    withdrawn: bool = False
    expirations: list[Done] = field(default_factory=list)

    @property
    def settled(self) -> bool:
        return self.withdrawn or any(offer.state == group_pb2.ACCEPTED for offer in self.offers)

    @property
    def open_offer(self) -> group_pb2.Offer | None:
        return next((offer for offer in self.offers if offer.state == group_pb2.OPEN), None)

    def offer(self, now: datetime) -> group_pb2.OfferEngagementResponse:
        """Return the offer that stands, or make the next."""
        if self.settled:
            return group_pb2.OfferEngagementResponse(settled=True)
        if self.open_offer is None:
            self.offers.append(self._next(now))
        return group_pb2.OfferEngagementResponse(offer=self.open_offer)

    def answer(self, state: group_pb2.OfferState.ValueType) -> None:
        """Take what the provider says to the offer that stands."""
        offer = self.open_offer
        assert offer is not None
        offer.state = state

    def expire(self, number: int, now: datetime) -> group_pb2.Offer:
        """End the offer, unless it was answered."""
        offer = self.offers[number - 1]
        due_time = offer.expire_time.ToDatetime(tzinfo=UTC)
        if offer.state == group_pb2.OPEN and due_time <= now:
            offer.state = group_pb2.EXPIRED
            self.expirations.append(Done(offer.provider, due_time, now))
        return offer

    def _next(self, now: datetime) -> group_pb2.Offer:
        number = len(self.offers) + 1
        final = number == len(self.candidates)
        provider = self.candidates[number - 1]
        offer = group_pb2.Offer(number=number, provider=provider, state=group_pb2.OPEN, final=final)
        offer.offer_time.FromDatetime(now)
        if not final:
            offer.expire_time.FromDatetime(now + self.timeout)
        return offer


class FakeRouting(RoutingServiceServicer):
    """Headquarters' routing."""

    def __init__(self, now: Now = system_now) -> None:
        self.now = now
        self.engagements: dict[str, FakeEngagement] = {}
        self.failures: list[HanseError] = []
        self.request_ids: list[str] = []
        self.traceparents: list[str] = []
        self._answers: dict[str, Any] = {}

    async def OfferEngagement(self, request: group_pb2.OfferEngagementRequest, _context: Any) -> Any:  # noqa: N802
        engagement = self._found(request)
        if request.request_id not in self._answers:
            self._answers[request.request_id] = engagement.offer(await self.now())
        return self._answers[request.request_id]

    async def ExpireOffer(self, request: group_pb2.ExpireOfferRequest, _context: Any) -> Any:  # noqa: N802
        engagement = self._found(request)
        if request.request_id not in self._answers:
            offer = engagement.expire(request.offer, await self.now())
            self._answers[request.request_id] = group_pb2.ExpireOfferResponse(offer=offer)
        return self._answers[request.request_id]

    async def ListOpenEngagements(self, _request: group_pb2.ListOpenEngagementsRequest, _context: Any) -> Any:  # noqa: N802
        answer = group_pb2.ListOpenEngagementsResponse()
        for name, engagement in self.engagements.items():
            if not engagement.settled:
                shown = answer.open_engagements.add(engagement=name)
                stands = engagement.open_offer
                due_time = stands.expire_time.ToDatetime(UTC) if stands else await self.now()
                shown.next_due_time.FromDatetime(due_time)
        answer.engagements.extend(one.engagement for one in answer.open_engagements)
        return answer

    @property
    def served(self) -> Served:
        return Served("hanse_protos.federation.v1.RoutingService", add_RoutingServiceServicer_to_server, self)

    def _found(self, request: group_pb2.OfferEngagementRequest | group_pb2.ExpireOfferRequest) -> FakeEngagement:
        self.request_ids.append(request.request_id)
        self.traceparents.append(current_traceparent())
        if self.failures:
            raise self.failures.pop(0)
        if request.name not in self.engagements:
            raise ResourceNotFound(resource=request.name)
        return self.engagements[request.name]


async def _as_system(metadata: Metadata) -> Caller:
    return Caller("units/hq/services/waiting", "units/hq", frozenset({Role.SYSTEM}), datetime.max.replace(tzinfo=UTC))


class Servable(Protocol):
    """A service in memory."""

    @property
    def served(self) -> Served: ...


@asynccontextmanager
async def channel_to(*services: Servable) -> AsyncIterator[grpc.aio.Channel]:
    """Serve the services in this process, and yield a channel to them."""
    server = grpc.aio.server(interceptors=[Gates(_as_system)])
    for service in services:
        service.served.add(service, server)
    port = server.add_insecure_port(f"{LOOPBACK}:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"{LOOPBACK}:{port}") as channel:
        yield channel
    await server.stop(None)


async def eventually(condition: Callable[[], object], *, seconds: float = 20.0) -> None:
    """Return once the condition holds; fail when it doesn't in time."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - any condition, of any side
            await asyncio.sleep(0.02)


async def settled(ask: Callable[[], Awaitable[State]], is_there: Callable[[State], object]) -> State:
    """Return the state of a process once what it was asked for is there: its answer may be on its way to it."""
    async with asyncio.timeout(20.0):
        while not is_there(state := await ask()):  # noqa: ASYNC110 - it happens in another process.
            await asyncio.sleep(0.05)
    return state
