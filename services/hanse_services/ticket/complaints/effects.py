"""What headquarters told of complaints that came to it, and complaints that come back after a restore."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from google.protobuf.message import Message
from sqlalchemy import select

from hanse.errors import PolicyMissing
from hanse.log.events import Fact
from hanse.log.sealing import texts_of
from hanse.names import HEADQUARTERS, home_of, ticket_in
from hanse.policy.standards import Standards
from hanse.telling.inbox import Effect
from hanse.times import instant
from hanse.work import Work
from hanse_protos.policy.v1.policy_pb2 import HierarchyStep
from hanse_protos.ticket.v1 import complaint_pb2 as pb
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1.ticket_pb2 import Clock
from hanse_services.ticket.complaints.clocks import last_step, rule_of, steps_of
from hanse_services.ticket.complaints.commands import acknowledged, answered, find_complaint, kept, standards_of
from hanse_services.ticket.complaints.model import Complaint, ComplaintClock
from hanse_services.ticket.loading import find_ticket
from hanse_services.ticket.model import SCHEMA, Step


def complaint_seen(work: Work, fact: Fact) -> None:
    """Headquarters has taken it up."""
    complaint = _at_headquarters(work, fact)
    if complaint and complaint.state == pb.COMPLAINT_OPEN:
        complaint.move("AcknowledgeComplaint")
        acknowledged(work, complaint, fact.event.actor, _time_of(work, complaint, fact))
        kept(work, complaint)


def complaint_decided(work: Work, fact: Fact) -> None:
    """Headquarters has answered it. A complaint that was restored as answered gets the answer's text."""
    complaint = _at_headquarters(work, fact)
    if complaint is None or complaint.state not in (pb.COMPLAINT_ACKNOWLEDGED, pb.COMPLAINT_ANSWERED):
        return
    complaint.answer = fact.texts.get("text", "") or complaint.answer
    if complaint.state == pb.COMPLAINT_ACKNOWLEDGED:
        complaint.move("AnswerComplaint")
        payload: Any = fact.payload
        answered(work, complaint, fact.event.actor, payload.complaint.outcome, _time_of(work, complaint, fact))
        kept(work, complaint)


def _at_headquarters(work: Work, fact: Fact) -> Complaint | None:
    """Return the complaint that headquarters tells of, where it is this unit's and headquarters has it.

    Its time never goes back, as in `own_complaint`.
    """
    payload: Any = fact.payload
    name = payload.complaint.name
    if fact.event.unit != HEADQUARTERS or home_of(name) != work.unit:
        return None
    complaint = find_complaint(work, name)
    if complaint is None or complaint.level != HierarchyStep.HEADQUARTERS:
        return None
    work.now = max(work.now, complaint.update_time)
    return complaint


def _time_of(work: Work, complaint: Complaint, fact: Fact) -> datetime:
    """Return when headquarters did it: its clock may be behind, but the complaint had come to it by then."""
    return max(work.time_of(fact), complaint.acknowledge_time or complaint.level_time)


def restored(work: Work, fact: Fact) -> None:
    """Restore a complaint as an event left it, with the texts that had been granted to others."""
    payload: Any = fact.payload
    summary: pb.ComplaintSummary = payload.complaint
    ticket = ticket_in(summary.name)
    if home_of(summary.name) != work.unit or find_ticket(work, ticket) is None:
        return
    complaint = find_complaint(work, summary.name)
    if complaint is None:
        complaint = Complaint(name=summary.name, ticket=ticket, version=0, text="", answer="", clocks=[])
        work.session.add(complaint)
    _as_told(complaint, summary)
    complaint.version += 1
    complaint.update_time = fact.occur_time
    match payload:
        case told.ComplaintOpened():
            complaint.text = fact.texts.get("text", "")
        case told.ComplaintAnswered():
            complaint.answer = fact.texts.get("text", "") or _answer_of_headquarters(work, complaint)
        case told.ComplaintEscalated():
            complaint.text = complaint.text or fact.texts.get("complaint", "")
            complaint.answer = complaint.answer or fact.texts.get("answer", "")
    _restore_clocks(work, complaint, summary, fact)
    if isinstance(payload, told.ComplaintStepSkipped):
        _skip_again(complaint, payload, fact)


def _answer_of_headquarters(work: Work, complaint: Complaint) -> str:
    """Return what headquarters answered, where that has come here before the complaint was restored."""
    columns = SCHEMA.inbox.c
    decided = told.ComplaintDecided.DESCRIPTOR.full_name
    query = select(columns.sealed).where(columns.resource == complaint.name, columns.type == decided)
    return texts_of(work.session.scalar(query)).get("text", "")


def _as_told(complaint: Complaint, summary: pb.ComplaintSummary) -> None:
    for field in (
        "state", "level", "stage", "outcome", "customer", "partner", "handler",
        "rule", "policy_version", "policy_override", "accepted_by_silence",
    ):  # fmt: skip
        setattr(complaint, field, getattr(summary, field))
    complaint.open_time, complaint.level_time = instant(summary.open_time), instant(summary.level_time)
    complaint.acknowledge_time = instant(summary.acknowledge_time) if summary.HasField("acknowledge_time") else None
    complaint.answer_time = instant(summary.answer_time) if summary.HasField("answer_time") else None
    complaint.close_time = instant(summary.close_time) if summary.HasField("close_time") else None


def _restore_clocks(work: Work, complaint: Complaint, summary: pb.ComplaintSummary, fact: Fact) -> None:
    """Put the clocks as they were told. What was due before the event had been done, or passed over, by then."""
    rows = {(row.stage, row.kind): row for row in complaint.clocks}
    for clock in summary.clocks:
        row = rows.get((clock.stage, clock.kind)) or _new_row(work, complaint, clock)
        row.breach_time = instant(clock.breach_time) if clock.HasField("breach_time") else None
        row.stop_time = instant(clock.stop_time) if clock.HasField("stop_time") else None
        row.cancelled = clock.state == Clock.CANCELLED
        steps = row.open_steps()
        for step in steps:
            if step.is_due(fact.occur_time):
                step.done_time = step.due_time
        row.keep_steps(steps)


def _skip_again(complaint: Complaint, skipped: told.ComplaintStepSkipped, fact: Fact) -> None:
    for row in complaint.running():
        if row.kind == skipped.kind:
            row.skip_again(pb.ComplaintClock.Kind.Name(row.kind), skipped.step, fact.occur_time)


def _new_row(work: Work, complaint: Complaint, clock: pb.ComplaintClock) -> ComplaintClock:
    row = ComplaintClock(
        complaint=complaint.name,
        stage=clock.stage,
        kind=clock.kind,
        level=clock.level,
        target_duration=clock.target_duration.ToTimedelta(),
        calendar=clock.calendar,
        start_time=instant(clock.start_time),
        due_time=instant(clock.due_time),
    )
    row.keep_steps(_steps(work, complaint, row))
    complaint.clocks.append(row)
    return row


def _steps(work: Work, complaint: Complaint, row: ComplaintClock) -> list[Step]:
    """Return what is due on a clock; without the policy that it began under, only its end."""
    try:
        standards: Standards = standards_of(work, complaint)
    except PolicyMissing:
        return [last_step(row)]
    return steps_of(standards, rule_of(standards, complaint.rule), row)


EFFECTS: dict[type, Effect] = {told.ComplaintSeen: complaint_seen, told.ComplaintDecided: complaint_decided}
"""Which of headquarters' facts has which effect."""

RESTORES: dict[type[Message], Callable[[Work, Fact], None]] = dict.fromkeys(
    (
        told.ComplaintOpened,
        told.ComplaintAcknowledged,
        told.ComplaintNoted,
        told.ComplaintAnswered,
        told.ComplaintEscalated,
        told.ComplaintWarned,
        told.ComplaintOverdue,
        told.ComplaintStepSkipped,
        told.ComplaintClosed,
    ),
    restored,
)
"""What is restored from which event."""
