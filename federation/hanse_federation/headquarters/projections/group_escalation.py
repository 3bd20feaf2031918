"""Escalations that headquarters was told, as the highest level. What headquarters says of them it keeps itself."""

from collections.abc import Sequence
from typing import cast

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from hanse.times import instant
from hanse_federation.link.receiving import Arrival
from hanse_federation.model import GroupEscalation
from hanse_protos.policy.v1.policy_pb2 import HierarchyStep
from hanse_protos.ticket.v1.events_pb2 import TicketEscalationRaised

PAYLOADS = frozenset({TicketEscalationRaised})


def project(session: Session, facts: Sequence[Arrival]) -> None:
    """Store what headquarters was told."""
    for fact in facts:
        raised = cast(TicketEscalationRaised, fact.payload)
        if raised.escalation.level == HierarchyStep.HEADQUARTERS:
            statement = upsert(GroupEscalation).values(
                name=raised.escalation.name,
                raise_time=instant(raised.escalation.raise_time),
                ticket=raised.ticket.SerializeToString(),
                escalation=raised.escalation.SerializeToString(),
            )
            session.execute(statement.on_conflict_do_nothing())


def forget(session: Session, facts: Sequence[Arrival]) -> None:
    """Forget the escalations that facts are about; what remains is projected again."""
    names = [cast(TicketEscalationRaised, fact.payload).escalation.name for fact in facts]
    session.execute(delete(GroupEscalation).where(GroupEscalation.name.in_(names)))
