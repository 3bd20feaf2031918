"""What is due on a complaint: warn, note that a time ran out, take it to the next level, close what was answered.

A waiting process asks again and again; each step is done once, because it is marked as done in the transaction that
does it. What comes late is done late: the next level's times begin when the complaint really comes there.
"""

from datetime import datetime

from hanse.errors import NothingToSkip
from hanse.times import put_time, timestamp
from hanse.work import Work
from hanse_protos.ticket.v1 import complaint_pb2 as pb
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_services.ticket.complaints.clocks import next_due_time, next_step
from hanse_services.ticket.complaints.commands import (
    closed,
    kept,
    next_level,
    own_complaint,
    take_further,
    tell_overdue,
)
from hanse_services.ticket.complaints.messages import summary_of
from hanse_services.ticket.complaints.model import Complaint, ComplaintClock
from hanse_services.ticket.model import Step, StepAction


def evaluate_complaint(work: Work, request: pb.EvaluateComplaintRequest) -> pb.EvaluateComplaintResponse:
    """Do what is due on a complaint, and say when something is due next."""
    complaint = own_complaint(work, request.name)
    actions = []
    while due := _take_due(complaint, work.now):
        clock, step = due
        actions.append(_named(clock, step))
        match StepAction(step.action):
            case StepAction.BREACH:
                _overdue(work, complaint, clock)
            case StepAction.CLOSE:
                _accept_by_silence(work, complaint)
            case _:
                _warn(work, complaint, clock, step)
    if actions:
        kept(work, complaint)
    response = pb.EvaluateComplaintResponse(actions=actions)
    put_time(response.next_due_time, next_due_time(complaint.clocks))
    return response


def _take_due(complaint: Complaint, now: datetime) -> tuple[ComplaintClock, Step] | None:
    """Mark the next step as done if it is due, and return it with its clock."""
    found = next_step(complaint)
    if found is None or not found[2].is_due(now):
        return None
    clock, steps, step = found
    step.done_time = now.isoformat()
    clock.keep_steps(steps)
    return clock, step


def _warn(work: Work, complaint: Complaint, clock: ComplaintClock, step: Step) -> None:
    warned = told.ComplaintWarned(
        complaint=summary_of(complaint), kind=clock.kind, percent=step.percent, due_time=timestamp(clock.due_time)
    )
    work.tell(complaint.name, warned)


def _overdue(work: Work, complaint: Complaint, clock: ComplaintClock) -> None:
    """Note that a time ran out, and take the complaint to the next level; at the top it stays, overdue."""
    clock.breach_time = clock.due_time
    tell_overdue(work, complaint, clock)
    if next_level(work, complaint) is not None:
        take_further(work, complaint, "EscalateComplaint", told.ComplaintEscalated.OVERDUE, "")


def _accept_by_silence(work: Work, complaint: Complaint) -> None:
    """Close a complaint whose answer nobody has said anything against in time."""
    complaint.move("CloseComplaint")
    complaint.accepted_by_silence = True
    closed(work, complaint)


def skip_step(work: Work, request: pb.SkipComplaintStepRequest) -> pb.SkipComplaintStepResponse:
    """Mark the step that is due next as done without doing it.

    Raises ResourceNotFound, and NothingToSkip where nothing is due, or next a time runs out: a complaint is about the
    desk, so it goes past the desk to the next level, whatever the desk wants.
    """
    complaint = own_complaint(work, request.name)
    found = next_step(complaint)
    if found is None or found[2].action == StepAction.BREACH:
        raise NothingToSkip(resource=complaint.name)
    clock, steps, step = found
    step.done_time = work.now.isoformat()
    clock.keep_steps(steps)
    named = _named(clock, step)
    skipped = told.ComplaintStepSkipped(
        complaint=summary_of(complaint), kind=clock.kind, step=named, requester=request.requester
    )
    work.tell(complaint.name, skipped, reason=request.reason)
    kept(work, complaint)
    return pb.SkipComplaintStepResponse(step=named)


def _named(clock: ComplaintClock, step: Step) -> str:
    return step.on(pb.ComplaintClock.Kind.Name(clock.kind))
