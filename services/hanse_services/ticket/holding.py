"""Who holds a ticket, and on whose calendar its clocks run."""

from datetime import datetime, timedelta

from hanse.policy.standards import Standards
from hanse.times import put_time
from hanse.work import Work
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket import clocks, segments
from hanse_services.ticket.messages import summary_of
from hanse_services.ticket.model import Clock, StepAction, Ticket


def standards_of(work: Work, ticket: Ticket) -> Standards | None:
    """Return the policy that the ticket was opened under; None for a ticket without clocks (an imported one)."""
    return work.standards_of(ticket.policy_version) if ticket.clocks else None


def settle_clocks(work: Work, ticket: Ticket, at: datetime) -> None:
    """Let the clocks follow the ticket as it is from an instant on, and compute their deadlines anew."""
    standards = standards_of(work, ticket)
    if standards:
        segments.follow_ticket(standards, ticket, at)
        clocks.schedule(standards, ticket)


def stop_clocks(work: Work, ticket: Ticket, *kinds: pb.Clock.Kind.ValueType) -> None:
    """Stop clocks, now. One that has run out breaches first: nobody may have asked since, but it was too late."""
    for row in ticket.clocks:
        if row.kind not in kinds or row.stop_time is not None:
            continue
        steps = row.open_steps()
        for step in steps:
            if step.action == StepAction.BREACH and step.is_due(work.now):
                step.done_time = work.now.isoformat()
                breach(work, ticket, row, datetime.fromisoformat(step.due_time or step.done_time))
                row.keep_steps(steps)
        row.stop_time, row.due_time = work.now, None


def breach(work: Work, ticket: Ticket, clock: Clock, at: datetime) -> None:
    """Note that a clock ran out, and tell it."""
    ticket.breached, clock.breach_time = True, at
    breached = told.SlaBreached(ticket=summary_of(ticket), kind=clock.kind)
    put_time(breached.due_time, at)
    work.tell(ticket.name, breached)


def hand_over(work: Work, ticket: Ticket, unit: str, engagement: str, at: datetime) -> None:
    """Give a ticket to another unit, at the instant at which that happened, and tell it."""
    if ticket.holder == unit:
        return
    before, ticket.holder = ticket.holder, unit
    if ticket.state in (pb.NEW, pb.IN_PROGRESS, pb.WAITING):
        settle_clocks(work, ticket, at)
    handed_over = told.TicketHandedOver(
        ticket=summary_of(ticket), from_unit=before, to_unit=unit, engagement=engagement
    )
    work.tell(ticket.name, handed_over, occur_time=at)
    ticket.version += 1
    ticket.update_time = work.now


def end_wait(ticket: Ticket, now: datetime) -> None:
    """Add the wait that ends now to what the ticket waited in all."""
    if ticket.waiting_since is not None:
        ticket.waiting_duration += max(now - ticket.waiting_since, timedelta(0))
    ticket.waiting_for, ticket.waiting_since = "", None
