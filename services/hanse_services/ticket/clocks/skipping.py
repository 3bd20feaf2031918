"""Skipping a step of a clock: a person has decided that a warning or a climb that is due is not done.

The deadline itself stays what was promised. A skipped step counts as done, so it is done by nobody, and never later.
Three things nobody decides. That a clock runs out: whether a promise was kept is a matter of the time used. The review
of suspended work: the policy's cap is watched from then on, and at the cap the ticket goes on by itself. That the next
level is told where one above the desk was silent: who was silent has no say in it.
"""

from hanse.errors import NothingToSkip
from hanse.log.events import Fact
from hanse.work import Work
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.clocks.rows import next_step
from hanse_services.ticket.loading import own_ticket
from hanse_services.ticket.messages import summary_of
from hanse_services.ticket.model import StepAction, Ticket

_NEVER_SKIPPED = (StepAction.BREACH, StepAction.REVIEW)
"""What is no matter of a person's decision."""


def skip_clock_step(work: Work, request: rpc.SkipClockStepRequest) -> rpc.SkipClockStepResponse:
    """Mark the step that is due next as done without doing it.

    Raises ResourceNotFound, and NothingToSkip where nothing is due, or next what is no matter of a person's decision.
    """
    ticket = own_ticket(work, request.name)
    found = next_step(ticket.clocks)
    if found is None or found[2].fixed or found[2].action in _NEVER_SKIPPED:
        raise NothingToSkip(resource=ticket.name)
    clock, steps, step = found
    step.done_time = work.now.isoformat()
    clock.keep_steps(steps)
    ticket.version += 1
    ticket.update_time = work.now
    skipped = step.on(pb.Clock.Kind.Name(clock.kind))
    work.tell(
        ticket.name,
        told.SlaStepSkipped(ticket=summary_of(ticket), kind=clock.kind, step=skipped, requester=request.requester),
        reason=request.reason,
    )
    return rpc.SkipClockStepResponse(step=skipped)


def restore_skip(_work: Work, ticket: Ticket, fact: Fact) -> None:
    """Skip the step of a restored ticket again, as its event says that it was."""
    skipped: told.SlaStepSkipped = fact.payload  # type: ignore[assignment]
    for clock in ticket.clocks:
        if clock.kind == skipped.kind and clock.stop_time is None:
            clock.skip_again(pb.Clock.Kind.Name(clock.kind), skipped.step, fact.occur_time)
