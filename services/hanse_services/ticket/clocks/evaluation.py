"""What is due on a ticket's clocks: warn, breach, climb the ladder, ask for an engagement, tell those above the desk.

A waiting process asks again and again; each step is done once, because it is marked as done in the transaction that
does it. Asking late, after a worker was down or the machine's clock has jumped, does what is due late, in the order in
which it was due, whichever clock it is on; asking for what is over says so.
"""

from collections.abc import Callable
from datetime import datetime

from hanse.policy.facts import facts_of
from hanse.policy.standards import TOP_TIER, Standards
from hanse.times import put_time
from hanse.work import Work
from hanse_protos.policy.v1.policy_pb2 import LadderStep
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.clocks.rows import next_due_time, next_step
from hanse_services.ticket.commands import climb
from hanse_services.ticket.engagements import active_engagement, ask_for_engagement
from hanse_services.ticket.hierarchy import tell_level
from hanse_services.ticket.holding import breach, settle_clocks
from hanse_services.ticket.loading import own_ticket
from hanse_services.ticket.messages import summary_of
from hanse_services.ticket.model import TOLD, Clock, Step, StepAction, Ticket
from hanse_services.ticket.resuming import do_review


def evaluate_clocks(work: Work, request: rpc.EvaluateClocksRequest) -> rpc.EvaluateClocksResponse:
    """Do what is due on a ticket's clocks, and say when something is due next."""
    ticket = own_ticket(work, request.name)
    if not ticket.clocks:
        return rpc.EvaluateClocksResponse(ended=True)
    standards = work.standards_of(ticket.policy_version, ticket.policy_override)
    actions = _do_due(work, standards, ticket)
    if actions:
        settle_clocks(work, ticket, work.now)
        ticket.version += 1
        ticket.update_time = work.now
    response = rpc.EvaluateClocksResponse(actions=actions, ended=all(clock.stop_time for clock in ticket.clocks))
    put_time(response.next_due_time, next_due_time(ticket.clocks))
    return response


def _do_due(work: Work, standards: Standards, ticket: Ticket) -> list[str]:
    """Do the steps that are due, the earliest first, and return what was done, for people."""
    done = []
    while due := _take_due(ticket, work.now):
        clock, step = due
        if _DO[StepAction(step.action)](work, standards, ticket, clock, step):
            done.append(step.on(pb.Clock.Kind.Name(clock.kind)))
    return done


def _take_due(ticket: Ticket, now: datetime) -> tuple[Clock, Step] | None:
    """Mark the next step as done if it is due, and return it. Doing it may move the deadlines of those after it."""
    found = next_step(ticket.clocks)
    if found is None or not found[2].is_due(now):
        return None
    clock, steps, step = found
    step.done_time = now.isoformat()
    clock.keep_steps(steps)
    return clock, step


def _warn(work: Work, _standards: Standards, ticket: Ticket, clock: Clock, step: Step) -> bool:
    warned = told.SlaWarned(
        ticket=summary_of(ticket),
        kind=clock.kind,
        percent=step.percent,
        number=clock.number,
        towards=clock.towards,
        party=clock.party,
    )
    put_time(warned.due_time, clock.due_time)
    work.tell(ticket.name, warned)
    return True


def _breach(work: Work, _standards: Standards, ticket: Ticket, clock: Clock, step: Step) -> bool:
    breach(work, ticket, clock, datetime.fromisoformat(step.due_time or work.now.isoformat()))
    return True


def _climb(work: Work, standards: Standards, ticket: Ticket, _clock: Clock, step: Step) -> bool:
    """Climb, where the ladder's condition holds now and the ticket is still at this unit's desk."""
    if ticket.holder != work.unit or not _holds(standards, ticket, work.unit, step):
        return False
    return _climb_if_possible(work, ticket, step)


def _climb_if_possible(work: Work, ticket: Ticket, step: Step) -> bool:
    if ticket.tier >= TOP_TIER:
        return False
    climb(work, ticket, f"{step.percent} % of the resolution target is used up")
    return True


def _request_engagement(work: Work, standards: Standards, ticket: Ticket, _clock: Clock, step: Step) -> bool:
    """Ask headquarters for a provider, where the ladder's condition holds now and nobody has been asked.

    An independent unit has nobody to ask. It is its own final owner: the ticket climbs once more, up to the top tier.
    """
    if ticket.holder != work.unit or not _holds(standards, ticket, work.unit, step):
        return False
    if active_engagement(work, ticket.name):
        return False
    if not work.standards.lists_others(work.unit):
        return _climb_if_possible(work, ticket, step)
    ask_for_engagement(work, ticket, f"{step.percent} % of the resolution target is used up")
    return True


def _review(work: Work, standards: Standards, ticket: Ticket, _clock: Clock, _step: Step) -> bool:
    return do_review(work, standards, ticket)


def _holds(standards: Standards, ticket: Ticket, home: str, step: Step) -> bool:
    """Whether the policy's ladder has this step for the ticket as it is now."""
    action = LadderStep.Action.Value(step.action)
    ladder = standards.ladder_for(facts_of(standards, ticket, home))
    return any(rung.action == action and rung.at_percent == step.percent for rung in ladder)


_DO: dict[StepAction, Callable[[Work, Standards, Ticket, Clock, Step], bool]] = {
    StepAction.WARN: _warn,
    StepAction.BREACH: _breach,
    StepAction.CLIMB: _climb,
    StepAction.REQUEST_ENGAGEMENT: _request_engagement,
    StepAction.REVIEW: _review,
    **dict.fromkeys(TOLD, tell_level),
}
