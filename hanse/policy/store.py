"""A service's copy of the policy versions that its unit has."""

from datetime import datetime
from typing import cast

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from hanse.errors import PolicyMissing
from hanse.policy.standards import Standards
from hanse.schema import ServiceSchema
from hanse.times import instant
from hanse_protos.policy.v1.policy_pb2 import Policy


class PolicyStore:
    """Loads policies and keeps them compiled. A version never changes, so what is kept is never stale."""

    def __init__(self, schema: ServiceSchema) -> None:
        self._table = schema.policy
        self._in_force = self.in_force()
        self._compiled: dict[int, Standards] = {}

    def current_version(self, session: Session) -> int:
        """Return the version in force, 0 before the first: the greatest whose time has come.

        The database's clock decides, and what it says is asked once per transaction.
        """
        version = session.info.get(self._key)
        if version is None:
            version = session.scalar(self._in_force) or 0
            session.info[self._key] = version
        return cast(int, version)

    def in_force(self) -> Select[tuple[int]]:
        """Return the query for the version in force; it gives None before the first."""
        columns = self._table.c
        return select(func.max(columns.version)).where(columns.effective_time <= func.now())

    def current(self, session: Session) -> Standards:
        """Return the policy in force. Raises PolicyMissing before the first."""
        return self.version(session, self.current_version(session))

    def version(self, session: Session, version: int) -> Standards:
        """Return the policy of a version. Raises PolicyMissing where this unit has never had it in force."""
        if version not in self._compiled:
            content = session.scalar(select(self._table.c.policy).where(self._table.c.version == version))
            if content is None:
                raise PolicyMissing(version=str(version))
            self._compiled[version] = Standards(version, Policy.FromString(content).document)
        return self._compiled[version]

    def enact(self, session: Session, policy: Policy) -> bool:
        """Keep a version, which is in force from its time on, and return whether that is new."""
        statement = upsert(self._table).values(
            version=policy.version, policy=policy.SerializeToString(), effective_time=_effective_time(policy)
        )
        inserted = session.execute(statement.on_conflict_do_nothing().returning(self._table.c.version)).one_or_none()
        session.info.pop(self._key, None)
        return inserted is not None

    @property
    def _key(self) -> str:
        return f"policy version in {self._table.schema}"


def _effective_time(policy: Policy) -> datetime | ColumnElement[datetime]:
    return instant(policy.effective_time) if policy.HasField("effective_time") else func.now()
