"""A unit with a desk and a gateway, as its partners and its people use it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import grpc

from hanse.identity import Role
from hanse.rpc.client import RemoteError, open_channel, remote_errors
from hanse.runtime import Runtime
from hanse_gateway.serving import GatewayServer
from hanse_protos.gateway.v1 import gateway_pb2 as pb
from hanse_protos.gateway.v1.gateway_pb2_grpc import PartnerAdminServiceStub, PartnerServiceStub
from hanse_protos.ticket.v1 import service_pb2 as desk
from hanse_protos.ticket.v1.complaint_pb2_grpc import ComplaintServiceStub
from hanse_protos.ticket.v1.service_pb2_grpc import TicketServiceStub
from hanse_protos.ticket.v1.ticket_pb2 import P2
from tests.support import Caller

UNIT = "units/shanghai"


def request_id() -> str:
    return str(uuid4())


def creation(**fields: object) -> pb.PartnerCreateTicketRequest:
    defaults = {"title": "显示屏黑屏", "category": "display", "priority": P2, "request_id": request_id()}
    return pb.PartnerCreateTicketRequest(**(defaults | fields))  # type: ignore[arg-type]


class PartnerSystem:
    """A partner's own system: it has a key, and follows its events."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.tickets: Any = PartnerServiceStub(channel)

    async def open(self, **fields: object) -> pb.PartnerTicket:
        ticket: pb.PartnerTicket = await self.tickets.CreateTicket(creation(**fields))
        return ticket

    async def comment(self, name: str, text: str, **fields: str) -> pb.PartnerTicket:
        asked = {"name": name, "text": text, "request_id": request_id()} | fields
        ticket: pb.PartnerTicket = await self.tickets.CommentTicket(pb.PartnerCommentTicketRequest(**asked))
        return ticket

    async def follow(self, count: int, cursor: str = "") -> list[pb.PartnerEvent]:
        """Follow the events after a cursor until so many have come, 10 s at most."""
        call = self.tickets.WatchEvents(pb.WatchEventsRequest(cursor=cursor))
        try:
            async with asyncio.timeout(10):
                return [await call.read() for _ in range(count)]
        finally:
            call.cancel()


class Unit:
    """The unit that the partners are partners of."""

    def __init__(self, runtime: Runtime, people: Caller, gateway: GatewayServer) -> None:
        self.runtime = runtime
        self.gateway = gateway
        self.admin: Any = PartnerAdminServiceStub(people.channel(Role.OPERATIONS))
        self.desk: Any = TicketServiceStub(people.channel(Role.AGENT))
        self.complaints: Any = ComplaintServiceStub(people.channel(Role.LEAD, Role.MANAGER, actor="agents/wang"))
        self._channels: list[grpc.aio.Channel] = []

    async def admit(self, partner_id: str = "acme") -> pb.Partner:
        request = pb.CreatePartnerRequest(
            partner_id=partner_id, partner=pb.Partner(title=partner_id), request_id=request_id()
        )
        partner: pb.Partner = await self.admin.CreatePartner(request)
        return partner

    async def rotate(self, partner: pb.Partner) -> pb.Partner:
        rotated: pb.Partner = await self.admin.RotatePartnerKey(
            pb.RotatePartnerKeyRequest(name=partner.name, request_id=request_id())
        )
        return rotated

    def system(self, key: str | None) -> PartnerSystem:
        """Return a partner's system that calls with a key, or with none."""
        settings = self.runtime.settings
        headers = None if key is None else {"x-api-key": key}
        channel = open_channel(settings.gateway_address, settings.tls.authority, headers=headers)
        self._channels.append(channel)
        return PartnerSystem(channel)

    async def partner(self, partner_id: str = "acme") -> PartnerSystem:
        return self.system((await self.admit(partner_id)).api_key)

    async def comment(self, ticket: str, text: str, *, public: bool) -> None:
        """Comment as an agent of the unit."""
        await self.desk.CommentTicket(
            desk.CommentTicketRequest(name=ticket, text=text, public=public, request_id=request_id())
        )

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()


async def refused(call: Callable[[], Any]) -> RemoteError:
    """Return the error that a call is refused with."""
    try:
        with remote_errors():
            await call()
    except RemoteError as error:
        return error
    raise AssertionError("the call was not refused")
