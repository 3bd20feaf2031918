"""What is fuzzed: headquarters with every service, its gateway and its hub, and what each rpc answered."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc.aio import UnaryStreamMultiCallable, UnaryUnaryMultiCallable

import hanse_protos
from hanse.cli.roles import services_of
from hanse.cli.schemas import migrate_all
from hanse.config import Settings
from hanse.errors import HeadquartersOnly
from hanse.identity import Role
from hanse.local.ports import LOOPBACK, free_port
from hanse.local.postgres import EmbeddedPostgres
from hanse.names import HEADQUARTERS
from hanse.policy.store import PolicyStore
from hanse.rpc.access import BY_CERTIFICATE, ROLES_BY_RPC, Otherwise
from hanse.rpc.client import RemoteError, fixed_token, open_channel, remote_error
from hanse.rpc.server import RpcServer, by_token
from hanse.runtime import Runtime
from hanse.telling.dead_letters import bury
from hanse_federation.link.end import Timing
from hanse_federation.link.hub import Hub
from hanse_federation.model import SCHEMA as FEDERATION
from hanse_gateway.serving import PARTNER_SERVICE, gateway_server
from hanse_protos.federation.v1.membership_pb2 import AdmitUnitRequest, Member
from hanse_protos.gateway.v1 import gateway_pb2
from hanse_protos.knowledge.v1 import knowledge_pb2
from hanse_protos.policy.v1.policy_pb2 import PolicyPublished
from hanse_protos.ticket.v1 import complaint_pb2, service_pb2, ticket_pb2
from hanse_services.knowledge.model import SCHEMA as KNOWLEDGE
from hanse_services.policy.model import SCHEMA as POLICY
from hanse_services.settlement.model import SCHEMA as SETTLEMENT
from hanse_services.ticket.model import SCHEMA as TICKET
from tests.fuzz.strategies import Known
from tests.support import TOKEN_LIFETIME, MakeUnitFolder, record_of, small_policy

ANSWER_SECONDS = 30.0
"""After which a call that has no answer counts as a server that hangs."""
STREAM_SECONDS = 0.15
"""For how long a stream that is open is listened to."""
QUICK = Timing(heartbeat_seconds=1.0, silence_seconds=5.0, first_delay_seconds=0.01, last_delay_seconds=0.02)
NEVER = {grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.DEADLINE_EXCEEDED}
"""What no input may bring about: a defect that has no type, or a server that hangs."""

FITTING = {
    "parent": (HEADQUARTERS, "units/hq/services/ticket", "units/-", "units/hq/services/-"),
    "category": ("display",), "language": ("en", ""), "etag": ("", "", "", "1"), "page_token": ("",),
    "waiting_for": ("customer", "vendor"), "assignee": ("units/hq/agents/li",), "currency_code": ("EUR",),
    "calendar": ("always",), "time_zone": ("Etc/UTC",), "product": ("", "panel"), "customer": ("",), "partner": ("",),
}  # fmt: skip
"""For some fields, what gets past the look-ups."""

answers: defaultdict[str, Counter[str]] = defaultdict(Counter)
"""How often each rpc gave which answer, for the summary."""


def rpcs() -> dict[str, MethodDescriptor]:
    """Return every rpc of the contracts that is called with a token or a key, by its full name."""
    [root] = hanse_protos.__path__
    found: dict[str, MethodDescriptor] = {}
    for path in sorted(Path(root).rglob("*_pb2.py")):
        module = import_module(".".join(path.relative_to(Path(root).parent).with_suffix("").parts))
        for service in module.DESCRIPTOR.services_by_name.values():
            found |= {f"/{service.full_name}/{method.name}": method for method in service.methods}
    return {name: method for name, method in found.items() if ROLES_BY_RPC[name] is not BY_CERTIFICATE}


@dataclass
class Target:
    """Headquarters, and who calls it."""

    runtime: Runtime
    hub: Hub
    unit_folder: MakeUnitFolder
    loop: asyncio.AbstractEventLoop
    names: list[str] = field(default_factory=list)
    channels: dict[str, grpc.aio.Channel] = field(default_factory=dict)

    @property
    def known(self) -> Known:
        """What is there, for the requests to ask for."""
        return Known(tuple(self.names), tuple(FITTING.items()))

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run something where the servers run; they go on only for as long as this takes."""
        return self.loop.run_until_complete(work)

    async def call(self, rpc: str, content: bytes) -> str:
        """Send bytes to an rpc as somebody who may call it; return OK or the reason for a refusal.

        Raises AssertionError where the answer is none that an input may bring about.
        """
        method = rpcs()[rpc]
        answer_class = GetMessageClass(method.output_type)
        try:
            if method.server_streaming:
                outcome = await self._listen(rpc, content)
            else:
                send: UnaryUnaryMultiCallable[bytes, bytes] = self.channels[_door(rpc)].unary_unary(rpc)
                answer_class.FromString(await send(content, timeout=ANSWER_SECONDS))
                outcome = "OK"
        except grpc.aio.AioRpcError as error:
            outcome = checked(rpc, remote_error(error))
        answers[rpc][outcome] += 1
        return outcome

    async def _listen(self, rpc: str, content: bytes) -> str:
        send: UnaryStreamMultiCallable[bytes, bytes] = self.channels[_door(rpc)].unary_stream(rpc)
        call = send(content)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(STREAM_SECONDS):
                    async for _ in call:
                        pass
        finally:
            call.cancel()
        return "OK"

    async def goes_on(self) -> None:
        """Ask something plain, which the server must answer as ever."""
        request = service_pb2.GetTicketRequest(name=self.names[0]).SerializeToString()
        assert await self.call("/hanse_protos.ticket.v1.TicketService/GetTicket", request) == "OK"


def checked(rpc: str, error: RemoteError) -> str:
    """Return the reason of a refusal. Raises AssertionError where it has none, or stands for a defect."""
    outcome = f"{error.code.name} {error.reason}"
    assert error.code not in NEVER, f"{rpc} answered {outcome}: {error}"
    # gRPC itself has one refusal, of a message that is too large; all others are ours, with a reason of ours.
    assert error.reason != error.code.name or error.code is grpc.StatusCode.RESOURCE_EXHAUSTED, (
        f"{rpc}: {outcome}: {error}"
    )
    # While the database is there, this would be a defect that passes for a failure of the database.
    assert error.reason != "DATABASE_UNAVAILABLE", f"{rpc}: {outcome}: {error}"
    return outcome


def _door(rpc: str) -> str:
    return "gateway" if rpc.startswith(f"/{PARTNER_SERVICE}/") else rpc


@asynccontextmanager
async def target_on(postgres: EmbeddedPostgres, unit_folder: MakeUnitFolder) -> AsyncIterator[Target]:
    """Run headquarters with something of everything in it."""
    url = await postgres.ensure_database("fuzz")
    migrate_all(url)
    settings = {
        "unit": HEADQUARTERS, "folder": unit_folder(HEADQUARTERS), "database_url": url, "broker_url": "redis://127.0.0.1:1/0",
        "temporal_address": f"{LOOPBACK}:1", "temporal_namespace": "fuzz", "hub_address": f"{LOOPBACK}:1",
        "serve_address": f"{LOOPBACK}:{free_port()}", "gateway_address": f"{LOOPBACK}:{free_port()}",
        "hub_listen_address": f"{LOOPBACK}:{free_port()}", "founding_units": ["units/munich"],
    }  # fmt: skip
    async with AsyncExitStack() as stack:
        runtime = Runtime(Settings.model_validate(settings))
        stack.push_async_callback(runtime.close)
        for schema in (TICKET, KNOWLEDGE, SETTLEMENT, POLICY, FEDERATION):
            await runtime.database.write(PolicyStore(schema).enact, small_policy())
        server = RpcServer(
            runtime.settings.serve_address, runtime.settings.tls, by_token(runtime.verifier), services_of(runtime)
        )
        gateway, hub = gateway_server(runtime), Hub(runtime, timing=QUICK)
        for each in (server, gateway, hub):
            await each.start()
            stack.push_async_callback(each.stop)
        target = Target(runtime, hub, unit_folder, asyncio.get_running_loop())
        for rpc, channel in _channels(runtime):
            target.channels[rpc] = channel
            stack.push_async_callback(channel.close)
        target.channels["gateway"] = await _partner(target)
        stack.push_async_callback(target.channels["gateway"].close)
        await _furnish(target)
        yield target


def _channels(runtime: Runtime) -> Iterator[tuple[str, grpc.aio.Channel]]:
    """Yield for each rpc a channel of somebody who may call it."""
    by_roles: dict[frozenset[Role], grpc.aio.Channel] = {}
    for rpc in rpcs():
        allowed = ROLES_BY_RPC[rpc]
        roles = frozenset[Role]() if isinstance(allowed, Otherwise) else allowed
        if roles not in by_roles:
            token = runtime.signer.mint(f"{runtime.unit}/agents/li", roles, TOKEN_LIFETIME)
            settings = runtime.settings
            by_roles[roles] = open_channel(settings.serve_address, settings.tls.authority, fixed_token(token))
        yield rpc, by_roles[roles]


async def _ask(target: Target, rpc: str, request: Message, answer_class: type[Message]) -> Any:
    send: UnaryUnaryMultiCallable[bytes, bytes] = target.channels[rpc].unary_unary(rpc)
    return answer_class.FromString(await send(request.SerializeToString()))


async def _partner(target: Target) -> grpc.aio.Channel:
    rpc = "/hanse_protos.gateway.v1.PartnerAdminService/CreatePartner"
    # Only the last one's key is used; that of the other may be made anew by what is sent.
    for partner_id in ("other", "acme"):
        request = gateway_pb2.CreatePartnerRequest(
            partner_id=partner_id, partner=gateway_pb2.Partner(title="Acme"), request_id=str(uuid4())
        )
        partner = await _ask(target, rpc, request, gateway_pb2.Partner)
    settings = target.runtime.settings
    return open_channel(settings.gateway_address, settings.tls.authority, headers={"x-api-key": partner.api_key})


async def _furnish(target: Target) -> None:
    """Put tickets, an engagement, an article and a dead letter there, so that requests find something."""
    desk = "/hanse_protos.ticket.v1.TicketService/CreateTicket"
    ticket = ticket_pb2.Ticket(title="Dark", category="display", priority=ticket_pb2.P1)
    for _ in range(3):
        request = service_pb2.CreateTicketRequest(parent=HEADQUARTERS, ticket=ticket, request_id=str(uuid4()))
        opened = await _ask(target, desk, request, ticket_pb2.Ticket)
        target.names += [opened.name, opened.etag]
    asked = await _ask(
        target, "/hanse_protos.ticket.v1.EngagementService/RequestEngagement",
        service_pb2.RequestEngagementRequest(parent=target.names[0], request_id=str(uuid4())), ticket_pb2.Engagement,
    )  # fmt: skip
    complained = await _ask(
        target, "/hanse_protos.ticket.v1.ComplaintService/CreateComplaint",
        complaint_pb2.CreateComplaintRequest(parent=target.names[0], text="Nobody called", request_id=str(uuid4())),
        complaint_pb2.Complaint,
    )  # fmt: skip
    article = await _ask(
        target, "/hanse_protos.knowledge.v1.KnowledgeService/CreateArticle",
        knowledge_pb2.CreateArticleRequest(
            parent=HEADQUARTERS, request_id=str(uuid4()),
            article=knowledge_pb2.Article(title="Cables", body="Look at them.", language="en", category="display"),
        ), knowledge_pb2.Article,
    )  # fmt: skip
    record = record_of(PolicyPublished(), "policies/9", unit="units/munich")
    letter = (record.SerializeToString(), "ticket.on_policy", HeadquartersOnly())
    event_id = await target.runtime.database.write(bury, TICKET.dead_letter, *letter, tries=5)
    target.names.append(f"{HEADQUARTERS}/services/ticket/deadLetters/{event_id}.on_policy")
    membership = "/hanse_protos.federation.v1.MembershipService/AdmitUnit"
    await _ask(target, membership, AdmitUnitRequest(unit="units/munich", request_id=str(uuid4())), Member)
    target.names += [
        asked.name, asked.etag, complained.name, complained.etag, article.name, article.etag,
        HEADQUARTERS, "units/shanghai", "units/munich",
        "policies/1", "customer", "vendor", "implementation", "Etc/UTC", "ticket.priority == \"P1\"", "0 - load",
        "policies/current", "display", "en", "EUR", "partners/other", "units/hq/services/-", "units/hq/services/ticket",
        "units/hq/streams/ticket", "units/munich/streams/ticket", "units/hq/agents/li", "units/-", "always",
    ]  # fmt: skip
