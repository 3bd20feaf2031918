"""gRPC in, the desk out; and the admission of partners."""

from collections.abc import AsyncIterator
from typing import Any

from hanse.database import Database
from hanse.names import PARTNERS
from hanse.rpc.call import cause_of, current_caller
from hanse.work import CommandExecutor
from hanse_gateway.partner.authentication import API_KEY, ApiKeys, key_digest
from hanse_gateway.partner.commands import admitting, rotating
from hanse_gateway.partner.complaints import Complaints
from hanse_gateway.partner.desk import Desk
from hanse_gateway.partner.events import EventStreams
from hanse_gateway.partner.keys import digest_of, new_key
from hanse_protos.gateway.v1 import gateway_pb2 as pb
from hanse_protos.gateway.v1 import gateway_pb2_grpc as stubs

Context = Any


class PartnerServicer(stubs.PartnerServiceServicer):
    """What a partner may do. Who calls is known from the API key, never from a request."""

    def __init__(self, desk: Desk, complaints: Complaints, streams: EventStreams, keys: ApiKeys) -> None:
        self._desk = desk
        self._complaints = complaints
        self._streams = streams
        self._keys = keys

    async def CreateTicket(self, request: pb.PartnerCreateTicketRequest, context: Context) -> pb.PartnerTicket:
        return await self._desk.open_ticket(current_caller().actor, request)

    async def GetTicket(self, request: pb.PartnerGetTicketRequest, context: Context) -> pb.PartnerTicket:
        return await self._desk.get_ticket(current_caller().actor, request.name)

    async def ListTickets(
        self, request: pb.PartnerListTicketsRequest, context: Context
    ) -> pb.PartnerListTicketsResponse:
        return await self._desk.list_tickets(current_caller().actor, request)

    async def CommentTicket(self, request: pb.PartnerCommentTicketRequest, context: Context) -> pb.PartnerTicket:
        return await self._desk.comment_ticket(current_caller().actor, request)

    async def CreateComplaint(self, request: pb.PartnerCreateComplaintRequest, context: Context) -> pb.PartnerComplaint:
        return await self._complaints.file(current_caller().actor, request)

    async def GetComplaint(self, request: pb.PartnerGetComplaintRequest, context: Context) -> pb.PartnerComplaint:
        return await self._complaints.get(current_caller().actor, request.name)

    async def ListComplaints(
        self, request: pb.PartnerListComplaintsRequest, context: Context
    ) -> pb.PartnerListComplaintsResponse:
        return await self._complaints.list(current_caller().actor, request)

    async def RejectComplaintAnswer(
        self, request: pb.PartnerRejectComplaintAnswerRequest, context: Context
    ) -> pb.PartnerComplaint:
        return await self._complaints.reject_answer(current_caller().actor, request)

    async def WatchEvents(self, request: pb.WatchEventsRequest, context: Context) -> AsyncIterator[pb.PartnerEvent]:
        key = dict(context.invocation_metadata())[API_KEY]
        partner = current_caller().actor
        async for event in self._streams.follow(partner, request.cursor, lambda: self._keys.caller_of(key)):
            yield event


class PartnerAdminServicer(stubs.PartnerAdminServiceServicer):
    """Admits partners. The answer to a repeated request has no key: it was shown, and nobody can show it again."""

    def __init__(self, database: Database, executor: CommandExecutor) -> None:
        self._database = database
        self._executor = executor

    async def CreatePartner(self, request: pb.CreatePartnerRequest, context: Context) -> pb.Partner:
        key = new_key(request.partner_id)
        command = admitting(digest_of(key))
        return await self._with_key(key, await self._executor.execute(command, request, cause_of(request), pb.Partner))

    async def RotatePartnerKey(self, request: pb.RotatePartnerKeyRequest, context: Context) -> pb.Partner:
        key = new_key(request.name.removeprefix(PARTNERS))
        command = rotating(digest_of(key))
        return await self._with_key(key, await self._executor.execute(command, request, cause_of(request), pb.Partner))

    async def _with_key(self, key: str, partner: pb.Partner) -> pb.Partner:
        """Show the key, if it is the one in force: after a repeat it is not, and it would be of no use."""
        if await self._database.read(key_digest, partner.name) == digest_of(key):
            partner.api_key = key
        return partner
