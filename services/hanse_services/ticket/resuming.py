"""Going on with a ticket that waited or was suspended.

At the policy's cap suspended work goes on by itself. Nobody may ask at that instant: a worker was down, or a person was
first. It goes on then all the same, and what comes later counts from there. What happened to the ticket in between had
counted otherwise, and is repaired, as after a fact that was heard of late.
"""

from hanse.policy.standards import Standards
from hanse.times import timestamp
from hanse.work import Work
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.clocks.repair import repair_after
from hanse_services.ticket.holding import end_wait, stop_clocks, tell_step
from hanse_services.ticket.messages import summary_of
from hanse_services.ticket.model import Ticket
from hanse_services.ticket.suspending import review_passed


def resume(work: Work, ticket: Ticket) -> None:
    """Go on with a ticket, now; with suspended work at the policy's cap, where that is reached."""
    cap_time = ticket.cap_time if is_capped(work, ticket) else None
    at = cap_time or work.now
    ticket.move("ResumeTicket")
    stop_clocks(work, ticket, pb.Clock.REVIEW, at=at)
    end_wait(ticket, at)
    place = len(work.entries)
    tell_step(work, ticket, lambda after: told.TicketResumed(ticket=after, at_cap=cap_time is not None), at=at)
    if at < ticket.update_time:
        repair_after(work, ticket, str(work.entries[place].event_id))


def is_capped(work: Work, ticket: Ticket) -> bool:
    """Whether a ticket is suspended, and has been for as long as the policy allows."""
    return ticket.cap_time is not None and ticket.cap_time <= work.now


def do_review(work: Work, standards: Standards, ticket: Ticket) -> bool:
    """Say that a review is due; at the cap, go on with the ticket. Return whether it was suspended at all."""
    if ticket.cap_time is None:
        return False
    if is_capped(work, ticket):
        resume(work, ticket)
        return True
    review_passed(standards, ticket, work.now)
    work.tell(ticket.name, told.TicketReviewDue(ticket=summary_of(ticket), cap_time=timestamp(ticket.cap_time)))
    return True
