"""A service's copy of the policy versions that its unit has, and of what the unit has tuned for itself."""

from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import ColumnElement, Select, Table, func, literal_column, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from hanse.errors import PolicyMissing
from hanse.names import policy_name
from hanse.policy.standards import Standards
from hanse.policy.tuning import tuned
from hanse.policy.unanswered import Noted, disregard
from hanse.schema import ServiceSchema
from hanse.session import Query
from hanse.times import instant
from hanse_protos.policy.v1.policy_pb2 import Policy, PolicyDocument
from hanse_protos.policy.v1.tuning_pb2 import PolicyOverride


class InForce(NamedTuple):
    """What governs from now on: a version of the policy, and of the unit's override; 0 where there is none."""

    version: int
    override: int


class PolicyStore:
    """Loads one database's policies and keeps them compiled. A version never changes, so none is ever stale."""

    def __init__(self, schema: ServiceSchema, *, noted: bool = True) -> None:
        """Keep a service's copy. `noted` is whether conditions without an answer are counted and warned of."""
        self._service = schema.name
        self._noted = noted
        self._table = schema.policy
        self._overrides = schema.policy_override
        self._query = _newest_in_force(self._table, self._overrides)
        self._compiled: dict[InForce, Standards] = {}

    def current_version(self, session: Session) -> int:
        """Return the version in force, 0 before the first: the greatest whose time has come."""
        return self.current_in_force(session).version

    def current_in_force(self, session: Session) -> InForce:
        """Return what is in force. The database's clock decides, and what it says is asked once per transaction."""
        known: InForce | None = session.info.get(self._key)
        if known is None:
            [(version, override)] = self._query.rows(session)
            known = session.info[self._key] = InForce(version or 0, override or 0)
        return known

    def in_force(self) -> Select[tuple[int]]:
        """Return the query for the version in force; it gives None before the first.

        What was in force when it came stays so, also when the database's clock has jumped back since.
        """
        return _version_in_force(self._table)

    def in_force_at(self, session: Session, at: datetime) -> InForce:
        """Return what was in force in this unit at an instant: what had come by then, and whose time had come."""
        columns = self._table.c
        version = select(func.max(columns.version)).where(columns.enact_time <= at, columns.effective_time <= at)
        override = None
        if self._overrides is not None:
            newest = select(func.max(self._overrides.c.version)).where(self._overrides.c.enact_time <= at)
            override = session.scalar(newest)
        return InForce(session.scalar(version) or 0, override or 0)

    def current(self, session: Session) -> Standards:
        """Return the policy in force, with the unit's override over it. Raises PolicyMissing before the first."""
        return self.version(session, *self.current_in_force(session))

    def current_or_none(self, session: Session) -> Standards | None:
        """Return what `current` returns; None before the first policy."""
        return self.current(session) if self.current_version(session) else None

    def version(self, session: Session, version: int, override: int = 0) -> Standards:
        """Return the policy of a version, with a version of the unit's override laid over it; 0 lays none.

        Raises PolicyMissing where this unit has never had one of the two in force.
        """
        key = InForce(version, override)
        if key not in self._compiled:
            self._compiled[key] = self._compile(session, key)
        return self._compiled[key]

    def document(self, session: Session, version: int) -> PolicyDocument:
        """Return the group's document of a version, as the database has it. Raises PolicyMissing."""
        content = session.scalar(select(self._table.c.policy).where(self._table.c.version == version))
        if content is None:
            raise PolicyMissing(f"This unit has never had {policy_name(version)} in force.", version=str(version))
        return Policy.FromString(content).document

    def _compile(self, session: Session, key: InForce) -> Standards:
        document = self.document(session, key.version)
        if key.override:
            laid = self.override(session, key.override)
            document = tuned(document, laid.document, laid.unit)
        unanswered = Noted(self._service, key.version, key.override) if self._noted else disregard
        return Standards(key.version, document, key.override, unanswered)

    def override(self, session: Session, version: int) -> PolicyOverride:
        """Return a version of the unit's override. Raises PolicyMissing where this unit has never had it in force."""
        table = self._overrides
        content = None if table is None else session.scalar(select(table.c.override).where(table.c.version == version))
        if content is None:
            raise PolicyMissing(override=str(version))
        return PolicyOverride.FromString(content)

    def newest_override(self, session: Session) -> int:
        """Return the newest version of the unit's override, as the database has it now; 0 where it has none."""
        return next((override.version for override in self.list_overrides(session, limit=1)), 0)

    def list_overrides(self, session: Session, *, limit: int, before: int | None = None) -> list[PolicyOverride]:
        """Return versions of the unit's override, the newest first, or those before one."""
        if self._overrides is None:
            return []
        version = self._overrides.c.version
        query = select(self._overrides.c.override).order_by(version.desc()).limit(limit)
        if before is not None:
            query = query.where(version < before)
        return [PolicyOverride.FromString(content) for content in session.scalars(query)]

    def time_to_come(self, session: Session, version: int) -> datetime | None:
        """Return from when on a version will be in force; None where its time has come, or it is not here."""
        columns = self._table.c
        query = select(columns.effective_time).where(columns.version == version, ~_has_come(self._table))
        effective_time: datetime | None = session.scalar(query)
        return effective_time

    def list_to_come(self, session: Session) -> list[Policy]:
        """Return the versions that this unit has and that will be in force some day, the next one first."""
        columns = self._table.c
        query = select(columns.policy).where(columns.version > self.current_version(session), ~_has_come(self._table))
        return [Policy.FromString(content) for content in session.scalars(query.order_by(columns.effective_time))]

    def enact(self, session: Session, policy: Policy) -> bool:
        """Keep a version, which is in force from its time on, and return whether that is new."""
        statement = upsert(self._table).values(
            version=policy.version, policy=policy.SerializeToString(), effective_time=_effective_time(policy)
        )
        inserted = session.execute(statement.on_conflict_do_nothing().returning(self._table.c.version)).one_or_none()
        session.info.pop(self._key, None)
        return inserted is not None

    def tune(self, session: Session, override: PolicyOverride) -> None:
        """Keep a version of the unit's override, which is in force from now on."""
        if self._overrides is None:
            raise TypeError(f"the schema {self._table.schema} keeps no overrides")
        statement = upsert(self._overrides).values(version=override.version, override=override.SerializeToString())
        session.execute(statement.on_conflict_do_nothing())
        session.info.pop(self._key, None)

    def hold(self, session: Session) -> None:
        """Let nobody else change what is in force until the transaction ends, and ask anew what that is."""
        if self._overrides is None:
            raise TypeError(f"the schema {self._table.schema} keeps no overrides")
        session.execute(text(f"LOCK TABLE {self._overrides.fullname} IN SHARE ROW EXCLUSIVE MODE"))
        session.info.pop(self._key, None)

    @property
    def _key(self) -> str:
        return f"policy version in {self._table.schema}"


def _effective_time(policy: Policy) -> datetime | ColumnElement[datetime]:
    return instant(policy.effective_time) if policy.HasField("effective_time") else func.now()


def _version_in_force(table: Table) -> Select[tuple[int]]:
    return select(func.max(table.c.version)).where(_has_come(table))


def _has_come(table: Table) -> ColumnElement[bool]:
    return (table.c.effective_time <= func.now()) | (table.c.effective_time <= table.c.enact_time)


@lru_cache
def _newest_in_force(policies: Table, overrides: Table | None) -> Query:
    """Return the query for what is in force; most transactions ask it."""
    newest: ColumnElement[int] = literal_column("0")
    if overrides is not None:
        newest = select(func.max(overrides.c.version)).scalar_subquery()
    return Query.of(select(_version_in_force(policies).scalar_subquery(), newest))
