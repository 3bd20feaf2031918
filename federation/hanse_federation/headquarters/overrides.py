"""What the units have tuned for themselves, as headquarters uses it: to show it, to route, to compare policies."""

from __future__ import annotations

from functools import lru_cache

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hanse.errors import PolicyMissing
from hanse.policy.standards import Standards
from hanse.policy.store import PolicyStore
from hanse.policy.tuning import dropped, tuned, with_profile
from hanse_federation.model import SCHEMA, UnitOverride
from hanse_protos.policy.v1.tuning_pb2 import PolicyOverride

REMEMBERED_GROUPS = 64
"""Standards by home unit, of the last few states of all overrides; one is compiled in some milliseconds."""


def newest_override(session: Session, unit: str) -> PolicyOverride | None:
    """Return what a unit has tuned last; None where it never did."""
    query = select(UnitOverride.override).where(UnitOverride.unit == unit).order_by(UnitOverride.version.desc())
    content = session.scalar(query.limit(1))
    return None if content is None else PolicyOverride.FromString(content)


def overrides_of(session: Session, unit: str) -> dict[int, PolicyOverride]:
    """Return every version of what a unit has tuned for itself."""
    query = select(UnitOverride.version, UnitOverride.override).where(UnitOverride.unit == unit)
    return {version: PolicyOverride.FromString(content) for version, content in session.execute(query)}


def with_dropped(session: Session, override: PolicyOverride, version: int) -> PolicyOverride:
    """Add the places of an override that a version of the policy drops, as far as headquarters has the version."""
    try:
        document = PolicyStore(SCHEMA).document(session, version)
    except PolicyMissing:
        return override
    override.dropped.extend(dropped(document, override.document, override.unit))
    return override


def routing_standards(session: Session, standards: Standards, home: str) -> Standards:
    """Return the policy as routing asks it for a home unit's ticket.

    Laid over it are what the home unit has tuned, and what every unit says of itself, its days among it.
    """
    return _remembered(standards, newest_overrides(session), home)


def newest_overrides(session: Session) -> tuple[bytes, ...]:
    """Return what each unit has tuned last, by unit."""
    newest = select(UnitOverride.unit, func.max(UnitOverride.version)).group_by(UnitOverride.unit).subquery()
    query = select(UnitOverride.override).join(
        newest, (UnitOverride.unit == newest.c[0]) & (UnitOverride.version == newest.c[1])
    )
    return tuple(session.scalars(query.order_by(UnitOverride.unit)))


def laid_over(standards: Standards, overrides: tuple[bytes, ...], home: str) -> Standards:
    """Lay what units have tuned over a policy: all that the home unit has, and what the others say of themselves."""
    if not overrides:
        return standards
    document = standards.document
    for override in map(PolicyOverride.FromString, overrides):
        lay = tuned if override.unit == home else with_profile
        document = lay(document, override.document, override.unit)
    return Standards(standards.version, document, standards.override, standards.unanswered)


_remembered = lru_cache(maxsize=REMEMBERED_GROUPS)(laid_over)
