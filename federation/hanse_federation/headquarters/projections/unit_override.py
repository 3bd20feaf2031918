"""What each unit has tuned for itself."""

from collections.abc import Sequence
from typing import cast

from sqlalchemy import text
from sqlalchemy.orm import Session

from hanse_federation.link.receiving import Arrival
from hanse_protos.policy.v1.tuning_pb2 import PolicyOverride, PolicyTuned

PAYLOADS = frozenset({PolicyTuned})

INSERT = text("""
    INSERT INTO federation.unit_override (unit, version, override)
    VALUES (:unit, :version, :override) ON CONFLICT DO NOTHING
""")


def project(session: Session, facts: Sequence[Arrival]) -> None:
    """Store the overrides. There are few."""
    overrides = [_override(fact) for fact in facts]
    rows = [{"unit": each.unit, "version": each.version, "override": each.SerializeToString()} for each in overrides]
    session.execute(INSERT, rows)


def forget(session: Session, facts: Sequence[Arrival]) -> None:
    """Forget overrides."""
    statement = text("DELETE FROM federation.unit_override WHERE unit = :unit AND version = :version")
    for fact in facts:
        session.execute(statement, {"unit": fact.event.unit, "version": _override(fact).version})


def _override(fact: Arrival) -> PolicyOverride:
    return cast(PolicyTuned, fact.payload).override
