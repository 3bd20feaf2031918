"""How this unit's complaints were dealt with: a row for each level that each has come to."""

from typing import Any

from sqlalchemy import Integer, Select, Text, and_, case, column, func, literal, select, type_coerce
from sqlalchemy.orm import Session, aliased

from hanse.attainment import within
from hanse.complaint_attainment import LEVEL_NAMES, report
from hanse.errors import ResourceNotFound
from hanse_protos.ticket.v1 import attainment_pb2 as pb
from hanse_protos.ticket.v1.complaint_pb2 import ComplaintClock as ClockNoun
from hanse_protos.ticket.v1.ticket_pb2 import Clock
from hanse_services.ticket.complaints.model import Complaint, ComplaintClock


def get_complaint_attainment(
    session: Session, unit: str, request: pb.GetComplaintAttainmentRequest
) -> pb.ComplaintAttainmentReport:
    """Return how the complaints of a unit were dealt with. Raises ResourceNotFound for another unit's."""
    if request.parent != unit:
        raise ResourceNotFound(resource=request.parent)
    return report(session, _stages(unit).where(*within(Complaint.open_time.expression, request.period)))


def _stages(unit: str) -> Select[Any]:
    """Return the query for the levels of each complaint, which it goes up one by one, with the clocks of each."""
    series = func.generate_series(1, Complaint.stage).table_valued(column("value", Integer))
    stage = series.render_derived("stage").lateral()
    acknowledgement, answer, reply = (
        aliased(ComplaintClock, name=name) for name in ("acknowledged", "answer", "reply")
    )
    place = func.array_position(LEVEL_NAMES, type_coerce(Complaint.level, Text)) - (Complaint.stage - stage.c.value)
    query: Any = select(
        literal(unit).label("unit"),
        LEVEL_NAMES[place].label("level"),
        (stage.c.value == 1).label("is_first"),
        _state(acknowledgement).label("acknowledgement"),
        _state(answer).label("answer"),
        # Who takes a complaint back ends the customer's time too, and it stays at its level.
        (func.coalesce(reply.cancelled, False) & (stage.c.value < Complaint.stage)).label("is_rejected"),
    )
    query = query.select_from(Complaint).join(stage, literal(True))
    clocks = {
        ClockNoun.ACKNOWLEDGEMENT: acknowledgement,
        ClockNoun.ANSWER: answer,
        ClockNoun.REPLY: reply,
    }
    for kind, row in clocks.items():
        is_of_stage = and_(row.complaint == Complaint.name, row.stage == stage.c.value, row.kind == kind)
        query = query.outerjoin(row, is_of_stage)
    stages: Select[Any] = query
    return stages


def _state(clock: Any) -> Any:
    """Return the name of the state of a clock; NULL where there is none."""
    return case(
        (clock.breach_time.is_not(None), Clock.State.Name(Clock.BREACHED)),
        (clock.stop_time.is_not(None) & ~clock.cancelled, Clock.State.Name(Clock.MET)),
    )
