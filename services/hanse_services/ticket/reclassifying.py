"""A ticket turns out to be something else than was said: another priority, another category.

What is promised is chosen anew under the policy that the ticket was opened under, and as if it had been so from the
opening: each clock that is still open counts from where it started. What was done on it stays done, a breach stays a
breach, also one that nobody has noticed yet, and clocks that have stopped are judged by what was promised then.

Where nothing is promised any more the open clocks are cancelled. A ticket that nothing is promised for gets its clocks
from its history once something is, as a repair would give them: new ones count from its opening, and those that were
cancelled with the last target go on as if they had not been, so that nobody gains time this way. An imported ticket
that nobody has put under a policy stays without.
"""

from typing import TypeAlias

from hanse.errors import ValidationFailed
from hanse.names import home_of
from hanse.policy.errors import CategoryNotCovered, ServiceUnknown
from hanse.policy.facts import facts_of
from hanse.policy.standards import Standards
from hanse.work import Work
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.clocks.repair import history_of, repair_under
from hanse_services.ticket.clocks.rules import retarget
from hanse_services.ticket.holding import note_overruns, tell_step
from hanse_services.ticket.loading import kept, own_ticket
from hanse_services.ticket.messages import summary_of
from hanse_services.ticket.model import Ticket

Classified: TypeAlias = tuple[pb.Priority.ValueType, str, str]
"""What a ticket was: its priority, its category, its target."""


def reclassify_ticket(work: Work, request: rpc.ReclassifyTicketRequest) -> pb.Ticket:
    """Change a ticket's priority or category. Raises ValidationFailed where neither is named; CategoryUnknown."""
    if not request.priority and not request.category:
        raise ValidationFailed("nothing is to be changed", hint="Name a priority or a category.", fields="priority")
    ticket = own_ticket(work, request.name, request.etag)
    ticket.move("ReclassifyTicket")
    note_overruns(work, ticket)
    was = (ticket.priority, ticket.category, ticket.target)
    standards = work.standards_of(ticket.policy_version, ticket.policy_override)
    ticket.priority = request.priority or ticket.priority
    if request.category:
        ticket.category = request.category
        ticket.service = _service(standards, ticket)
    if not ticket.target:
        return _promised_from_the_opening(work, standards, ticket, was, request.reason)
    retarget(standards, ticket, work.now)
    tell_step(work, ticket, lambda after: _reclassified(after, *was, ticket.target), text=request.reason)
    return kept(work, ticket)


def _promised_from_the_opening(
    work: Work, standards: Standards, ticket: Ticket, was: Classified, reason: str
) -> pb.Ticket:
    """Give a ticket that nothing is promised for what it would have had, if that had been promised before."""
    found = standards.target_for(facts_of(standards, ticket, home_of(ticket.name)))
    target = found.id if found and (ticket.clocks or not ticket.imported) else ""
    work.tell(ticket.name, _reclassified(summary_of(ticket), *was, target), text=reason)
    ticket.target = target
    if target:
        repair_under(work, standards, ticket, history_of(work.session, ticket.name, told=work.not_yet_in_the_log))
    return kept(work, ticket)


def _reclassified(
    after: pb.TicketSummary, priority: pb.Priority.ValueType, category: str, before: str, target: str
) -> told.TicketReclassified:
    return told.TicketReclassified(
        ticket=after, from_priority=priority, from_category=category, from_target=before, target=target
    )


def _service(standards: Standards, ticket: Ticket) -> str:
    """Return the service that it has, where that covers the new category; otherwise the one that does."""
    try:
        return standards.choose_service(ticket.category, ticket.service)
    except (CategoryNotCovered, ServiceUnknown):
        return standards.choose_service(ticket.category, "")
