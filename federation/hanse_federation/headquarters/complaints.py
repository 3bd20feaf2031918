"""Complaints of the group, and headquarters' answer to those that have come to it.

The home unit writes a complaint; what headquarters does with one that has come to it is headquarters' own, in a table
of its own, and told as `ComplaintSeen` and `ComplaintDecided`, down the stream to the home. What is shown is both laid
together: while the line is down, or the home has not heard of it yet, headquarters' own word is the newer one. A
complaint that its home has closed meanwhile, since the customer took it back, stays closed.

The texts are those that came along with the step to headquarters, beside the event in the copy of the home's log: what
erases them there takes them from here.
"""

from typing import Any, NamedTuple

from sqlalchemy import Boolean, Text, column, func, literal, select
from sqlalchemy.orm import Session

from hanse.attainment import within
from hanse.complaint_attainment import report
from hanse.errors import ComplaintHandlerInvolved, IllegalTransition, ResourceNotFound
from hanse.log.events import readable_payload_of
from hanse.log.sealing import texts_of
from hanse.names import ANY_UNIT, home_of, stream_name
from hanse.transitions import next_state
from hanse.work import Work
from hanse_federation.headquarters.complaint_states import due_time_of, laid_together
from hanse_federation.headquarters.views import page_of, unreachable
from hanse_federation.model import LOG, ComplaintDecision, GroupComplaint
from hanse_protos.federation.v1 import complaints_pb2 as group
from hanse_protos.log.v1.log_pb2 import Event
from hanse_protos.policy.v1.policy_pb2 import HierarchyStep
from hanse_protos.ticket.v1 import complaint_pb2 as pb
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1.attainment_pb2 import ComplaintAttainmentReport

TRANSITIONS: dict[str, dict[pb.ComplaintState.ValueType, pb.ComplaintState.ValueType]] = {
    "AcknowledgeGroupComplaint": {pb.COMPLAINT_OPEN: pb.COMPLAINT_ACKNOWLEDGED},
    "AnswerGroupComplaint": {pb.COMPLAINT_ACKNOWLEDGED: pb.COMPLAINT_ANSWERED},
}
"""What headquarters may do with a complaint that has come to it."""


class Given(NamedTuple):
    """What came along with the step to headquarters."""

    involved: list[str]
    texts: dict[str, str]


def list_group_complaints(
    session: Session, request: group.ListGroupComplaintsRequest
) -> group.ListGroupComplaintsResponse:
    """Return a page of the group's complaints, the newest first."""
    query = select(GroupComplaint)
    if request.parent != ANY_UNIT:
        query = query.where(GroupComplaint.home == request.parent)
    if request.states:
        query = query.where(GroupComplaint.state.in_(request.states))
    if request.level:
        query = query.where(GroupComplaint.level == request.level)
    rows, token = page_of(session, query, request, GroupComplaint.open_time, GroupComplaint.name)
    return group.ListGroupComplaintsResponse(
        complaints=(group.GroupComplaint(complaint=_known(session, row)) for row in rows),
        next_page_token=token,
        unreachable=unreachable(session, request.parent),
    )


def get_group_complaint(session: Session, request: group.GetGroupComplaintRequest) -> group.GroupComplaint:
    """Return a complaint with the texts that came along. Raises ResourceNotFound."""
    row = session.get(GroupComplaint, request.name)
    if row is None:
        raise ResourceNotFound(resource=request.name)
    given = _given(session, row.name)
    return group.GroupComplaint(
        complaint=_known(session, row),
        text=given.texts.get("complaint", ""),
        answer=given.texts.get("answer", ""),
        reason=given.texts.get("text", ""),
    )


def acknowledge_group_complaint(work: Work, request: group.AcknowledgeGroupComplaintRequest) -> group.GroupComplaint:
    """Take up a complaint that has come to headquarters.

    Raises ResourceNotFound; IllegalTransition where it has not come here or was taken up; ComplaintHandlerInvolved.
    """
    row, decision = _taken(work, request.name, "AcknowledgeGroupComplaint")
    decision.handler, decision.acknowledge_time = work.cause.actor, work.now
    return _told(work, row, decision, told.ComplaintSeen)


def answer_group_complaint(work: Work, request: group.AnswerGroupComplaintRequest) -> group.GroupComplaint:
    """Answer a complaint that headquarters has taken up.

    Raises ResourceNotFound; IllegalTransition where it was not taken up here; ComplaintHandlerInvolved.
    """
    row, decision = _taken(work, request.name, "AnswerGroupComplaint")
    decision.handler, decision.answer_time, decision.outcome = work.cause.actor, work.now, request.outcome
    return _told(work, row, decision, told.ComplaintDecided, text=request.text)


def _taken(work: Work, name: str, verb: str) -> tuple[GroupComplaint, ComplaintDecision]:
    """Load and lock a complaint that headquarters may take a step of, with what it has done before."""
    row = work.session.get(GroupComplaint, name, with_for_update=True, populate_existing=True)
    if row is None:
        raise ResourceNotFound(resource=name)
    if row.level != HierarchyStep.HEADQUARTERS:
        raise IllegalTransition(
            f"{name} has not come to headquarters",
            hint="Its unit handles it; when the customer is not content, or its time runs out, it comes here.",
            resource=name,
            verb=verb,
        )
    next_state(TRANSITIONS, pb.ComplaintState, name, row.state, verb)
    if work.cause.actor in _given(work.session, name).involved:
        raise ComplaintHandlerInvolved(resource=name, agent=work.cause.actor)
    decision = work.session.get(ComplaintDecision, name) or ComplaintDecision(
        complaint=name, handler="", outcome=pb.COMPLAINT_OUTCOME_UNSPECIFIED
    )
    work.session.add(decision)
    return row, decision


def _told(
    work: Work,
    row: GroupComplaint,
    decision: ComplaintDecision,
    kind: type[told.ComplaintSeen | told.ComplaintDecided],
    text: str = "",
) -> group.GroupComplaint:
    """Tell a step of headquarters, and return the complaint after it, without texts: answers are kept."""
    complaint = laid_together(pb.ComplaintSummary.FromString(row.summary), decision)
    row.state, row.due_time = complaint.state, due_time_of(complaint)
    summary = pb.ComplaintSummary()
    summary.CopyFrom(complaint)
    # How its times stand, the home says.
    summary.ClearField("clocks")
    work.tell(row.name, kind(complaint=summary), text=text)
    return group.GroupComplaint(complaint=complaint)


def get_group_complaint_attainment(
    session: Session, request: group.GetGroupComplaintAttainmentRequest
) -> ComplaintAttainmentReport:
    """Return how the complaints of the units were dealt with, as far as they have told."""
    columns = (
        column("level", Text),
        column("is_first", Boolean),
        column("acknowledgement", Text),
        column("answer", Text),
        column("is_rejected", Boolean),
    )
    stage = func.jsonb_to_recordset(GroupComplaint.stages).table_valued(*columns).render_derived(with_types=True)
    query: Any = select(GroupComplaint.home.label("unit"), *stage.c).select_from(GroupComplaint)
    query = query.join(stage, literal(True)).where(*within(GroupComplaint.open_time.expression, request.period))
    if request.parent != ANY_UNIT:
        query = query.where(GroupComplaint.home == request.parent)
    return report(session, query)


def _known(session: Session, row: GroupComplaint) -> pb.ComplaintSummary:
    decision = session.get(ComplaintDecision, row.name)
    return laid_together(pb.ComplaintSummary.FromString(row.summary), decision)


def _given(session: Session, name: str) -> Given:
    """Return who worked on the ticket and which texts were granted, as told with the step to headquarters."""
    columns = LOG.record.c
    query = select(columns.event, columns.sealed).where(
        columns.stream == stream_name(home_of(name), "ticket"),
        columns.resource == name,
        columns.type == told.ComplaintEscalated.DESCRIPTOR.full_name,
    )
    for last in session.execute(query.order_by(columns.epoch.desc(), columns.sequence.desc())):
        payload: Any = readable_payload_of(Event.FromString(last.event))
        if payload is not None:
            return Given(list(payload.complaint.involved), texts_of(last.sealed))
    return Given([], {})
