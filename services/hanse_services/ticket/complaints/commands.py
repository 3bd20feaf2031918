"""What people may do with complaints. Each command changes one and tells what it did, in one transaction."""

from datetime import datetime, timedelta
from typing import TypeAlias

from sqlalchemy import select

from hanse.erasing import erased_among
from hanse.errors import IllegalTransition, PolicyMissing, ResourceNotFound
from hanse.etags import check_etag
from hanse.names import home_of, new_id
from hanse.policy.complaints import CLOSE_AFTER, close_after_of, levels_of
from hanse.policy.errors import CategoryUnknown
from hanse.policy.facts import facts_of
from hanse.policy.levels import level_above
from hanse.policy.standards import Standards
from hanse.times import timestamp
from hanse.work import Work
from hanse_protos.policy.v1.policy_pb2 import HierarchyStep, TicketFacts
from hanse_protos.ticket.v1 import complaint_pb2 as pb
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_services.ticket.complaints.clocks import (
    await_reply,
    cancel_clocks,
    end_clocks,
    meet_clock,
    rule_of,
    start_clocks,
)
from hanse_services.ticket.complaints.handlers import (
    check_handler,
    check_not_involved,
    check_reply_heard,
    check_taken_back,
    involved_in,
)
from hanse_services.ticket.complaints.messages import complaint_to_proto, summary_of
from hanse_services.ticket.complaints.model import Complaint, ComplaintClock
from hanse_services.ticket.loading import own_ticket
from hanse_services.ticket.model import SCHEMA, Ticket, etag_of

Cause: TypeAlias = told.ComplaintEscalated.Cause.ValueType


def create_complaint(work: Work, request: pb.CreateComplaintRequest) -> pb.Complaint:
    """File a complaint about a ticket of this unit.

    Raises ResourceNotFound, also for another partner's ticket; IllegalTransition where the ticket was erased;
    PolicyMissing.
    """
    ticket = _open_to_complaints(work, request)
    work.act_for(request.partner)
    standards = work.standards
    complaint = _filed(work, standards, ticket, request.text)
    work.session.add(complaint)
    start_clocks(standards, complaint, work.now)
    work.tell(complaint.name, told.ComplaintOpened(complaint=summary_of(complaint)), text=request.text)
    if complaint.level == HierarchyStep.HEADQUARTERS:
        _tell_headquarters(work, complaint, HierarchyStep.LEVEL_UNSPECIFIED, told.ComplaintEscalated.REQUESTED, "")
    return complaint_to_proto(complaint)


def _open_to_complaints(work: Work, request: pb.CreateComplaintRequest) -> Ticket:
    """Return the ticket that a complaint is about. Raises ResourceNotFound, IllegalTransition."""
    ticket = own_ticket(work, request.parent)
    if request.partner and request.partner != ticket.partner:
        raise ResourceNotFound(resource=request.parent)
    if erased_among(work.session, SCHEMA, [ticket.name]):
        raise IllegalTransition(
            f"the texts of {ticket.name} were erased: there is nothing left to look into",
            hint="Open a new ticket.",
            resource=ticket.name,
            verb="CreateComplaint",
        )
    return ticket


def _filed(work: Work, standards: Standards, ticket: Ticket, text: str) -> Complaint:
    """Return a new complaint, at the level where it begins."""
    rule = standards.complaint_rule(_facts(standards, ticket))
    return Complaint(
        name=f"{ticket.name}/complaints/{new_id()}",
        ticket=ticket.name,
        version=1,
        state=pb.COMPLAINT_OPEN,
        level=levels_of(standards, work.unit, rule)[0],
        stage=1,
        outcome=pb.COMPLAINT_OUTCOME_UNSPECIFIED,
        customer=ticket.customer or "",
        partner=ticket.partner,
        handler="",
        text=text,
        answer="",
        open_time=work.now,
        level_time=work.now,
        update_time=work.now,
        accepted_by_silence=False,
        rule=rule.id if rule else "",
        policy_version=standards.version,
        policy_override=standards.override,
    )


def _facts(standards: Standards, ticket: Ticket) -> TicketFacts | None:
    """Return what conditions see of a ticket; None for an imported one that the policy knows nothing of."""
    try:
        return facts_of(standards, ticket, home_of(ticket.name))
    except CategoryUnknown:
        return None


def acknowledge_complaint(work: Work, request: pb.AcknowledgeComplaintRequest) -> pb.Complaint:
    """Take a complaint up. Raises ComplaintHandlerInvolved for somebody who worked on the ticket."""
    complaint = own_complaint(work, request.name, request.etag)
    check_handler(work, complaint, "AcknowledgeComplaint")
    complaint.move("AcknowledgeComplaint")
    acknowledged(work, complaint, work.cause.actor, work.now)
    return kept(work, complaint)


def acknowledged(work: Work, complaint: Complaint, handler: str, at: datetime) -> None:
    """Take note that somebody has taken it up, here or at headquarters."""
    complaint.handler, complaint.acknowledge_time = handler, at
    _meet(work, complaint, pb.ComplaintClock.ACKNOWLEDGEMENT, at)
    work.tell(complaint.name, told.ComplaintAcknowledged(complaint=summary_of(complaint)))


def _meet(work: Work, complaint: Complaint, kind: pb.ComplaintClock.Kind.ValueType, at: datetime) -> None:
    if late := meet_clock(complaint, kind, at):
        tell_overdue(work, complaint, late)


def _cancel(work: Work, complaint: Complaint) -> None:
    for late in cancel_clocks(complaint, work.now):
        tell_overdue(work, complaint, late)


def tell_overdue(work: Work, complaint: Complaint, clock: ComplaintClock) -> None:
    """Tell that the time of a clock has run out."""
    due_time = timestamp(clock.due_time)
    overdue = told.ComplaintOverdue(complaint=summary_of(complaint), kind=clock.kind, due_time=due_time)
    work.tell(complaint.name, overdue)


def note_complaint(work: Work, request: pb.NoteComplaintRequest) -> pb.Complaint:
    """Note what was found out."""
    complaint = own_complaint(work, request.name, request.etag)
    check_handler(work, complaint, "NoteComplaint")
    complaint.move("NoteComplaint")
    work.tell(complaint.name, told.ComplaintNoted(complaint=summary_of(complaint)), text=request.text)
    return kept(work, complaint)


def answer_complaint(work: Work, request: pb.AnswerComplaintRequest) -> pb.Complaint:
    """Answer the customer, and say whether the complaint was justified."""
    complaint = own_complaint(work, request.name, request.etag)
    check_handler(work, complaint, "AnswerComplaint")
    complaint.move("AnswerComplaint")
    complaint.answer = request.text
    answered(work, complaint, work.cause.actor, request.outcome, work.now, text=request.text)
    return kept(work, complaint)


def answered(
    work: Work,
    complaint: Complaint,
    handler: str,
    outcome: pb.ComplaintOutcome.ValueType,
    at: datetime,
    *,
    text: str = "",
) -> None:
    """Take note that the customer is answered. `text` is told where this unit wrote it.

    The customer's time to reject the answer begins now, when this unit can give it, also where it was written earlier.
    """
    complaint.handler, complaint.outcome, complaint.answer_time = handler, outcome, at
    _meet(work, complaint, pb.ComplaintClock.ANSWER, at)
    await_reply(complaint, _close_after(work, complaint), work.now)
    work.tell(complaint.name, told.ComplaintAnswered(complaint=summary_of(complaint)), text=text)


def _close_after(work: Work, complaint: Complaint) -> timedelta:
    """Return how long an answer waits for the customer.

    The policy of a complaint that was restored may be missing here; the answer must not be lost for that.
    """
    try:
        return close_after_of(rule_of(standards_of(work, complaint), complaint.rule))
    except PolicyMissing:
        return CLOSE_AFTER


def reject_answer(work: Work, request: pb.RejectComplaintAnswerRequest) -> pb.Complaint:
    """Take a complaint further, since the customer is not content. Raises IllegalTransition where nobody is above."""
    complaint = own_complaint(work, request.name, request.etag, request.partner)
    work.act_for(request.partner)
    complaint.move("RejectComplaintAnswer")
    take_further(work, complaint, "RejectComplaintAnswer", told.ComplaintEscalated.ANSWER_REJECTED, request.text)
    return kept(work, complaint)


def escalate_complaint(work: Work, request: pb.EscalateComplaintRequest) -> pb.Complaint:
    """Take a complaint further before it is answered. Raises IllegalTransition where nobody is above."""
    complaint = own_complaint(work, request.name, request.etag)
    complaint.move("EscalateComplaint")
    take_further(work, complaint, "EscalateComplaint", told.ComplaintEscalated.REQUESTED, request.text)
    return kept(work, complaint)


def take_further(work: Work, complaint: Complaint, verb: str, cause: Cause, text: str) -> None:
    """Give a complaint to the next level. Raises IllegalTransition where nobody is above."""
    level, before = next_level(work, complaint), complaint.level
    if level is None:
        raise IllegalTransition(
            f"nobody is above the level that has {complaint.name}",
            hint="Answer it, or close it when it is answered; the customer may go to somebody outside of the group.",
            resource=complaint.name,
            verb=verb,
        )
    _cancel(work, complaint)
    complaint.state, complaint.level, complaint.stage = pb.COMPLAINT_OPEN, level, complaint.stage + 1
    complaint.level_time, complaint.handler = work.now, ""
    complaint.outcome = pb.COMPLAINT_OUTCOME_UNSPECIFIED
    complaint.acknowledge_time = complaint.answer_time = None
    start_clocks(standards_of(work, complaint), complaint, work.now)
    if level == HierarchyStep.HEADQUARTERS:
        _tell_headquarters(work, complaint, before, cause, text)
        return
    escalated = told.ComplaintEscalated(complaint=summary_of(complaint), from_level=before, cause=cause)
    work.tell(complaint.name, escalated, text=text)


def next_level(work: Work, complaint: Complaint) -> HierarchyStep.Level.ValueType | None:
    """Return the level above the one that has a complaint; None where there is none for this unit."""
    above = level_above(complaint.level)
    if above == HierarchyStep.HEADQUARTERS and not work.standards.lists_others(work.unit):
        return None
    return above


def _tell_headquarters(
    work: Work, complaint: Complaint, before: HierarchyStep.Level.ValueType, cause: Cause, text: str
) -> None:
    """Tell headquarters of a complaint that has come to it, with the texts that it needs for an answer."""
    summary = summary_of(complaint, involved_in(work, complaint.ticket))
    escalated = told.ComplaintEscalated(complaint=summary, from_level=before, cause=cause)
    work.tell(complaint.name, escalated, complaint=complaint.text, answer=complaint.answer, text=text)


def close_complaint(work: Work, request: pb.CloseComplaintRequest) -> pb.Complaint:
    """End a complaint that is answered. Raises ComplaintReplyAwaited for who answered it, before its time."""
    complaint = own_complaint(work, request.name, request.etag)
    check_handler(work, complaint, "CloseComplaint")
    check_reply_heard(work, complaint)
    complaint.move("CloseComplaint")
    closed(work, complaint)
    return kept(work, complaint)


def closed(work: Work, complaint: Complaint) -> None:
    """Take note that an answered complaint is over."""
    end_clocks(complaint, work.now)
    complaint.close_time = work.now
    work.tell(complaint.name, told.ComplaintClosed(complaint=summary_of(complaint)))


def withdraw_complaint(work: Work, request: pb.WithdrawComplaintRequest) -> pb.Complaint:
    """End a complaint that the customer takes back.

    Raises ComplaintHandlerInvolved for who worked on the ticket; WithdrawnByHandler for who has taken the complaint up;
    ComplaintReplyAwaited for who answered it.
    """
    complaint = own_complaint(work, request.name, request.etag, request.partner)
    work.act_for(request.partner)
    check_not_involved(complaint.name, work.cause.actor, involved_in(work, complaint.ticket))
    check_taken_back(work, complaint)
    _cancel(work, complaint)
    complaint.move("WithdrawComplaint")
    complaint.outcome, complaint.close_time = pb.TAKEN_BACK, work.now
    closed = told.ComplaintClosed(complaint=summary_of(complaint))
    work.tell(complaint.name, closed, text=request.text)
    return kept(work, complaint)


def own_complaint(work: Work, name: str, etag: str = "", partner: str = "") -> Complaint:
    """Load and lock a complaint of this unit. Raises ResourceNotFound, also for another partner's; EtagMismatch.

    Its time never goes back: where the machine's clock has, the command runs at the time of the last change.
    """
    complaint = find_complaint(work, name) if home_of(name) == work.unit else None
    if complaint is None or (partner and complaint.partner != partner):
        raise ResourceNotFound(resource=name)
    check_etag(complaint.name, etag_of(complaint), etag)
    work.now = max(work.now, complaint.update_time)
    return complaint


def find_complaint(work: Work, name: str) -> Complaint | None:
    """Load and lock a complaint, if it is here."""
    work.session.flush()
    query = select(Complaint).where(Complaint.name == name).with_for_update()
    return work.session.scalar(query.execution_options(populate_existing=True))


def standards_of(work: Work, complaint: Complaint) -> Standards:
    """Return the policy that a complaint was filed under."""
    return work.standards_of(complaint.policy_version, complaint.policy_override)


def kept(work: Work, complaint: Complaint) -> pb.Complaint:
    """Count the change of a complaint, and return the answer of the command that made it."""
    complaint.version += 1
    complaint.update_time = work.now
    return complaint_to_proto(complaint)


def open_complaints(work: Work, tickets: list[str]) -> list[str]:
    """Return the complaints about some tickets that are not over, by name."""
    query = select(Complaint.name).where(Complaint.ticket.in_(tickets), Complaint.state != pb.COMPLAINT_CLOSED)
    return list(work.session.scalars(query.order_by(Complaint.name)))
