"""What is promised at a level of a complaint, and what is due on the way: the policy engine's arithmetic, in rows."""

from datetime import datetime, timedelta

from hanse.names import home_of
from hanse.policy import clock as arithmetic
from hanse.policy.calendar import ELAPSED_ID
from hanse.policy.clock import Segment
from hanse.policy.complaints import calendar_of
from hanse.policy.standards import Standards
from hanse_protos.policy.v1.policy_pb2 import ComplaintRule
from hanse_protos.ticket.v1 import complaint_pb2 as pb
from hanse_protos.ticket.v1.ticket_pb2 import Clock
from hanse_services.ticket.complaints.model import Complaint, ComplaintClock
from hanse_services.ticket.model import FULL_PERCENT, Step, StepAction


def start_clocks(standards: Standards, complaint: Complaint, at: datetime) -> None:
    """Start the clocks of the level that has a complaint from an instant on; none where the policy promises nothing."""
    rule = rule_of(standards, complaint.rule)
    if rule is None:
        return
    promised = {
        pb.ComplaintClock.ACKNOWLEDGEMENT: rule.acknowledge_within.ToTimedelta(),
        pb.ComplaintClock.ANSWER: rule.answer_within.ToTimedelta(),
    }
    calendar = calendar_of(standards, rule, complaint.level, home_of(complaint.name))
    for kind, duration in promised.items():
        row = _new_clock(complaint, kind, at, duration)
        row.calendar, row.due_time = calendar, _reached(standards, calendar, at, duration)
        row.keep_steps(steps_of(standards, rule, row))


def await_reply(complaint: Complaint, close_after: timedelta, at: datetime) -> None:
    """Give the customer the time from an instant on in which an answer may be rejected: every hour counts."""
    row = _new_clock(complaint, pb.ComplaintClock.REPLY, at, close_after)
    row.calendar, row.due_time = ELAPSED_ID, at + close_after
    row.keep_steps([last_step(row)])


def reply_until(complaint: Complaint) -> datetime | None:
    """Return until when the customer may reject the answer; None where none waits for that."""
    return next((row.due_time for row in complaint.running() if row.kind == pb.ComplaintClock.REPLY), None)


def _new_clock(
    complaint: Complaint, kind: pb.ComplaintClock.Kind.ValueType, at: datetime, duration: timedelta
) -> ComplaintClock:
    row = ComplaintClock(
        complaint=complaint.name,
        stage=complaint.stage,
        kind=kind,
        level=complaint.level,
        target_duration=duration,
        start_time=at,
        cancelled=False,
    )
    complaint.clocks.append(row)
    return row


def rule_of(standards: Standards, rule: str) -> ComplaintRule | None:
    """Return a rule of a version of the policy by its id."""
    return next((each for each in standards.document.complaints if each.id == rule), None)


def steps_of(standards: Standards, rule: ComplaintRule | None, row: ComplaintClock) -> list[Step]:
    """Return all that is due on a clock, in order; without the rule that it began under, only its end."""
    percents = sorted(rule.warn_percents) if rule and row.kind != pb.ComplaintClock.REPLY else []
    warnings = [
        Step(
            StepAction.WARN,
            percent,
            _reached(standards, row.calendar, row.start_time, row.target_duration * percent / FULL_PERCENT).isoformat(),
        )
        for percent in percents
    ]
    return [*warnings, last_step(row)]


def last_step(row: ComplaintClock) -> Step:
    """Return what happens when a clock runs out."""
    action = StepAction.CLOSE if row.kind == pb.ComplaintClock.REPLY else StepAction.BREACH
    return Step(action, FULL_PERCENT, row.due_time.isoformat())


def _reached(standards: Standards, calendar: str, start: datetime, amount: timedelta) -> datetime:
    """Return when so much of a clock that never stands is used up."""
    segment = Segment(unit="", calendar=calendar, running=True, start=start, end=None)
    due = arithmetic.due([segment], standards.calendars, amount)
    assert due is not None, "It never stands."  # noqa: S101
    return due


def meet_clock(complaint: Complaint, kind: pb.ComplaintClock.Kind.ValueType, at: datetime) -> ComplaintClock | None:
    """Stop a clock with what it promised done at an instant; return it where that was too late and nobody has noticed.

    What was noted as run out before it was known what had happened is taken back where it had not.
    """
    row = next((clock for clock in complaint.running() if clock.kind == kind), None)
    if row is None:
        return None
    unnoticed = _has_run_out(row, at) and row.breach_time is None
    row.breach_time = row.due_time if _has_run_out(row, at) else None
    row.stop_time = at
    return row if unnoticed else None


def end_clocks(complaint: Complaint, at: datetime) -> None:
    """Stop the clocks that run: the complaint is closed in good order."""
    for row in complaint.running():
        row.stop_time = at


def cancel_clocks(complaint: Complaint, at: datetime) -> list[ComplaintClock]:
    """Stop the clocks that run: the complaint leaves this level, or is over.

    Return those that had run out before, where nobody has noticed. The customer's time to reject an answer is a promise
    to the customer, not of the level: it is just over.
    """
    running = complaint.running()
    promised = [row for row in running if row.kind != pb.ComplaintClock.REPLY and row.breach_time is None]
    unnoticed = [row for row in promised if _has_run_out(row, at)]
    for row in unnoticed:
        row.breach_time = row.due_time
    for row in running:
        row.stop_time, row.cancelled = at, row.breach_time is None
    return unnoticed


def _has_run_out(row: ComplaintClock, at: datetime) -> bool:
    return at >= row.due_time


def state_of(row: ComplaintClock) -> Clock.State.ValueType:
    """Return where a clock stands."""
    if row.breach_time is not None:
        return Clock.BREACHED
    if row.stop_time is None:
        return Clock.RUNNING
    return Clock.CANCELLED if row.cancelled else Clock.MET


def next_due_time(clocks: list[ComplaintClock]) -> datetime | None:
    """Return when something is due next on clocks; None where nothing is."""
    due = [step[0] for row in clocks if row.stop_time is None for step in _waiting_steps(row)]
    return min(due, default=None)


def next_step(complaint: Complaint) -> tuple[ComplaintClock, list[Step], Step] | None:
    """Return the step that is due next, with its clock and all steps of that; None where nothing is."""
    waiting = [(due, row, steps, step) for row in complaint.running() for due, steps, step in _waiting_steps(row)]
    return min(waiting, key=lambda one: one[0])[1:] if waiting else None


def _waiting_steps(row: ComplaintClock) -> list[tuple[datetime, list[Step], Step]]:
    steps = row.open_steps()
    return [
        (datetime.fromisoformat(step.due_time), steps, step)
        for step in steps
        if step.done_time is None and step.due_time
    ]
