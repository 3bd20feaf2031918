"""Attainment: how many promises were kept, counted by what a reader asks for.

A unit counts its own clocks, headquarters what the units have told of theirs; both are a query with one row for each
clock whose outcome is decided, and this is the one place that knows what is counted, and how.

A clock's outcome is decided once: it stops in time and is met, or it runs out and is breached, also while its ticket
is still open. It counts in the period in which that happened. How much of the target was used is known once a clock
has stopped; the quantiles are over those, and interpolate linearly between two neighbours.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Row, Select, Subquery, func, select
from sqlalchemy.orm import Session

from hanse.times import instant_in
from hanse_protos.ticket.v1 import attainment_pb2 as pb

MEDIAN, NINE_OF_TEN = 0.5, 0.9
PERCENT = 100.0


class Dimension(NamedTuple):
    """What clocks can be counted by."""

    column: str
    """Of the query, and of the report's rows."""
    empty: Any
    """What is shown where it is not known."""


DIMENSIONS: dict[pb.AttainmentDimension.ValueType, Dimension] = {
    pb.BY_UNIT: Dimension("unit", ""),
    pb.BY_KIND: Dimension("kind", 0),
    pb.BY_TIER: Dimension("tier", 0),
    pb.BY_CATEGORY: Dimension("category", ""),
    pb.BY_PRIORITY: Dimension("priority", 0),
    pb.BY_TARGET: Dimension("target", ""),
    pb.BY_POLICY_VERSION: Dimension("policy_version", 0),
    pb.BY_TOWARDS: Dimension("towards", 0),
    pb.BY_SERVICE: Dimension("service", ""),
}
USUAL = (pb.BY_KIND,)


def report(
    session: Session,
    outcomes: Select[Any],
    period: pb.AttainmentPeriod,
    group_by: Sequence[pb.AttainmentDimension.ValueType],
) -> pb.AttainmentReport:
    """Count outcomes.

    The query's columns: those of `DIMENSIONS`; `decided_time`; `is_breached`; `used_share`, of which 1 is the whole
    target, NULL before the clock has stopped.
    """
    decided: ColumnElement[datetime] = outcomes.selected_columns.decided_time
    # SQLAlchemy gives a labelled column; PostgreSQL wants what the label stands for.
    decided = getattr(decided, "element", decided)
    table = outcomes.where(decided.is_not(None), *within(decided, period)).subquery()
    dimensions = [DIMENSIONS[dimension] for dimension in group_by or USUAL]
    columns = [table.c[dimension.column] for dimension in dimensions]
    found = session.execute(select(*columns, *_counts(table)).group_by(*columns).order_by(*columns))
    [total] = session.execute(select(*_counts(table)))
    return pb.AttainmentReport(rows=[_row(row, dimensions) for row in found], total=_row(total, ()))


def within(time: ColumnElement[datetime], period: pb.AttainmentPeriod) -> list[ColumnElement[bool]]:
    """Return the conditions for a time to lie in a period. Raises ValidationFailed for a time that there is not."""
    conditions = []
    if period.HasField("start_time"):
        conditions.append(time >= instant_in("period.start_time", period.start_time))
    if period.HasField("end_time"):
        conditions.append(time < instant_in("period.end_time", period.end_time))
    return conditions


def _counts(table: Subquery) -> list[ColumnElement[Any]]:
    share = table.c.used_share
    return [
        func.count().filter(~table.c.is_breached).label("met"),
        func.count().filter(table.c.is_breached).label("breached"),
        func.percentile_cont(MEDIAN).within_group(share).label("median"),
        func.percentile_cont(NINE_OF_TEN).within_group(share).label("nine_of_ten"),
    ]


def _row(row: Row[Any], dimensions: Sequence[Dimension]) -> pb.AttainmentRow:
    shown = pb.AttainmentRow(
        met=row.met,
        breached=row.breached,
        attained_percent=row.met / (row.met + row.breached) * PERCENT if row.met + row.breached else 0.0,
        median_used_percent=None if row.median is None else float(row.median) * PERCENT,
        p90_used_percent=None if row.nine_of_ten is None else float(row.nine_of_ten) * PERCENT,
    )
    for dimension in dimensions:
        value = getattr(row, dimension.column)
        setattr(shown, dimension.column, dimension.empty if value is None else value)
    return shown
