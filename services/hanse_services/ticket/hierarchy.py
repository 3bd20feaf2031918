"""Hierarchical escalation: who above the desk is told of a clock, and that they have seen it.

The policy's steps stand on the clocks beside the warnings, before the target and after it. At each, a level is told:
the desk's lead, the unit's manager, headquarters. An *escalation* is that telling. It is acknowledged by the level, or
the next level is told when its time is up: that too is a step on the clock, due at an instant of its own. It ends with
the clock.

What is told to headquarters goes there with the ticket's other events, and headquarters' acknowledgement comes back.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hanse.errors import IllegalTransition, ResourceNotFound
from hanse.log.events import Fact
from hanse.names import HEADQUARTERS, home_of
from hanse.policy.facts import facts_of
from hanse.policy.levels import Level, level_above
from hanse.policy.standards import Standards
from hanse.times import instant, put_time, timestamp
from hanse.work import Work
from hanse_protos.policy.v1.policy_pb2 import HierarchyStep
from hanse_protos.ticket.v1 import escalation_pb2 as rpc
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.levels import check_level
from hanse_services.ticket.loading import own_ticket
from hanse_services.ticket.messages import summary_of
from hanse_services.ticket.model import TELLING, TOLD, Clock, Escalation, Step, StepAction, Ticket


def tell_level(work: Work, standards: Standards, ticket: Ticket, clock: Clock, step: Step) -> bool:
    """Tell a level of a clock, unless it was told of it and has not answered yet, or the policy says no (any more)."""
    level, kind = TOLD[StepAction(step.action)], pb.Clock.Kind.Name(clock.kind)
    if not step.fixed and not standards.tells(facts_of(standards, ticket, work.unit), level, kind, step.percent):
        return False
    if _waits_for(work, clock, level):
        return False
    within = standards.acknowledge_within(level, kind)
    escalation = Escalation(
        name=f"{ticket.name}/escalations/{_count(work, ticket) + 1}",
        ticket=ticket.name,
        level=level,
        kind=clock.kind,
        number=clock.number,
        percent=step.percent,
        unanswered_below=step.fixed,
        raise_time=work.now,
        acknowledge_due_time=work.now + within if within else None,
        acknowledger="",
    )
    work.session.add(escalation)
    if escalation.acknowledge_due_time and (above := _telling_above(level)):
        _add_step(clock, Step(above, step.percent, escalation.acknowledge_due_time.isoformat(), fixed=True))
    raised = told.TicketEscalationRaised(ticket=summary_of(ticket), escalation=escalation_to_proto(escalation))
    work.tell(escalation.name, raised)
    return True


def _waits_for(work: Work, clock: Clock, level: Level) -> bool:
    """Whether a level was told of this very clock and has not answered: silence on another one ended with that."""
    of_clock = (Escalation.ticket == clock.ticket, Escalation.kind == clock.kind, Escalation.number == clock.number)
    query = select(func.count()).where(*of_clock, Escalation.level == level, Escalation.acknowledge_time.is_(None))
    return bool(work.session.scalar(query))


def _count(work: Work, ticket: Ticket) -> int:
    return work.session.scalar(select(func.count()).where(Escalation.ticket == ticket.name)) or 0


def _telling_above(level: Level) -> StepAction | None:
    """Return the action that tells the level above one; None where nobody is above."""
    above = level_above(level)
    return None if above is None else TELLING[above]


def _add_step(clock: Clock, step: Step) -> None:
    clock.keep_steps([*clock.open_steps(), step])


def acknowledge_escalation(work: Work, request: rpc.AcknowledgeEscalationRequest) -> rpc.Escalation:
    """Say that the level has seen it. To say it again changes nothing.

    Raises ResourceNotFound; IllegalTransition for what headquarters was told, which acknowledges it there;
    LevelAboveCaller for a lead and what the manager was told.
    """
    escalation = work.session.get(Escalation, request.name, with_for_update=True)
    if escalation is None:
        raise ResourceNotFound(resource=request.name)
    if escalation.level == HierarchyStep.HEADQUARTERS and work.unit != HEADQUARTERS:
        raise IllegalTransition(
            f"{escalation.name} was told to headquarters",
            hint="Headquarters acknowledges it: hanse escalation acknowledge -u hq.",
            resource=escalation.name,
            verb="AcknowledgeEscalation",
        )
    check_level(work, escalation.name, escalation.level)
    if escalation.acknowledge_time is None:
        _acknowledge(work, escalation, work.cause.actor, work.now)
        ticket = own_ticket(work, escalation.ticket)
        acknowledged = told.TicketEscalationAcknowledged(
            ticket=summary_of(ticket), escalation=escalation_to_proto(escalation)
        )
        work.tell(escalation.name, acknowledged)
    return escalation_to_proto(escalation)


def escalation_seen(work: Work, fact: Fact) -> None:
    """Headquarters has seen what it was told."""
    seen: rpc.Escalation = fact.payload.escalation  # type: ignore[attr-defined]
    if fact.event.unit != HEADQUARTERS or home_of(seen.name) != work.unit:
        return
    escalation = work.session.get(Escalation, seen.name, with_for_update=True)
    if escalation and escalation.level == HierarchyStep.HEADQUARTERS and escalation.acknowledge_time is None:
        at = min(instant(seen.acknowledge_time), work.time_of(fact))
        _acknowledge(work, escalation, seen.acknowledger, at)


def _acknowledge(work: Work, escalation: Escalation, by: str, at: datetime) -> None:
    """Keep who has seen it; nobody above is told because of it any more."""
    escalation.acknowledge_time, escalation.acknowledger = at, by
    if clock := _clock_of(work, escalation):
        above = _telling_above(escalation.level)
        clock.keep_steps([step for step in clock.open_steps() if not _is_for(step, above)])


def _clock_of(work: Work, escalation: Escalation) -> Clock | None:
    return work.session.get(Clock, (escalation.ticket, escalation.kind, escalation.number), with_for_update=True)


def _is_for(step: Step, action: StepAction | None) -> bool:
    """Whether a step is there to tell the level above, once the one below has not answered."""
    return step.fixed and step.done_time is None and step.action == action


def escalation_to_proto(row: Escalation) -> rpc.Escalation:
    """Return an escalation as its unit has it."""
    message = rpc.Escalation(
        name=row.name,
        ticket=row.ticket,
        level=row.level,
        kind=row.kind,
        number=row.number,
        percent=row.percent,
        unanswered_below=row.unanswered_below,
        raise_time=timestamp(row.raise_time),
        acknowledger=row.acknowledger,
    )
    put_time(message.acknowledge_due_time, row.acknowledge_due_time)
    put_time(message.acknowledge_time, row.acknowledge_time)
    return message


def listed(session: Session, rows: Sequence[Escalation]) -> Iterator[rpc.Escalation]:
    """Yield escalations as a list shows them: how long a level that has not answered still has, its clock says."""
    query = select(Clock).where(Clock.ticket.in_({row.ticket for row in rows}))
    clocks = {(clock.ticket, clock.kind, clock.number): clock for clock in session.scalars(query)}
    for row in rows:
        message = escalation_to_proto(row)
        clock = clocks.get((row.ticket, row.kind, row.number))
        if row.acknowledge_time is None and clock is not None:
            message.ClearField("acknowledge_due_time")
            put_time(message.acknowledge_due_time, _time_left_until(row, clock))
        yield message


def _time_left_until(row: Escalation, clock: Clock) -> datetime | None:
    """Return until when a level has time, which the clock puts off when it goes on; None while it has stopped."""
    if clock.stop_time is not None:
        return None
    above = _telling_above(row.level)
    steps = [step for step in clock.open_steps() if step.fixed and (step.action, step.percent) == (above, row.percent)]
    # Those before the last one are done: they told of a silence that has ended since.
    due_time = steps[-1].due_time if steps else None
    return datetime.fromisoformat(due_time) if due_time else row.acknowledge_due_time


def restored(work: Work, ticket: Ticket, fact: Fact) -> None:
    """Restore an escalation from what was told of it."""
    message: rpc.Escalation = fact.payload.escalation  # type: ignore[attr-defined]
    row = work.session.get(Escalation, message.name)
    if row is None:
        row = Escalation(
            name=message.name,
            ticket=ticket.name,
            level=message.level,
            kind=message.kind,
            number=message.number,
            percent=message.percent,
            unanswered_below=message.unanswered_below,
            raise_time=instant(message.raise_time),
        )
        work.session.add(row)
    if message.HasField("acknowledge_due_time"):
        row.acknowledge_due_time = instant(message.acknowledge_due_time)
    if message.HasField("acknowledge_time"):
        _acknowledge(work, row, message.acknowledger, instant(message.acknowledge_time))
    else:
        row.acknowledger = ""
        _wait_again(work, row)


def _wait_again(work: Work, row: Escalation) -> None:
    """Put the step back on the clock that tells the next level when this one does not answer."""
    clock, above = _clock_of(work, row), _telling_above(row.level)
    if clock and above and row.acknowledge_due_time:
        _add_step(clock, Step(above, row.percent, row.acknowledge_due_time.isoformat(), fixed=True))
