"""Where a complaint stands, from what its home said last and what headquarters has done since."""

from datetime import datetime
from typing import Any

from hanse.policy.levels import LEVELS
from hanse.times import instant, put_time
from hanse_federation.model import ComplaintDecision
from hanse_protos.policy.v1.policy_pb2 import HierarchyStep
from hanse_protos.ticket.v1 import complaint_pb2 as pb
from hanse_protos.ticket.v1.ticket_pb2 import Clock

_STATES = (pb.COMPLAINT_OPEN, pb.COMPLAINT_ACKNOWLEDGED, pb.COMPLAINT_ANSWERED, pb.COMPLAINT_CLOSED)
"""The states in the order in which a complaint goes through them at one level."""
_RANK = {state: rank for rank, state in enumerate(_STATES)}
_LAST_RANK = len(_STATES)
"""Of a state that only a newer version knows: its home has the last word on where the complaint stands."""
_DECIDED = {state: Clock.State.Name(state) for state in (Clock.MET, Clock.BREACHED)}
"""How a promise ends that counts."""


def laid_together(summary: pb.ComplaintSummary, decision: ComplaintDecision | None) -> pb.ComplaintSummary:
    """Return what a complaint's home said last, with what headquarters has done that its home does not know yet."""
    if decision is None or summary.level != HierarchyStep.HEADQUARTERS:
        return summary
    state = pb.COMPLAINT_ANSWERED if decision.answer_time else pb.COMPLAINT_ACKNOWLEDGED
    if _RANK.get(summary.state, _LAST_RANK) >= _RANK[state]:
        return summary
    newer = pb.ComplaintSummary()
    newer.CopyFrom(summary)
    newer.state, newer.handler, newer.outcome = state, decision.handler, decision.outcome
    put_time(newer.acknowledge_time, decision.acknowledge_time)
    put_time(newer.answer_time, decision.answer_time)
    return newer


def due_time_of(summary: pb.ComplaintSummary) -> datetime | None:
    """Return when the level that has a complaint owes the next step; None where it owes none."""
    owed = {
        pb.COMPLAINT_OPEN: (pb.ComplaintClock.ACKNOWLEDGEMENT, pb.ComplaintClock.ANSWER),
        pb.COMPLAINT_ACKNOWLEDGED: (pb.ComplaintClock.ANSWER,),
    }.get(summary.state, ())
    due = (
        instant(clock.due_time) for clock in summary.clocks if clock.kind in owed and not clock.HasField("stop_time")
    )
    return min(due, default=None)


def stages_of(summary: pb.ComplaintSummary) -> list[dict[str, Any]]:
    """Return how each level that a complaint has come to dealt with it: the columns that are counted.

    It goes up one level at a time, so its level and the number of its levels say which they were.
    """
    states = {(clock.stage, clock.kind): clock.state for clock in summary.clocks}
    top = LEVELS.index(summary.level) if summary.level in LEVELS else -1
    stages = {rank: summary.stage - (top - rank) for rank in range(top + 1)}
    return [
        {
            "level": HierarchyStep.Level.Name(LEVELS[rank]),
            "is_first": stage == 1,
            "acknowledgement": _DECIDED.get(states.get((stage, pb.ComplaintClock.ACKNOWLEDGEMENT), Clock.RUNNING)),
            "answer": _DECIDED.get(states.get((stage, pb.ComplaintClock.ANSWER), Clock.RUNNING)),
            "is_rejected": stage < summary.stage and states.get((stage, pb.ComplaintClock.REPLY)) == Clock.CANCELLED,
        }
        for rank, stage in stages.items()
        if stage >= 1
    ]
