"""Soft promises: work that can't have a deadline, such as research, is suspended with a reason and a review date.

Its clocks stand, and show as suspended. The review is a clock of its own, so the waiting process that watches the
others watches it too: when it is due the desk is told, and somebody resumes the ticket or suspends it further. Whatever
people do or leave undone, at the policy's cap the ticket goes on by itself. The cap counts all suspensions of a ticket.
"""

from datetime import datetime, timedelta

from hanse.errors import IllegalTransition, ValidationFailed
from hanse.names import home_of
from hanse.policy.facts import facts_of
from hanse.policy.histories import UNTIL_A_REVIEW
from hanse.policy.promises import Promise
from hanse.policy.standards import Standards
from hanse.times import instant_in, timestamp
from hanse.work import Work
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.clocks.rows import start_clock, stop_clock
from hanse_services.ticket.clocks.rules import current_of
from hanse_services.ticket.holding import end_wait, standards_of, tell_step
from hanse_services.ticket.loading import kept, own_ticket
from hanse_services.ticket.model import Ticket


def suspend_ticket(work: Work, request: rpc.SuspendTicketRequest) -> pb.Ticket:
    """Suspend a ticket until a review, or after a review suspend it further.

    Raises IllegalTransition where the policy does not let it be suspended or its cap is used up, ValidationFailed for a
    review that is past or too far away.
    """
    ticket = own_ticket(work, request.name, request.etag)
    ticket.move("SuspendTicket")
    standards = _standards(work, ticket)
    cap_time = _cap_time(standards, ticket, work.now)
    review_time = _checked(standards, instant_in("review_time", request.review_time), work.now, cap_time)
    if ticket.suspend_time is None:
        end_wait(ticket, work.now)
        ticket.waiting_since = ticket.suspend_time = work.now
    put_off(standards, ticket, work.now, review_time, cap_time)
    ticket.suspend_reason = request.reason
    until, at_most = timestamp(review_time), timestamp(cap_time)
    tell_step(
        work,
        ticket,
        lambda after: told.TicketSuspended(ticket=after, review_time=until, cap_time=at_most),
        text=request.reason,
    )
    return kept(work, ticket)


def _standards(work: Work, ticket: Ticket) -> Standards:
    standards = standards_of(work, ticket)
    facts = facts_of(standards, ticket, home_of(ticket.name)) if standards else None
    if standards is None or facts is None or not standards.may_be_suspended(facts, current_of(ticket)):
        raise IllegalTransition(
            f"the policy does not let {ticket.name} be suspended",
            hint="Let it wait (PauseTicket), or have the policy's `soft` rule name such work.",
            resource=ticket.name,
            verb="SuspendTicket",
        )
    return standards


def _cap_time(standards: Standards, ticket: Ticket, now: datetime) -> datetime:
    """Return when a suspension has to end that stands, or begins now. Raises IllegalTransition where nothing is left.

    One that stands may be over its cap where nobody has noticed.
    """
    cap = standards.document.soft.cap.ToTimedelta()
    left = ticket.cap_time - now if ticket.cap_time else cap - ticket.suspended_duration
    if left <= timedelta(0):
        raise IllegalTransition(
            f"{ticket.name} has been suspended for as long as the policy allows",
            hint="Work on it, or resolve it.",
            resource=ticket.name,
            verb="SuspendTicket",
        )
    return now + left


def _checked(standards: Standards, review_time: datetime, now: datetime, cap_time: datetime) -> datetime:
    latest = min(now + standards.document.soft.review_within.ToTimedelta(), cap_time)
    if not now < review_time <= latest:
        raise ValidationFailed(
            f"the review has to be between now, {now:%Y-%m-%d %H:%M:%S}, and {latest:%Y-%m-%d %H:%M:%S} UTC",
            hint="Choose a time between the two: the policy bounds reviews and what a ticket is suspended in all.",
            fields="review_time",
        )
    return review_time


def put_off(standards: Standards, ticket: Ticket, at: datetime, review_time: datetime, cap_time: datetime) -> None:
    """Let a suspended ticket wait until its next review."""
    ticket.waiting_for, ticket.review_time, ticket.cap_time = UNTIL_A_REVIEW, review_time, cap_time
    _watch(standards, ticket, at, review_time)


def review_passed(standards: Standards, ticket: Ticket, at: datetime) -> None:
    """Take note that a review was due: what is watched now is the cap."""
    ticket.review_time = None
    if ticket.cap_time is not None:
        _watch(standards, ticket, at, ticket.cap_time)


def _watch(standards: Standards, ticket: Ticket, at: datetime, until: datetime) -> None:
    """Put a clock on the next time at which something has to happen."""
    for row in ticket.clocks:
        if row.kind == pb.Clock.REVIEW and row.stop_time is None:
            stop_clock(standards, ticket, row, at)
    review = Promise(kind=pb.Clock.REVIEW, id="soft", duration=until - at, elapsed=True, warn_percents=())
    start_clock(standards, ticket, review, at)
