"""Who holds a ticket, and on whose calendar its clocks run."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from google.protobuf.message import Message

from hanse.policy.standards import Standards
from hanse.times import put_time
from hanse.work import Work
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.clocks.rows import overrun, stop_clock
from hanse_services.ticket.clocks.rules import ENDED_BY_AN_ANSWER, Overrun, Ruled, Ruling
from hanse_services.ticket.messages import summary_of
from hanse_services.ticket.model import Clock, Ticket
from hanse_services.ticket.teams import Choice, assigned, choose_anew


def standards_of(work: Work, ticket: Ticket) -> Standards | None:
    """Return the policy that the ticket was opened under; None where it promises nothing (an imported ticket)."""
    return work.standards_of(ticket.policy_version, ticket.policy_override) if ticket.target else None


def settle_clocks(work: Work, ticket: Ticket, at: datetime) -> None:
    """Let the clocks follow the ticket as it is from an instant on, and compute their deadlines anew."""
    standards = standards_of(work, ticket)
    if standards:
        _tell(work, ticket, Ruling(standards, ticket, at).settle(), at)


def tell_step(
    work: Work,
    ticket: Ticket,
    step: Callable[[pb.TicketSummary], Message],
    *,
    text: str = "",
    at: datetime | None = None,
) -> None:
    """Tell a step that changed a ticket, now or at an instant that is past.

    Its clocks follow it first: the event says where they stand after it.
    """
    standards, at = standards_of(work, ticket), at or work.now
    applied = Ruling(standards, ticket, at).settle() if standards else []
    work.tell(ticket.name, step(summary_of(ticket)), occur_time=at, text=text)
    _tell(work, ticket, applied, at)


def answered(work: Work, ticket: Ticket) -> None:
    """Take note that the customer has been answered: what an answer ends stops, and the next update is promised."""
    stop_clocks(work, ticket, *ENDED_BY_AN_ANSWER)
    ticket.respond_time = ticket.respond_time or work.now
    begin_clock(work, ticket, pb.Clock.PERIODIC_UPDATE)


def asked(work: Work, ticket: Ticket) -> None:
    """Take note that the customer has written: after the first answer, the next reply is promised."""
    if ticket.respond_time is not None:
        begin_clock(work, ticket, pb.Clock.NEXT_REPLY)


def begin_clock(work: Work, ticket: Ticket, kind: pb.Clock.Kind.ValueType) -> None:
    """Start a clock whose occasion this is, where the policy promises it and none of its kind is open."""
    standards = standards_of(work, ticket)
    if standards:
        _tell(work, ticket, Ruling(standards, ticket, work.now).begin(kind), work.now)


def _tell(work: Work, ticket: Ticket, ruled: Iterable[Ruled], at: datetime) -> None:
    for each in ruled:
        if isinstance(each, Overrun):
            breach(work, ticket, each.clock, each.at)
            continue
        rule = told.ClockRuleApplied(
            ticket=summary_of(ticket),
            kind=each.clock.kind,
            number=each.clock.number,
            effect=each.effect,
            rule=each.rule,
        )
        work.tell(ticket.name, rule, occur_time=at)


def stop_clocks(work: Work, ticket: Ticket, *kinds: pb.Clock.Kind.ValueType, at: datetime | None = None) -> None:
    """Stop clocks, now or at an instant that is past: those of some kinds, or all. One that has run out breaches first.

    Nobody may have asked since it ran out, but it was too late. The review of suspended work may be open also where
    nothing is promised any more.
    """
    running = [row for row in ticket.clocks if row.stop_time is None and (not kinds or row.kind in kinds)]
    if not running:
        return
    standards, at = work.standards_of(ticket.policy_version, ticket.policy_override), at or work.now
    for row in running:
        if late := overrun(row, at):
            breach(work, ticket, row, late)
        stop_clock(standards, ticket, row, at)


def note_overruns(work: Work, ticket: Ticket) -> None:
    """Breach the clocks that have run out by now, where nobody has asked since: what comes next moves their deadlines.

    It comes before any change of the ticket, which would be told with the breach as if it had been so then.
    """
    for row in ticket.clocks:
        late = overrun(row, work.now) if row.stop_time is None else None
        if late:
            breach(work, ticket, row, late)


def breach(work: Work, ticket: Ticket, clock: Clock, at: datetime) -> None:
    """Note that a clock ran out, and tell it. It is a breach of the ticket where the customer was promised it."""
    clock.breach_time = at
    ticket.breached = ticket.breached or clock.towards == pb.Clock.CUSTOMER
    breached = told.SlaBreached(
        ticket=summary_of(ticket), kind=clock.kind, number=clock.number, towards=clock.towards, party=clock.party
    )
    put_time(breached.due_time, at)
    work.tell(ticket.name, breached)


def hand_over(work: Work, ticket: Ticket, unit: str, engagement: str, at: datetime) -> None:
    """Give a ticket to another unit, at the instant at which that happened, and tell it."""
    if ticket.holder == unit:
        return
    before = ticket.hand_to(unit)
    settle_clocks(work, ticket, at)
    handed_over = told.TicketHandedOver(
        ticket=summary_of(ticket), from_unit=before, to_unit=unit, engagement=engagement
    )
    work.tell(ticket.name, handed_over, occur_time=at)
    assign_by_rule(work, ticket)
    ticket.version += 1
    ticket.update_time = work.now


def assign_by_rule(work: Work, ticket: Ticket) -> None:
    """Give a ticket that is open at this unit to a team and a member, where there is a team for it; tell it."""
    if choice := choose_anew(work, ticket):
        give(work, ticket, choice)


def give(work: Work, ticket: Ticket, choice: Choice) -> None:
    """Give a ticket to who was chosen, and tell it."""
    ticket.team, ticket.assignee = choice
    tell_step(work, ticket, lambda after: assigned(ticket, after))


def end_wait(ticket: Ticket, now: datetime) -> None:
    """Add the wait that ends now, and the suspension, to what the ticket waited and was suspended in all."""
    if ticket.waiting_since is not None:
        ticket.waiting_duration += max(now - ticket.waiting_since, timedelta(0))
    if ticket.suspend_time is not None:
        ticket.suspended_duration += max(now - ticket.suspend_time, timedelta(0))
        ticket.suspend_time = ticket.review_time = ticket.cap_time = None
        ticket.suspend_reason = ""
    ticket.waiting_for, ticket.supplier, ticket.waiting_since = "", "", None
