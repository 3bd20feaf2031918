"""Which unit has put which version of the policy in force, and since when."""

from collections.abc import Sequence
from typing import cast

from sqlalchemy import text
from sqlalchemy.orm import Session

from hanse_federation.link.receiving import Arrival
from hanse_protos.policy.v1.policy_pb2 import PolicyAcknowledged

PAYLOADS = frozenset({PolicyAcknowledged})

INSERT = text("""
    INSERT INTO federation.policy_acknowledgement (unit, version, acknowledge_time)
    VALUES (:unit, :version, :acknowledge_time) ON CONFLICT DO NOTHING
""")


def project(session: Session, facts: Sequence[Arrival]) -> None:
    """Store the acknowledgements. There are few: one for each unit and version."""
    session.execute(
        INSERT,
        [
            {
                "unit": fact.event.unit,
                "version": cast(PolicyAcknowledged, fact.payload).policy.version,
                "acknowledge_time": fact.occur_time,
            }
            for fact in facts
        ],
    )


def forget(session: Session, facts: Sequence[Arrival]) -> None:
    """Forget acknowledgements."""
    statement = text("DELETE FROM federation.policy_acknowledgement WHERE unit = :unit AND version = :version")
    for fact in facts:
        version = cast(PolicyAcknowledged, fact.payload).policy.version
        session.execute(statement, {"unit": fact.event.unit, "version": version})
