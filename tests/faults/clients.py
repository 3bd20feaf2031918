"""The people and systems that work in the group meanwhile, and write down what they asked for and were answered.

A *desk session* opens tickets and works on them, one after the other, some of them through an engagement to the end. A
*provider* takes what is offered to its unit and delivers it. A *partner* opens tickets through the gateway. All of them
repeat a request that got no answer, under the same request id, until they get one; some requests they leave unanswered.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import uuid4

import grpc

from hanse.cli.desk import Desk, PartnerSystem
from hanse.config import Settings
from hanse.rpc.client import remote_error
from hanse_gateway.partner.desk import desk_request_id
from hanse_protos.gateway.v1 import gateway_pb2
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from tests.faults.history import History, Operation, Outcome, Request

TRY_TIMEOUT_SECONDS = 8.0
RETRY_PAUSE_SECONDS = 0.3
MAX_TRIES = 200
"""A minute of tries at least: longer than any single fault lasts."""
LEFT_UNKNOWN = 0.2
"""The share of requests that are left alone when their first try gets no answer."""
LOOK_INTERVAL_SECONDS = 1.0
PARTNER_PAUSE_SECONDS = 0.5
"""Between two tickets of a partner: most work comes from the desk itself."""
ENGAGEMENT_PATIENCE_SECONDS = 60.0
"""How long a desk waits for a delivery before it turns to the next ticket."""

REFUSALS = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.PERMISSION_DENIED,
    }
)
"""The answers that say that nothing was done. Every other one leaves it open."""


@dataclass
class Clients:
    """What all clients of a run share."""

    history: History
    seed: int
    rate: float
    """How many commands a second all of them send together, at most."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    sent: int = 0
    _next_turn: float = field(default_factory=time.monotonic)

    async def turn(self) -> bool:
        """Wait until one more command may be sent; return False where the clients are to stop."""
        self._next_turn = max(self._next_turn + 1 / self.rate, time.monotonic() - 1)
        await asyncio.sleep(max(0.0, self._next_turn - time.monotonic()))
        if self.stopping.is_set():
            return False
        self.sent += 1
        return True

    async def until_sent(self, commands: int) -> None:
        """Wait until so many commands have been sent."""
        while self.sent < commands:  # noqa: ASYNC110 - nothing is lost by looking now and then.
            await asyncio.sleep(LOOK_INTERVAL_SECONDS)


class Stopped(Exception):  # noqa: N818 - it is no error.
    """The clients are to stop."""


class Client:
    """Sends commands, and writes down what came of them."""

    def __init__(self, clients: Clients, unit: str, number: int) -> None:
        self.clients, self.unit = clients, unit
        self.random = Random(f"{clients.seed} {unit} {number}")  # noqa: S311 - it only has to be the same again.

    async def send(
        self, kind: Request, call: Callable[..., Awaitable[Any]], request: Any, resource: str = "", partner: str = ""
    ) -> Any:
        """Send a command until it is answered, or is given up; return the answer, or None. Raises Stopped."""
        if not await self.clients.turn():
            raise Stopped
        request.request_id = str(uuid4())
        start, patient = time.monotonic(), self.random.random() > LEFT_UNKNOWN
        answer, outcome, reason, tries, unanswered = None, Outcome.UNKNOWN, "", 0, False
        while tries < (MAX_TRIES if patient else 1):
            tries += 1
            try:
                answer = await call(request, timeout=TRY_TIMEOUT_SECONDS)
            except grpc.aio.AioRpcError as error:
                reason = f"{remote_error(error).reason} of {kind}"
                if error.code() in REFUSALS:
                    # A try before it may still be on its way to its COMMIT.
                    outcome = Outcome.UNKNOWN if unanswered else Outcome.FAILED
                    break
                unanswered = True
                await asyncio.sleep(RETRY_PAUSE_SECONDS)
            else:
                outcome, reason = Outcome.OK, ""
                break
        self.clients.history.add(
            Operation(
                kind=kind,
                unit=self.unit,
                request_id=desk_request_id(partner, request.request_id) if partner else request.request_id,
                resource=answer.name if answer is not None else resource,
                outcome=outcome,
                start_seconds=start,
                end_seconds=time.monotonic(),
                tries=tries,
                reason=reason,
            )
        )
        return answer


class DeskSession(Client):
    """An agent of a unit, who works on one ticket after the other."""

    def __init__(self, clients: Clients, settings: Settings, number: int, *, engage: float = 0.0) -> None:
        """`engage` is the share of tickets that need another unit."""
        super().__init__(clients, settings.unit, number)
        self._settings = settings
        self._number = number
        self._engage = engage

    async def run(self) -> None:
        """Work until the clients are to stop."""
        async with Desk(self._settings, f"agent-{self._number}") as desk:
            self._desk = desk
            while not self.clients.stopping.is_set():
                try:
                    await self._ticket()
                except Stopped:
                    return

    async def _ticket(self) -> None:
        asked = pb.Ticket(
            title=f"Fault {self.random.randint(1, 9999)}",
            description="It happens again and again.",
            category="display",
            priority=pb.P1 if self.random.random() < 0.1 else pb.P3,
            language="en",
        )
        request = rpc.CreateTicketRequest(parent=self.unit, ticket=asked)
        ticket = await self.send(Request.OPEN, self._desk.tickets.CreateTicket, request)
        if ticket is None:
            return
        for _ in range(self.random.randint(0, 3)):
            await self._step(ticket.name)
        if self.random.random() < self._engage:
            await self._let_another_unit_solve(ticket.name)
        tickets = self._desk.tickets
        solution = rpc.ResolveTicketRequest(name=ticket.name, solution="Replaced the power supply.")
        if await self.send(Request.RESOLVE, tickets.ResolveTicket, solution, ticket.name):
            await self.send(Request.CLOSE, tickets.CloseTicket, rpc.CloseTicketRequest(name=ticket.name), ticket.name)

    async def _step(self, name: str) -> None:
        tickets = self._desk.tickets
        match self.random.choice(("comment", "comment", "assign", "escalate", "pause")):
            case "comment":
                comment = rpc.CommentTicketRequest(name=name, text="We are on it.", public=self.random.random() < 0.5)
                await self.send(Request.COMMENT, tickets.CommentTicket, comment, name)
            case "assign":
                assign = rpc.AssignTicketRequest(name=name, assignee=self._desk.actor)
                await self.send(Request.ASSIGN, tickets.AssignTicket, assign, name)
            case "escalate":
                escalate = rpc.EscalateTicketRequest(name=name, reason="Needs a technician.")
                await self.send(Request.ESCALATE, tickets.EscalateTicket, escalate, name)
            case _:
                pause = rpc.PauseTicketRequest(name=name, waiting_for="vendor", reason="A part is on its way.")
                await self.send(Request.PAUSE, tickets.PauseTicket, pause, name)
                await self.send(Request.RESUME, tickets.ResumeTicket, rpc.ResumeTicketRequest(name=name), name)

    async def _let_another_unit_solve(self, ticket: str) -> None:
        request = rpc.RequestEngagementRequest(parent=ticket, reason="Nobody here knows displays.")
        engagement = await self.send(
            Request.REQUEST_ENGAGEMENT, self._desk.engagements.RequestEngagement, request, ticket
        )
        if engagement is None or not await self._delivered(engagement.name):
            return
        name = engagement.name
        if self.random.random() < 0.2:
            reject = rpc.RejectEngagementRequest(name=name, reason="It still flickers.")
            if not await self.send(Request.REJECT, self._desk.engagements.RejectEngagement, reject, name):
                return
            if not await self._delivered(name):
                return
        confirm = rpc.ConfirmEngagementRequest(name=name)
        await self.send(Request.CONFIRM, self._desk.engagements.ConfirmEngagement, confirm, name)

    async def _delivered(self, name: str) -> bool:
        """Wait until a provider has delivered; return False where it takes too long."""
        deadline = time.monotonic() + ENGAGEMENT_PATIENCE_SECONDS
        while time.monotonic() < deadline and not self.clients.stopping.is_set():
            try:
                found = await self._desk.engagements.GetEngagement(rpc.GetEngagementRequest(name=name))
            except grpc.aio.AioRpcError:
                found = None
            if found is not None and found.state == pb.DELIVERED:
                return True
            await asyncio.sleep(LOOK_INTERVAL_SECONDS)
        return False


class Provider(Client):
    """An agent of a unit, who takes what other units need."""

    def __init__(self, clients: Clients, settings: Settings, number: int = 0) -> None:
        super().__init__(clients, settings.unit, 1000 + number)
        self._settings = settings

    async def run(self) -> None:
        """Work until the clients are to stop."""
        async with Desk(self._settings, "provider") as desk:
            self._desk = desk
            while not self.clients.stopping.is_set():
                try:
                    for engagement in await self._open():
                        await self._work_on(engagement)
                except Stopped:
                    return
                await asyncio.sleep(LOOK_INTERVAL_SECONDS)

    async def _open(self) -> list[pb.Engagement]:
        request = rpc.ListEngagementsRequest(parent="units/-/tickets/-", states=[pb.OFFERED, pb.ACCEPTED])
        try:
            reply = await self._desk.engagements.ListEngagements(request)
        except grpc.aio.AioRpcError:
            return []
        return [engagement for engagement in reply.engagements if engagement.provider == self.unit]

    async def _work_on(self, engagement: pb.Engagement) -> None:
        name, engagements = engagement.name, self._desk.engagements
        if engagement.state == pb.OFFERED:
            if self.random.random() < 0.1:
                decline = rpc.DeclineEngagementRequest(name=name, reason="Nobody is free.")
                await self.send(Request.DECLINE, engagements.DeclineEngagement, decline, name)
                return
            accept = rpc.AcceptEngagementRequest(name=name, assignee=self._desk.actor)
            if not await self.send(Request.ACCEPT, engagements.AcceptEngagement, accept, name):
                return
        note = rpc.NoteEngagementWorkRequest(name=name, text="Measured the power supply.")
        await self.send(Request.NOTE_WORK, engagements.NoteEngagementWork, note, name)
        deliver = rpc.DeliverEngagementRequest(name=name, solution="Replace the power supply.")
        await self.send(Request.DELIVER, engagements.DeliverEngagement, deliver, name)


class Partner(Client):
    """A partner's system, which opens tickets through a unit's gateway."""

    def __init__(self, clients: Clients, settings: Settings, number: int = 0) -> None:
        super().__init__(clients, settings.unit, 2000 + number)
        self._settings = settings

    async def run(self) -> None:
        """Work until the clients are to stop."""
        async with Desk(self._settings, "operations") as desk:
            request = gateway_pb2.CreatePartnerRequest(
                partner_id=f"retail-{uuid4().hex[:8]}",
                partner=gateway_pb2.Partner(title="Retail"),
                request_id=str(uuid4()),
            )
            partner = await desk.partners.CreatePartner(request)
        async with PartnerSystem(self._settings, partner.api_key) as system:
            while not self.clients.stopping.is_set():
                try:
                    await self._ticket(partner.name, system.service)
                except Stopped:
                    return
                await asyncio.sleep(PARTNER_PAUSE_SECONDS)

    async def _ticket(self, partner: str, service: Any) -> None:
        asked = gateway_pb2.PartnerCreateTicketRequest(
            title="A display is dark", category="display", priority=pb.P3, language="en"
        )
        ticket = await self.send(Request.OPEN, service.CreateTicket, asked, partner=partner)
        if ticket is not None:
            comment = gateway_pb2.PartnerCommentTicketRequest(name=ticket.name, text="Any news?")
            await self.send(Request.COMMENT, service.CommentTicket, comment, ticket.name, partner=partner)
