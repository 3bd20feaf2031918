"""What may be asked of the desk."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, exists, select, tuple_
from sqlalchemy.orm import Session, selectinload

from hanse.errors import ResourceNotFound
from hanse.names import ANY_TICKET, home_of
from hanse.policy.store import PolicyStore
from hanse.rpc.paging import decode_token, encode_token, page_size
from hanse.times import instant_in, put_time
from hanse_protos.ticket.v1 import escalation_pb2 as escalation_rpc
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import team_pb2 as team_rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket import governance, timeline
from hanse_services.ticket.agreed import engagement_clocks
from hanse_services.ticket.clocks.rows import is_something_due, next_due_times
from hanse_services.ticket.complaints.messages import complaints_about
from hanse_services.ticket.customers import count_tickets
from hanse_services.ticket.hierarchy import listed
from hanse_services.ticket.messages import (
    customer_to_proto,
    engagement_to_proto,
    shared_ticket_to_proto,
    ticket_to_proto,
)
from hanse_services.ticket.model import Clock, Customer, Engagement, Escalation, TeamRow, Ticket


class TicketQueries:
    """The queries of one unit's desk. Each method runs in a session of its own.

    `now` is the clock that the commands go by, so that what is read and what is done agree on the time.
    """

    def __init__(self, unit: str, policies: PolicyStore, now: Callable[[], datetime]) -> None:
        self._unit = unit
        self._policies = policies
        self._now = now

    def get_ticket(self, session: Session, request: rpc.GetTicketRequest) -> pb.Ticket:
        """Return an own ticket, or one that an engagement shares with this unit. Raises ResourceNotFound."""
        if home_of(request.name) != self._unit:
            return self._shared_ticket(session, request.name)
        ticket = session.get(Ticket, request.name)
        if ticket is None:
            raise ResourceNotFound(resource=request.name)
        return self._to_proto(session, ticket)

    def get_governance(self, session: Session, request: rpc.GetGovernanceRequest) -> rpc.Governance:
        """Say what governed a ticket at an instant. Raises ResourceNotFound, ValidationFailed."""
        return governance.get_governance(session, request, self._unit, self._policies, self._now())

    def _shared_ticket(self, session: Session, name: str) -> pb.Ticket:
        query = select(Engagement).where(Engagement.ticket == name).order_by(Engagement.request_time.desc()).limit(1)
        engagement = session.scalar(query)
        if engagement is None:
            raise ResourceNotFound(resource=name)
        return shared_ticket_to_proto(engagement)

    def _to_proto(self, session: Session, ticket: Ticket) -> pb.Ticket:
        if not ticket.target:
            return ticket_to_proto(ticket, None, self._now())
        standards = self._policies.version(session, ticket.policy_version, ticket.policy_override)
        return ticket_to_proto(ticket, standards, self._now())

    def list_tickets(self, session: Session, request: rpc.ListTicketsRequest) -> rpc.ListTicketsResponse:
        """Return a page of tickets, the newest first."""
        if request.parent != self._unit:
            raise ResourceNotFound(resource=request.parent)
        query = select(Ticket).options(selectinload(Ticket.clocks), selectinload(Ticket.segments))
        if request.states:
            query = query.where(Ticket.state.in_(request.states))
        if request.partner:
            query = query.where(Ticket.partner == request.partner)
        tickets, token = page_of(session, query, Ticket.open_time, Ticket.name, request)
        return rpc.ListTicketsResponse(
            tickets=(self._to_proto(session, ticket) for ticket in tickets), next_page_token=token
        )

    def list_timeline_entries(
        self, session: Session, request: rpc.ListTimelineEntriesRequest
    ) -> rpc.ListTimelineEntriesResponse:
        """Return a page of a ticket's steps. Raises ResourceNotFound where the ticket is neither own nor shared."""
        own = session.scalar(select(exists().where(Ticket.name == request.parent)))
        if not own and not session.scalar(select(exists().where(Engagement.ticket == request.parent))):
            raise ResourceNotFound(resource=request.parent)
        return timeline.list_timeline_entries(session, request)

    def get_customer(self, session: Session, request: rpc.GetCustomerRequest) -> pb.Customer:
        """Return a person of this unit. Raises ResourceNotFound."""
        customer = session.get(Customer, request.name)
        if customer is None:
            raise ResourceNotFound(resource=request.name)
        return customer_to_proto(customer, count_tickets(session, customer.name))

    def export_customer(self, session: Session, request: rpc.ExportCustomerRequest) -> rpc.ExportCustomerResponse:
        """Return all that this unit keeps of a person, its tickets page by page. Raises ResourceNotFound."""
        customer = self.get_customer(session, rpc.GetCustomerRequest(name=request.name))
        size = page_size(request.page_size)
        query = select(Ticket).where(Ticket.customer == customer.name).order_by(Ticket.name).limit(size + 1)
        if after := decode_token(request.page_token, [str]):
            query = query.where(Ticket.name > after[0])
        tickets = session.scalars(query).all()
        return rpc.ExportCustomerResponse(
            customer=customer,
            tickets=(self._to_proto(session, ticket) for ticket in tickets[:size]),
            entries=(entry for ticket in tickets[:size] for entry in timeline.all_entries(session, ticket.name)),
            complaints=complaints_about(session, [ticket.name for ticket in tickets[:size]]),
            next_page_token=encode_token(tickets[size - 1].name) if len(tickets) > size else "",
        )

    def list_open_clocks(self, session: Session, request: rpc.ListOpenClocksRequest) -> rpc.ListOpenClocksResponse:
        """Return a page of the tickets with a clock that has not stopped, by name, and when each has something due."""
        size = page_size(request.page_size)
        [after] = decode_token(request.page_token, [str]) or [""]
        names = select(Clock.ticket).where(Clock.stop_time.is_(None), Clock.ticket > after)
        if request.names:
            names = names.where(Clock.ticket.in_(request.names))
        if request.HasField("due_by"):
            names = names.where(is_something_due(instant_in("due_by", request.due_by)))
        page = names.distinct().order_by(Clock.ticket).limit(size + 1)
        found: dict[str, datetime | None] = {row[0]: row[1] for row in session.execute(next_due_times(page))}
        shown = list(found)[:size]
        response = rpc.ListOpenClocksResponse(tickets=shown)
        for ticket in shown:
            put_time(response.open_clocks.add(ticket=ticket).next_due_time, found[ticket])
        if len(found) > size:
            response.next_page_token = encode_token(shown[-1])
        return response

    def get_engagement(self, session: Session, request: rpc.GetEngagementRequest) -> pb.Engagement:
        """Return an engagement that this unit takes part in. Raises ResourceNotFound."""
        engagement = session.get(Engagement, request.name)
        if engagement is None:
            raise ResourceNotFound(resource=request.name)
        message = engagement_to_proto(engagement)
        message.clocks.extend(engagement_clocks(session, self._policies, engagement, self._unit, self._now()))
        return message

    def list_engagements(self, session: Session, request: rpc.ListEngagementsRequest) -> rpc.ListEngagementsResponse:
        """Return a page of engagements, the newest first."""
        query = select(Engagement)
        if request.parent != ANY_TICKET:
            query = query.where(Engagement.ticket == request.parent)
        if request.states:
            query = query.where(Engagement.state.in_(request.states))
        engagements, token = page_of(session, query, Engagement.request_time, Engagement.name, request)
        return rpc.ListEngagementsResponse(
            engagements=(engagement_to_proto(engagement) for engagement in engagements), next_page_token=token
        )


def list_teams(session: Session, request: team_rpc.ListTeamsRequest) -> team_rpc.ListTeamsResponse:
    """Return the teams of this unit's desk, by name."""
    rows = session.scalars(select(TeamRow.team).where(TeamRow.name.startswith(f"{request.parent}/teams/")))
    teams = sorted((team_rpc.Team.FromString(content) for content in rows), key=lambda team: team.name)
    return team_rpc.ListTeamsResponse(teams=teams)


def list_escalations(
    session: Session, request: escalation_rpc.ListEscalationsRequest
) -> escalation_rpc.ListEscalationsResponse:
    """Return a page of escalations, the newest first."""
    query = select(Escalation)
    if request.unacknowledged:
        query = query.where(Escalation.acknowledge_time.is_(None))
    rows, token = page_of(session, query, Escalation.raise_time, Escalation.name, request)
    return escalation_rpc.ListEscalationsResponse(escalations=listed(session, rows), next_page_token=token)


def page_of(session: Session, query: Select[Any], time: Any, name: Any, request: Any) -> tuple[Sequence[Any], str]:
    """Return the rows of a page, the newest first, and the token of the next one."""
    size = page_size(request.page_size)
    if after := decode_token(request.page_token, [datetime, str]):
        query = query.where(tuple_(time, name) < tuple_(*after))
    rows = session.scalars(query.order_by(time.desc(), name.desc()).limit(size + 1)).all()
    if len(rows) <= size:
        return rows, ""
    last = rows[size - 1]
    return rows[:size], encode_token(getattr(last, time.key), last.name)
