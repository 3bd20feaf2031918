"""Who may handle a complaint: nobody who worked on the ticket that it is about (ISO 10002, 4.5: objectivity).

And who may end it: nobody who has taken it up, until it is answered; and as long as the customer may reject an answer,
nobody who gave it.
"""

from collections.abc import Callable
from datetime import UTC
from typing import Any

from google.protobuf.message import Message
from sqlalchemy import select

from hanse.erasing import is_about
from hanse.errors import ComplaintHandlerInvolved, ComplaintReplyAwaited, IllegalTransition, WithdrawnByHandler
from hanse.log.events import payload_of
from hanse.work import Work
from hanse_protos.log.v1.log_pb2 import Event
from hanse_protos.policy.v1.policy_pb2 import HierarchyStep
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_services.ticket.complaints.clocks import reply_until
from hanse_services.ticket.complaints.model import UNDER_WAY, Complaint
from hanse_services.ticket.levels import check_level
from hanse_services.ticket.model import SCHEMA, Ticket

AGENTS = "/agents/"
_WORKING: dict[type[Message], Callable[[Event, Any], str]] = {
    told.TicketAssigned: lambda event, payload: payload.assignee,
    told.TicketResolved: lambda event, payload: event.actor,
    told.EngagementAccepted: lambda event, payload: payload.assignee or event.actor,
    told.EngagementWorkNoted: lambda event, payload: event.actor,
    told.EngagementDelivered: lambda event, payload: event.actor,
}
"""Who worked on a ticket, by the facts that say so. To comment, or to assign it to somebody, is not to work on it."""
_TYPES = [payload.DESCRIPTOR.full_name for payload in _WORKING]


def involved_in(work: Work, ticket: str) -> list[str]:
    """Return the people who worked on a ticket, here and at providers, by name."""
    row = work.session.get(Ticket, ticket)
    found = {row.assignee} if row else set()
    for table in (SCHEMA.log.record, SCHEMA.inbox):
        query = select(table.c.event).where(is_about(table.c.resource, ticket), table.c.type.in_(_TYPES))
        for content in work.session.scalars(query):
            event = Event.FromString(content)
            payload: Any = payload_of(event)
            found.add(_WORKING[type(payload)](event, payload))
    return sorted(name for name in found if AGENTS in name)


def check_handler(work: Work, complaint: Complaint, verb: str) -> None:
    """Let the caller handle a complaint here.

    Whoever closes it notes what the customer says, so that is bound to no level. Raises IllegalTransition where it has
    come to headquarters, which handles it there; LevelAboveCaller for a lead where it has come to the manager;
    ComplaintHandlerInvolved for somebody who worked on the ticket.
    """
    if complaint.level == HierarchyStep.HEADQUARTERS and verb != "CloseComplaint":
        raise IllegalTransition(
            f"{complaint.name} has come to headquarters",
            hint="Headquarters handles it there: hanse complaint … -u hq.",
            resource=complaint.name,
            verb=verb,
        )
    if verb != "CloseComplaint":
        check_level(work, complaint.name, complaint.level)
    check_not_involved(complaint.name, work.cause.actor, involved_in(work, complaint.ticket))


def check_reply_heard(work: Work, complaint: Complaint) -> None:
    """Let the caller end a complaint that is answered.

    Raises ComplaintReplyAwaited for who answered it, as long as the customer may reject the answer: nobody is to be
    quicker than the customer with an answer of their own.
    """
    until = reply_until(complaint)
    if work.cause.actor == complaint.handler and until and work.now < until:
        raise ComplaintReplyAwaited(
            f"the customer may reject the answer to {complaint.name} until {until.astimezone(UTC):%Y-%m-%d %H:%M} UTC, "
            "and who gave it does not end the complaint before",
            resource=complaint.name,
            until=until.isoformat(),
        )


def check_taken_back(work: Work, complaint: Complaint) -> None:
    """Let the caller note that the customer takes a complaint back.

    Raises WithdrawnByHandler for who has taken it up and owes the answer; what `check_reply_heard` raises.
    """
    if complaint.state in UNDER_WAY and work.cause.actor == complaint.handler:
        raise WithdrawnByHandler(resource=complaint.name, agent=work.cause.actor)
    check_reply_heard(work, complaint)


def check_not_involved(complaint: str, actor: str, involved: list[str]) -> None:
    """Raise ComplaintHandlerInvolved for somebody who worked on the ticket."""
    if actor in involved:
        raise ComplaintHandlerInvolved(resource=complaint, agent=actor)
