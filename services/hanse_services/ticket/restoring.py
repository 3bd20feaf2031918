"""Restoring tickets, engagements and complaints from their events, after the unit came back from an old backup.

The events come back from headquarters, in their order (the federation's `reseeding`). Each says what a ticket was
after it, so tickets come back with their state, holder, tier, assignee, waits, times and engagements; with their
clocks, where the policy that they run under is here; and with the texts that had been granted to others. Customers
don't come back, nor do other texts: neither ever left the unit. Engagements are put together in `both_sides`.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from google.protobuf.message import Message

from hanse.errors import PolicyMissing
from hanse.log.events import Fact
from hanse.names import PARTNERS, home_of
from hanse.times import instant
from hanse.work import Work
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket import hierarchy, staffing
from hanse_services.ticket.both_sides import engagement
from hanse_services.ticket.clocks.opening import new_clocks
from hanse_services.ticket.clocks.repair import restore_repair
from hanse_services.ticket.clocks.rows import restart_clock, stop_clock
from hanse_services.ticket.clocks.rules import ENDED_BY_AN_ANSWER, Ruling, retarget
from hanse_services.ticket.clocks.skipping import restore_skip
from hanse_services.ticket.complaints import effects as complaints
from hanse_services.ticket.holding import end_wait, standards_of
from hanse_services.ticket.loading import find_ticket
from hanse_services.ticket.model import StepAction, Ticket
from hanse_services.ticket.suspending import put_off, review_passed


def ticket_opened(work: Work, fact: Fact) -> None:
    """Restore a ticket as it was opened."""
    opened: Any = fact.payload
    summary: pb.TicketSummary = opened.ticket
    if home_of(summary.name) != work.unit or find_ticket(work, summary.name):
        return
    ticket = _ticket_of(summary, fact)
    ticket.imported = opened.imported
    work.session.add(ticket)
    work.session.flush()
    if not ticket.imported:
        _start_clocks(work, ticket)


def _ticket_of(summary: pb.TicketSummary, fact: Fact) -> Ticket:
    return Ticket(
        name=summary.name,
        version=1,
        state=summary.state,
        title=fact.texts.get("title", ""),
        description=fact.texts.get("description", ""),
        language=summary.language,
        category=summary.category,
        product=summary.product,
        priority=summary.priority,
        tier=summary.tier,
        customer=None,
        customer_class=summary.customer_class or pb.ORDINARY,
        service=summary.service,
        partner=summary.partner,
        assignee="",
        holder=summary.holder,
        solution="",
        open_time=instant(summary.open_time),
        update_time=fact.occur_time,
        policy_version=fact.event.policy_version,
        policy_override=summary.policy_override,
        target="",
        waiting_for="",
        supplier="",
        suspend_reason="",
        suspended_duration=timedelta(0),
        waiting_duration=summary.waiting_duration.ToTimedelta(),
        breached=summary.breached,
        engagement_count=0,
        left_units=[],
        team="",
        returns=summary.returns,
    )


def _start_clocks(work: Work, ticket: Ticket) -> None:
    """Start a ticket's clocks as they were, where the policy that they run under is here."""
    try:
        standards = work.standards_of(ticket.policy_version, ticket.policy_override)
    except PolicyMissing:
        return
    # Who got it at once is told by an event of its own, which its clocks follow.
    started = new_clocks(standards, ticket, work.unit, is_assigned=False)
    ticket.target = started.target
    for row in started.rows_of(ticket.name):
        work.insert(row)
    work.session.flush()
    work.session.expire(ticket, ["clocks", "segments"])


Change = Callable[[Work, Ticket, Fact], None]
"""What an event changes of a ticket besides what its summary says."""


def _changing(change: Change) -> Callable[[Work, Fact], None]:
    def restore(work: Work, fact: Fact) -> None:
        payload: Any = fact.payload
        summary: pb.TicketSummary = payload.ticket
        ticket = find_ticket(work, summary.name) if home_of(summary.name) == work.unit else None
        if ticket is None:
            return
        ticket.version += 1
        # What another unit told late had happened before: a ticket's time never goes back.
        ticket.update_time = max(ticket.update_time, fact.occur_time)
        ticket.state, ticket.priority, ticket.tier = summary.state, summary.priority, summary.tier
        ticket.category, ticket.product, ticket.holder = summary.category, summary.product, summary.holder
        ticket.waiting_duration, ticket.breached = summary.waiting_duration.ToTimedelta(), summary.breached
        ticket.returns, ticket.policy_override = summary.returns, summary.policy_override
        ticket.resolve_time = instant(summary.resolve_time) if summary.HasField("resolve_time") else None
        _mark_done(ticket, fact.occur_time)
        change(work, ticket, fact)
        if standards := standards_of(work, ticket):
            Ruling(standards, ticket, fact.occur_time).settle()

    return restore


def _mark_done(ticket: Ticket, at: datetime) -> None:
    """Mark the steps that were due before something happened: the desk had done them, or passed them over, by then."""
    for row in ticket.clocks:
        steps = row.open_steps()
        for step in steps:
            if row.stop_time is None and step.is_due(at):
                step.done_time = at.isoformat()
                if step.action == StepAction.BREACH and step.due_time:
                    row.breach_time = datetime.fromisoformat(step.due_time)
        row.keep_steps(steps)


def _stop(work: Work, ticket: Ticket, at: datetime, *kinds: int) -> None:
    """Stop clocks of some kinds, or all. What a condition ended was settled before, and stays as it is."""
    for row in ticket.clocks:
        if (not kinds or row.kind in kinds) and row.stop_time is None:
            stop_clock(work.standards_of(ticket.policy_version, ticket.policy_override), ticket, row, at)


def _begin(work: Work, ticket: Ticket, kind: pb.Clock.Kind.ValueType, at: datetime) -> None:
    if standards := standards_of(work, ticket):
        Ruling(standards, ticket, at).begin(kind)


def _nothing_more(work: Work, ticket: Ticket, fact: Fact) -> None:
    """Change nothing besides what the summary says."""


def _commented(work: Work, ticket: Ticket, fact: Fact) -> None:
    payload: Any = fact.payload
    if fact.event.actor.startswith(PARTNERS):
        if ticket.respond_time:
            _begin(work, ticket, pb.Clock.NEXT_REPLY, fact.occur_time)
    elif payload.public:
        _stop(work, ticket, fact.occur_time, *ENDED_BY_AN_ANSWER)
        ticket.respond_time = ticket.respond_time or fact.occur_time
        _begin(work, ticket, pb.Clock.PERIODIC_UPDATE, fact.occur_time)


def _assigned(work: Work, ticket: Ticket, fact: Fact) -> None:
    payload: Any = fact.payload
    ticket.assignee, ticket.team = payload.assignee, payload.team or ticket.team


def _escalated(work: Work, ticket: Ticket, fact: Fact) -> None:
    ticket.assignee = ""


def _reclassified(work: Work, ticket: Ticket, fact: Fact) -> None:
    if standards := standards_of(work, ticket):
        retarget(standards, ticket, fact.occur_time)
    else:
        payload: Any = fact.payload
        # The repair that follows gives it its clocks.
        ticket.target = payload.target


def _paused(work: Work, ticket: Ticket, fact: Fact) -> None:
    payload: Any = fact.payload
    ticket.waiting_for, ticket.supplier = payload.waiting_for, payload.supplier
    ticket.waiting_since = fact.occur_time


def _suspended(work: Work, ticket: Ticket, fact: Fact) -> None:
    payload: Any = fact.payload
    if ticket.suspend_time is None:
        _end_wait(ticket, fact)
        ticket.suspend_time = ticket.waiting_since = fact.occur_time
    ticket.suspend_reason = fact.texts.get("text", "")
    if standards := standards_of(work, ticket):
        put_off(standards, ticket, fact.occur_time, instant(payload.review_time), instant(payload.cap_time))


def _review_due(work: Work, ticket: Ticket, fact: Fact) -> None:
    if standards := standards_of(work, ticket):
        review_passed(standards, ticket, fact.occur_time)


def _resumed(work: Work, ticket: Ticket, fact: Fact) -> None:
    _stop(work, ticket, fact.occur_time, pb.Clock.REVIEW)
    _end_wait(ticket, fact)


def _end_wait(ticket: Ticket, fact: Fact) -> None:
    """End the wait. How long it was in all, the event says."""
    waited = ticket.waiting_duration
    end_wait(ticket, fact.occur_time)
    ticket.waiting_duration = waited


def _resolved(work: Work, ticket: Ticket, fact: Fact) -> None:
    _end_wait(ticket, fact)
    ticket.solution = fact.texts.get("text", "")
    _stop(work, ticket, fact.occur_time)
    ticket.respond_time = ticket.respond_time or fact.occur_time


def _reopened(work: Work, ticket: Ticket, fact: Fact) -> None:
    restart_clock(ticket, pb.Clock.RESOLUTION, fact.occur_time)
    _begin(work, ticket, pb.Clock.PERIODIC_UPDATE, fact.occur_time)


def _closed(work: Work, ticket: Ticket, fact: Fact) -> None:
    ticket.close_time = fact.occur_time


def _handed_over(work: Work, ticket: Ticket, fact: Fact) -> None:
    payload: Any = fact.payload
    ticket.left_units = sorted({*ticket.left_units, payload.from_unit})


RESTORES: dict[type[Message], Callable[[Work, Fact], None]] = {
    told.TicketOpened: ticket_opened,
    told.TicketCommented: _changing(_commented),
    told.TicketAssigned: _changing(_assigned),
    told.TicketEscalated: _changing(_escalated),
    told.TicketReclassified: _changing(_reclassified),
    told.TicketPaused: _changing(_paused),
    told.TicketSuspended: _changing(_suspended),
    told.TicketReviewDue: _changing(_review_due),
    told.TicketResumed: _changing(_resumed),
    told.TicketResolved: _changing(_resolved),
    told.TicketReopened: _changing(_reopened),
    told.TicketClosed: _changing(_closed),
    told.TicketHandedOver: _changing(_handed_over),
    told.TicketCorrected: _changing(_nothing_more),
    told.TicketClocksRepaired: _changing(restore_repair),
    told.SlaBreachWithdrawn: _changing(_nothing_more),
    told.SlaWarned: _changing(_nothing_more),
    told.SlaBreached: _changing(_nothing_more),
    told.TeamSet: staffing.team_set,
    told.TeamDeleted: staffing.team_deleted,
    told.TicketEscalationRaised: _changing(hierarchy.restored),
    told.TicketEscalationAcknowledged: _changing(hierarchy.restored),
    told.ClockRuleApplied: _changing(_nothing_more),
    told.SlaStepSkipped: _changing(restore_skip),
    told.EngagementRequested: engagement,
    told.EngagementAccepted: engagement,
    told.EngagementDeclined: engagement,
    told.EngagementDelivered: engagement,
    told.EngagementConfirmed: engagement,
    told.EngagementRejected: engagement,
    told.EngagementWithdrawn: engagement,
    told.EngagementReassignmentRequested: engagement,
    **complaints.RESTORES,
}
"""What is restored from which event."""
