"""Repairing a ticket's clocks: they become what its history makes of them, corrected, or under another policy.

A repair plays the history through (`replaying`) and puts the ticket's segments and clocks where that leaves them.
Where nothing is different it does nothing and tells nothing, so doing it twice is doing it once. What had been told and
is not so any more is taken back by an event, never edited: a breach by SlaBreachWithdrawn. What the ladder did stays
done. What is due now after all is done at the next evaluation, as for every clock that was asked about late.

What corrects a history is in `correcting`; here it is taken as it is.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from itertools import chain
from typing import Any, TypeAlias

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.erasing import is_about
from hanse.errors import (
    HanseError,
    HistoryMissing,
    PolicyMissing,
    ResourceNotFound,
)
from hanse.identity import Role
from hanse.log.append import Entry
from hanse.log.events import Fact
from hanse.names import ticket_in
from hanse.policy.histories import EVENTS, Histories, TicketHistory
from hanse.policy.standards import Standards
from hanse.policy.store import PolicyStore
from hanse.times import put_time
from hanse.work import Work
from hanse_protos.log.v1.log_pb2 import Event
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import repair_pb2 as pb
from hanse_protos.ticket.v1 import ticket_pb2 as nouns
from hanse_services.ticket.clocks.choosing import check_choice
from hanse_services.ticket.clocks.replaying import ClockKey, Replayed, carry_over_steps, key_of, replay
from hanse_services.ticket.clocks.rows import summaries_of
from hanse_services.ticket.loading import own_ticket, own_time
from hanse_services.ticket.messages import summary_of
from hanse_services.ticket.model import SCHEMA, Clock, ClockSegment, Ticket

logger = structlog.get_logger(__name__)

Breaches: TypeAlias = Mapping[ClockKey, datetime]
"""When clocks ran out: those that have."""


def history_of(session: Session, ticket: str, until: str = "", told: Iterable[Entry] = ()) -> TicketHistory:
    """Read a ticket's history from this unit's log, all of it or until an event.

    `told` was told in the same transaction, and is in no log yet. Raises HistoryMissing where its opening is not there.
    """
    columns = SCHEMA.log.record.c
    query = (
        select(columns.event)
        .where(is_about(columns.resource, ticket), columns.type.in_(EVENTS))
        .order_by(columns.epoch, columns.sequence)
    )
    histories = Histories()
    pending = (entry.event for entry in told if ticket_in(entry.resource) == ticket)
    for content in chain(session.scalars(query), pending):
        event = Event.FromString(content)
        histories.take(event)
        if event.event_id == until:
            break
    if ticket not in histories.by_ticket:
        raise HistoryMissing(resource=ticket)
    return histories.by_ticket[ticket]


def repair_tickets(work: Work, request: pb.RepairTicketsRequest) -> pb.RepairTicketsResponse:
    """Repair the clocks of tickets; one that can't be computed, or may not be so, is named and stays as it is."""
    if request.parent != work.unit:
        raise ResourceNotFound(resource=request.parent)
    response = pb.RepairTicketsResponse()
    for name in request.names:
        try:
            with own_time(work):
                ticket = own_ticket(work, name)
                history = history_of(work.session, name, told=work.not_yet_in_the_log)
                here, asked = (work.session, work.policies), request.policy_version
                standards = chosen_for(*here, ticket, history, asked, roles=work.cause.roles)
                repaired = repair_under(work, standards, ticket, history)
        except HanseError as error:
            response.failures.append(failure_of(name, error))
        else:
            response.tickets.append(repaired)
    return response


def preview_repairs(
    session: Session,
    unit: str,
    policies: PolicyStore,
    now: datetime,
    request: pb.RepairTicketsRequest,
    *,
    roles: Collection[Role],
) -> pb.RepairTicketsResponse:
    """Say what a repair would change, and change nothing. Raises ResourceNotFound for another unit's desk."""
    if request.parent != unit:
        raise ResourceNotFound(resource=request.parent)
    response = pb.RepairTicketsResponse()
    for name in request.names:
        try:
            ticket = found_ticket(session, name)
            history = history_of(session, name)
            standards = chosen_for(session, policies, ticket, history, request.policy_version, roles=roles)
            replayed = replay_beside(standards, ticket, history, now)
        except HanseError as error:
            response.failures.append(failure_of(name, error))
        else:
            response.tickets.append(_difference(ticket, replayed))
    return response


def found_ticket(session: Session, name: str) -> Ticket:
    """Return a ticket of this unit. Raises ResourceNotFound."""
    ticket = session.get(Ticket, name)
    if ticket is None:
        raise ResourceNotFound(resource=name)
    return ticket


def failure_of(name: str, error: HanseError) -> pb.RepairFailure:
    """Return what an answer says of a ticket that could not be repaired."""
    return pb.RepairFailure(name=name, reason=error.reason, message=f"{error} {error.hint}")


def standards_for(
    session: Session, policies: PolicyStore, ticket: Ticket, history: TicketHistory, version: int
) -> Standards | None:
    """Return the policy for a repair: the version asked for, or the one that the clocks run under.

    The unit's override that governs the ticket is laid over either. None for an imported ticket that nobody has put
    under a policy: nothing was promised. Raises PolicyMissing.
    """
    if not version and history.imported and not ticket.clocks:
        return None
    return policies.version(session, version or ticket.policy_version, ticket.policy_override)


def chosen_for(
    session: Session,
    policies: PolicyStore,
    ticket: Ticket,
    history: TicketHistory,
    version: int,
    *,
    roles: Collection[Role],
) -> Standards | None:
    """Return what `standards_for` returns, where somebody with these roles may choose it for the ticket.

    The version that it runs under already is no choice. Raises PolicyMissing, and what `check_choice` raises.
    """
    standards = standards_for(session, policies, ticket, history, version)
    if version not in (0, ticket.policy_version):
        check_choice(session, policies, version, roles, opened_under=history.opened_under)
    return standards


def replay_beside(standards: Standards | None, ticket: Ticket, history: TicketHistory, now: datetime) -> Replayed:
    """Play a history through, and let its steps count as done that the ticket's own clocks have done.

    What is open stands as it does now, or at the ticket's own time, where that lies ahead.
    """
    if standards is None:
        return Replayed(Ticket(name=ticket.name, clocks=[], segments=[]), [], ticket.waiting_duration, None)
    replayed = replay(standards, history, max(now, ticket.update_time))
    carry_over_steps(ticket, replayed.ticket)
    return replayed


def repair_under(
    work: Work, standards: Standards | None, ticket: Ticket, history: TicketHistory, late_event_id: str = ""
) -> pb.RepairedTicket:
    """Put a ticket's clocks where its history leaves them under a policy, and tell what is different.

    `late_event_id` is the event that was heard of late, where that is why.
    """
    replayed = replay_beside(standards, ticket, history, work.now)
    repaired = _difference(ticket, replayed)
    if not repaired.changed or standards is None:
        return repaired
    before = breaches_of(ticket)
    previous = ticket.policy_version if ticket.clocks else 0
    _take_over(work, ticket, replayed, history)
    ticket.policy_version, ticket.policy_override = standards.version, standards.override
    ticket.version += 1
    ticket.update_time = work.now
    tell_repair(work, ticket, previous, before, late_event_id)
    return repaired


def repair_after(work: Work, ticket: Ticket, late_event_id: str) -> None:
    """Repair a ticket's clocks after a fact that was heard of late: they had counted otherwise by then.

    Where they can't be computed they stay, and `ExplainClocks` shows that a repair would change them: the fact itself
    has to be taken.
    """
    try:
        history = history_of(work.session, ticket.name, told=work.not_yet_in_the_log)
        standards = standards_for(work.session, work.policies, ticket, history, 0)
        repair_under(work, standards, ticket, history, late_event_id)
    except HanseError as error:
        logger.warning("clocks were not repaired after a late fact", ticket=ticket.name, error=str(error))


def hold_time_of(work: Work, ticket: Ticket) -> datetime:
    """Return since when the holder of a ticket has had it, by its history; its opening where there is no history."""
    try:
        return history_of(work.session, ticket.name, told=work.not_yet_in_the_log).hold_time
    except HistoryMissing:
        return ticket.open_time


def tell_repair(work: Work, ticket: Ticket, previous: int, before: Breaches, late_event_id: str = "") -> None:
    """Tell that a ticket's clocks were repaired, the breaches that are new, and those that are none any more."""
    repaired = told.TicketClocksRepaired(
        ticket=summary_of(ticket, summaries_of(ticket)),
        policy_version=ticket.policy_version,
        previous_policy_version=previous,
        late_event_id=late_event_id,
    )
    work.tell(ticket.name, repaired)
    _tell_breaches(work, ticket, before)


def _difference(ticket: Ticket, replayed: Replayed) -> pb.RepairedTicket:
    new = replayed.ticket
    return pb.RepairedTicket(
        name=ticket.name,
        changed=bool(new.clocks or ticket.clocks) and signature(ticket) != signature(new),
        policy_version=new.policy_version if new.clocks else ticket.policy_version,
        before=summaries_of(ticket),
        after=summaries_of(new),
    )


def signature(ticket: Ticket) -> tuple[Any, ...]:
    """Return all that a repair may change of a ticket's clocks, to be compared."""
    segments = [
        (row.unit, row.calendar, sorted(row.standing), row.start_time, row.end_time)
        for row in sorted(ticket.segments, key=lambda row: row.number)
    ]
    return segments, [_clock_signature(clock) for clock in sorted(ticket.clocks, key=key_of)]


def _clock_signature(clock: Clock) -> tuple[Any, ...]:
    columns = [getattr(clock, name) for name in CLOCK_COLUMNS]
    # What is due on a clock that has stopped is due no more.
    due = [] if clock.stop_time else [(s.action, s.percent, s.due_time) for s in clock.open_steps() if not s.done_time]
    return key_of(clock), *columns, due


CLOCK_COLUMNS = tuple(
    column.key for column in Clock.__table__.columns if column.key not in ("ticket", "kind", "number", "steps")
)
"""What a repair may change of a clock, beside its steps."""
SEGMENT_COLUMNS = ("unit", "calendar", "standing", "start_time", "end_time")


def _take_over(work: Work, ticket: Ticket, replayed: Replayed, history: TicketHistory) -> None:
    """Make the ticket's rows what was replayed: rows that both have are changed, so that others may refer to them."""
    new = replayed.ticket
    _match(work, ticket.segments, new.segments, lambda row: row.number, SEGMENT_COLUMNS)
    _match(work, ticket.clocks, new.clocks, key_of, (*CLOCK_COLUMNS, "steps"))
    ticket.breached = any(clock.breach_time and clock.towards == nouns.Clock.CUSTOMER for clock in ticket.clocks)
    ticket.waiting_duration, ticket.waiting_since = replayed.waiting_duration, replayed.waiting_since
    ticket.target, ticket.respond_time = new.target, new.respond_time
    ticket.resolve_time = history.resolve_time


def _match(work: Work, own: list[Any], new: Iterable[Any], key: Any, columns: Iterable[str]) -> None:
    """Make rows equal to others by their key: change, add, and delete."""
    known = {key(row): row for row in own}
    for row in new:
        mine = known.pop(key(row), None)
        if mine is None:
            kind = ClockSegment if isinstance(row, ClockSegment) else Clock
            identity = ("ticket", "number") if kind is ClockSegment else ("ticket", "kind", "number")
            own.append(kind(**{name: getattr(row, name) for name in (*identity, *columns)}))
            continue
        for name in columns:
            setattr(mine, name, getattr(row, name))
    for row in known.values():
        own.remove(row)
        work.session.delete(row)


def breaches_of(ticket: Ticket) -> Breaches:
    """Return which of a ticket's clocks have run out."""
    return {key_of(clock): clock.breach_time for clock in ticket.clocks if clock.breach_time}


def _tell_breaches(work: Work, ticket: Ticket, before: Breaches) -> None:
    """Tell the breaches that are new, and take back those that are none any more."""
    after = breaches_of(ticket)
    if before.keys() == after.keys():
        return
    towards = {key_of(clock): clock.towards for clock in ticket.clocks}
    for key in sorted(before.keys() ^ after.keys()):
        kind, number = key
        if key in before:
            event: Any = told.SlaBreachWithdrawn(ticket=summary_of(ticket), kind=kind, number=number)
        else:
            event = told.SlaBreached(ticket=summary_of(ticket), kind=kind, number=number, towards=towards[key])
        put_time(event.due_time, before.get(key) or after[key])
        work.tell(ticket.name, event)


def restore_repair(work: Work, ticket: Ticket, fact: Fact) -> None:
    """Repair a restored ticket again, as its event says that it was, where the policy is here."""
    history = history_of(work.session, ticket.name, until=fact.event.event_id)
    try:
        standards = work.standards_of(history.policy_version, ticket.policy_override)
    except PolicyMissing:
        return
    _take_over(work, ticket, replay_beside(standards, ticket, history, fact.occur_time), history)
    ticket.policy_version = standards.version
