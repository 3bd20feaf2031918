"""How complaints were dealt with, counted by unit and level: the one place that knows what is counted, and how.

A unit counts its own complaints, headquarters what the units have told of theirs; both are a query with one row for
each level that a complaint has come to. It counts in the period in which it was filed, whenever the rest happened, so
the figures of one row are about the same complaints. A time that still runs is neither met nor breached, nor is one
that was cut off, since the complaint went on to the next level or was taken back.
"""

from typing import Any

from sqlalchemy import Row, Select, Text, func, select
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.orm import Session

from hanse.policy.levels import LEVELS
from hanse_protos.policy.v1.policy_pb2 import HierarchyStep
from hanse_protos.ticket.v1 import attainment_pb2 as pb
from hanse_protos.ticket.v1.ticket_pb2 import Clock

LEVEL_NAMES = array([HierarchyStep.Level.Name(level) for level in LEVELS], type_=Text)
"""The levels, from the lowest to the highest, as they are stored."""
MET, BREACHED = Clock.State.Name(Clock.MET), Clock.State.Name(Clock.BREACHED)


def report(session: Session, stages: Select[Any]) -> pb.ComplaintAttainmentReport:
    """Count the levels that complaints came to.

    The query's columns: `unit`; `level`, its name; `is_first`, whether the complaint began there; `acknowledgement` and
    `answer`, the names of the clocks' states, NULL where nothing was promised; `is_rejected`, whether the level's
    answer was.
    """
    table = stages.subquery()
    by = (table.c.unit, table.c.level)
    counts = (
        func.count().filter(table.c.is_first).label("opened"),
        func.count().filter(~table.c.is_first).label("escalated"),
        func.count().filter(table.c.acknowledgement == MET).label("acknowledgement_met"),
        func.count().filter(table.c.acknowledgement == BREACHED).label("acknowledgement_breached"),
        func.count().filter(table.c.answer == MET).label("answer_met"),
        func.count().filter(table.c.answer == BREACHED).label("answer_breached"),
        func.count().filter(table.c.is_rejected).label("rejected"),
    )
    place = func.array_position(LEVEL_NAMES, table.c.level)
    found = session.execute(select(*by, *counts).group_by(*by).order_by(table.c.unit, place))
    [total] = session.execute(select(*counts))
    return pb.ComplaintAttainmentReport(rows=map(_row, found), total=pb.ComplaintAttainmentRow(**total._mapping))


def _row(row: Row[Any]) -> pb.ComplaintAttainmentRow:
    return pb.ComplaintAttainmentRow(**dict(row._mapping) | {"level": HierarchyStep.Level.Value(row.level)})
