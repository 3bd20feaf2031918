"""Complaints of the group: each as its home's last event left it, with what headquarters has done since."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from hanse.names import home_of
from hanse.times import instant
from hanse_federation.headquarters.complaint_states import due_time_of, laid_together, stages_of
from hanse_federation.link.receiving import Arrival
from hanse_federation.model import ComplaintDecision, GroupComplaint
from hanse_protos.ticket.v1 import complaint_pb2 as pb
from hanse_protos.ticket.v1 import events_pb2 as told

PAYLOADS = frozenset(
    {
        told.ComplaintOpened,
        told.ComplaintAcknowledged,
        told.ComplaintNoted,
        told.ComplaintAnswered,
        told.ComplaintEscalated,
        told.ComplaintWarned,
        told.ComplaintOverdue,
        told.ComplaintStepSkipped,
        told.ComplaintClosed,
    }
)


def project(session: Session, facts: Sequence[Arrival]) -> None:
    """Store the complaints after the last fact on each.

    They are locked before it is asked what headquarters has done with them: a step that it takes right now counts.
    """
    last = {each.name: each for each in _summaries(facts)}
    known_here = select(GroupComplaint.name).where(GroupComplaint.name.in_(last)).order_by(GroupComplaint.name)
    session.execute(known_here.with_for_update())
    for summary in last.values():
        known = laid_together(summary, session.get(ComplaintDecision, summary.name))
        values = {
            "home": home_of(summary.name),
            "state": known.state,
            "level": summary.level,
            "open_time": instant(summary.open_time),
            "due_time": due_time_of(known),
            "summary": summary.SerializeToString(),
            "stages": stages_of(summary),
        }
        statement = upsert(GroupComplaint).values(name=summary.name, **values)
        session.execute(statement.on_conflict_do_update(index_elements=[GroupComplaint.name], set_=values))


def _summaries(facts: Sequence[Arrival]) -> Iterator[pb.ComplaintSummary]:
    for fact in facts:
        payload: Any = fact.payload
        yield payload.complaint


def forget(session: Session, facts: Sequence[Arrival]) -> None:
    """Forget the complaints that facts are about; those that have other facts are projected again."""
    names = [summary.name for summary in _summaries(facts)]
    session.execute(delete(GroupComplaint).where(GroupComplaint.name.in_(names)))
