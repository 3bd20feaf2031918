"""The unit's service desk, as a partner may use it."""

from uuid import UUID, uuid5

import grpc

from hanse.errors import ResourceNotFound
from hanse.names import home_of
from hanse_gateway.partner.refusals import desk_refusals
from hanse_protos.gateway.v1 import gateway_pb2 as pb
from hanse_protos.ticket.v1 import service_pb2 as desk
from hanse_protos.ticket.v1.service_pb2_grpc import TicketServiceStub
from hanse_protos.ticket.v1.ticket_pb2 import Ticket

DESK_TIMEOUT_SECONDS = 10.0
"""How long the desk may take: longer than it ever waits for a lock, so that a partner hears what really happened."""
EVENTS_PER_PAGE = 100

_REQUEST_IDS = UUID("6d0f2a3e-6f52-4d4c-9a59-0f0e5b1f2c77")


def desk_request_id(partner: str, request_id: str) -> str:
    """Return the request id under which the desk knows a partner's request.

    The desk remembers request ids of all its callers in one table. If ids went through as they are, a partner could
    take another's: its own request would fail as reused, and tell it that the other's exists. So each partner has a
    space of its own (a UUID of version 5, RFC 9562). The same request always gets the same id, so a repeat is a repeat.
    """
    return str(uuid5(_REQUEST_IDS, f"{partner}:{UUID(request_id)}"))


class Desk:
    """Calls the ticket service on behalf of partners. A ticket that is not the partner's own is not found."""

    def __init__(self, channel: grpc.aio.Channel, unit: str) -> None:
        self._unit = unit
        self._tickets = TicketServiceStub(channel)

    async def open_ticket(self, partner: str, request: pb.PartnerCreateTicketRequest) -> pb.PartnerTicket:
        """Open a ticket. Raises ValidationFailed, RequestIdReused, CategoryUnknown, ServiceUnknown, Unavailable."""
        asked = desk.CreateTicketRequest(
            parent=self._unit,
            ticket=Ticket(
                title=request.title,
                description=request.description,
                category=request.category,
                priority=request.priority,
                product=request.product,
                language=request.language,
                service=request.service,
            ),
            request_id=desk_request_id(partner, request.request_id),
            partner=partner,
        )
        if request.HasField("contact"):
            asked.contact.CopyFrom(request.contact)
        with desk_refusals():
            return for_partner(await self._tickets.CreateTicket(asked, timeout=DESK_TIMEOUT_SECONDS))

    async def get_ticket(self, partner: str, name: str) -> pb.PartnerTicket:
        """Return an own ticket. Raises ResourceNotFound, Unavailable."""
        return for_partner(await self._own_ticket(partner, name))

    async def _own_ticket(self, partner: str, name: str) -> Ticket:
        # Another unit's ticket may be shared with this desk, but its partner is a partner of that unit.
        if home_of(name) != self._unit:
            raise ResourceNotFound(resource=name)
        with desk_refusals():
            ticket: Ticket = await self._tickets.GetTicket(
                desk.GetTicketRequest(name=name), timeout=DESK_TIMEOUT_SECONDS
            )
        if ticket.partner != partner:
            raise ResourceNotFound(resource=name)
        return ticket

    async def list_tickets(self, partner: str, request: pb.PartnerListTicketsRequest) -> pb.PartnerListTicketsResponse:
        """Return a page of own tickets, the newest first. Raises PageTokenInvalid, Unavailable."""
        asked = desk.ListTicketsRequest(
            parent=self._unit, page_size=request.page_size, page_token=request.page_token, partner=partner
        )
        with desk_refusals():
            page = await self._tickets.ListTickets(asked, timeout=DESK_TIMEOUT_SECONDS)
        return pb.PartnerListTicketsResponse(
            tickets=map(for_partner, page.tickets), next_page_token=page.next_page_token
        )

    async def comment_ticket(self, partner: str, request: pb.PartnerCommentTicketRequest) -> pb.PartnerTicket:
        """Comment on an own ticket, as its customer.

        Raises ResourceNotFound, ValidationFailed, RequestIdReused, IllegalTransition, Unavailable.
        """
        # Whose ticket it is never changes, so nothing can happen between the look and the comment.
        await self._own_ticket(partner, request.name)
        asked = desk.CommentTicketRequest(
            name=request.name,
            request_id=desk_request_id(partner, request.request_id),
            text=request.text,
            public=True,
            partner=partner,
        )
        with desk_refusals():
            return for_partner(await self._tickets.CommentTicket(asked, timeout=DESK_TIMEOUT_SECONDS))

    async def list_events(self, partner: str, cursor: str) -> desk.ListPartnerEventsResponse:
        """Return the next steps of own tickets that the customer may see. Raises PageTokenInvalid, Unavailable."""
        asked = desk.ListPartnerEventsRequest(
            parent=self._unit, partner=partner, page_size=EVENTS_PER_PAGE, page_token=cursor
        )
        with desk_refusals():
            page: desk.ListPartnerEventsResponse = await self._tickets.ListPartnerEvents(
                asked, timeout=DESK_TIMEOUT_SECONDS
            )
        return page


def for_partner(ticket: Ticket) -> pb.PartnerTicket:
    """Return a ticket as its partner sees it: not who works on it, where, nor what was promised."""
    return pb.PartnerTicket(
        name=ticket.name,
        state=ticket.state,
        title=ticket.title,
        description=ticket.description,
        category=ticket.category,
        priority=ticket.priority,
        solution=ticket.solution,
        open_time=ticket.open_time,
        update_time=ticket.update_time,
        language=ticket.language,
        service=ticket.service,
    )
