"""How this unit has kept its promises: its clocks whose outcome is decided, counted by `hanse.attainment`."""

from typing import Any

from sqlalchemy import Select, func, literal, select
from sqlalchemy.orm import Session

from hanse.attainment import report
from hanse.errors import ResourceNotFound
from hanse_protos.ticket.v1 import attainment_pb2 as pb
from hanse_services.ticket.model import Clock, Ticket


def get_attainment(session: Session, unit: str, request: pb.GetAttainmentRequest) -> pb.AttainmentReport:
    """Return how a unit has kept its promises. Raises ResourceNotFound for another unit's."""
    if request.parent != unit:
        raise ResourceNotFound(resource=request.parent)
    return report(session, _outcomes(unit), request.period, request.group_by)


def _outcomes(unit: str) -> Select[Any]:
    query: Any = select(
        literal(unit).label("unit"),
        Clock.kind.label("kind"),
        Clock.towards.label("towards"),
        func.coalesce(Clock.stop_tier, Ticket.tier).label("tier"),
        Ticket.category.label("category"),
        Ticket.service.label("service"),
        Ticket.priority.label("priority"),
        Clock.target.label("target"),
        Clock.policy_version.label("policy_version"),
        func.coalesce(Clock.breach_time, Clock.stop_time).label("decided_time"),
        Clock.breach_time.is_not(None).label("is_breached"),
        (func.extract("epoch", Clock.used_duration) / func.extract("epoch", Clock.target_duration)).label("used_share"),
    )
    # What a condition ended was neither met nor had it to be; what had run out before stays so.
    decided = Clock.breach_time.is_not(None) | ~Clock.cancelled
    outcomes: Select[Any] = query.join(Ticket, Ticket.name == Clock.ticket).where(decided)
    return outcomes
