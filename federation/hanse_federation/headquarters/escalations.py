"""What was escalated to headquarters, and that headquarters has seen it: its word goes back to the ticket's home."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.errors import ResourceNotFound
from hanse.times import timestamp
from hanse.work import Work
from hanse_federation.headquarters.views import page_of
from hanse_federation.model import GroupEscalation
from hanse_protos.federation.v1 import group_pb2 as group
from hanse_protos.ticket.v1.escalation_pb2 import Escalation
from hanse_protos.ticket.v1.events_pb2 import TicketEscalationSeen
from hanse_protos.ticket.v1.ticket_pb2 import TicketSummary


def list_group_escalations(
    session: Session, request: group.ListGroupEscalationsRequest
) -> group.ListGroupEscalationsResponse:
    """Return a page of what headquarters was told, the newest first."""
    query = select(GroupEscalation)
    if request.unacknowledged:
        query = query.where(GroupEscalation.acknowledge_time.is_(None))
    rows, token = page_of(session, query, request, GroupEscalation.raise_time, GroupEscalation.name)
    escalations = [Escalation.FromString(row.escalation) for row in rows]
    return group.ListGroupEscalationsResponse(escalations=escalations, next_page_token=token)


def acknowledge_group_escalation(work: Work, request: group.AcknowledgeGroupEscalationRequest) -> Escalation:
    """Say that headquarters has seen it. To say it again changes nothing. Raises ResourceNotFound."""
    row = work.session.get(GroupEscalation, request.name, with_for_update=True)
    if row is None:
        raise ResourceNotFound(resource=request.name)
    escalation = Escalation.FromString(row.escalation)
    if row.acknowledge_time is None:
        row.acknowledge_time = work.now
        escalation.acknowledge_time.CopyFrom(timestamp(work.now))
        escalation.acknowledger = work.cause.actor
        row.escalation = escalation.SerializeToString()
        seen = TicketEscalationSeen(ticket=TicketSummary.FromString(row.ticket), escalation=escalation)
        work.tell(row.name, seen)
    return escalation
