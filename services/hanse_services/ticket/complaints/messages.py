"""From rows of complaints to messages: resources for callers, summaries for events."""

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.times import duration, put_time, timestamp
from hanse_protos.ticket.v1 import complaint_pb2 as pb
from hanse_services.ticket.complaints.clocks import state_of
from hanse_services.ticket.complaints.model import Complaint, ComplaintClock
from hanse_services.ticket.model import etag_of


def summary_of(complaint: Complaint, involved: Iterable[str] = ()) -> pb.ComplaintSummary:
    """Return what every event on a complaint carries: no text, no person."""
    message = pb.ComplaintSummary(
        name=complaint.name,
        state=complaint.state,
        level=complaint.level,
        stage=complaint.stage,
        outcome=complaint.outcome,
        customer=complaint.customer,
        partner=complaint.partner,
        handler=complaint.handler,
        open_time=timestamp(complaint.open_time),
        level_time=timestamp(complaint.level_time),
        rule=complaint.rule,
        policy_version=complaint.policy_version,
        policy_override=complaint.policy_override,
        involved=involved,
        clocks=map(_clock_to_proto, complaint.clocks),
        accepted_by_silence=complaint.accepted_by_silence,
    )
    put_time(message.acknowledge_time, complaint.acknowledge_time)
    put_time(message.answer_time, complaint.answer_time)
    put_time(message.close_time, complaint.close_time)
    return message


def _clock_to_proto(row: ComplaintClock) -> pb.ComplaintClock:
    message = pb.ComplaintClock(
        kind=row.kind,
        stage=row.stage,
        level=row.level,
        state=state_of(row),
        target_duration=duration(row.target_duration),
        calendar=row.calendar,
        start_time=timestamp(row.start_time),
        due_time=timestamp(row.due_time),
    )
    put_time(message.breach_time, row.breach_time)
    put_time(message.stop_time, row.stop_time)
    return message


def complaint_to_proto(complaint: Complaint) -> pb.Complaint:
    """Return a complaint as its unit has it."""
    return pb.Complaint(
        name=complaint.name,
        etag=etag_of(complaint),
        summary=summary_of(complaint),
        text=complaint.text,
        answer=complaint.answer,
        update_time=timestamp(complaint.update_time),
    )


def complaints_about(session: Session, tickets: list[str]) -> list[pb.Complaint]:
    """Return the complaints about some tickets, by name."""
    rows = session.scalars(select(Complaint).where(Complaint.ticket.in_(tickets)).order_by(Complaint.name))
    return [complaint_to_proto(row) for row in rows]
