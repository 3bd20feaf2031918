"""What every service keeps in its schema beside its own tables."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table, Text, Uuid, func

from hanse.columns import ProtoEnum
from hanse.log.tables import LogTables, Time
from hanse_protos.telling.v1.dead_letters_pb2 import DeadLetterState

NAMING = {
    "ix": "%(table_name)s_by_%(column_0_N_name)s",
    "uq": "%(table_name)s_unique_%(column_0_N_name)s",
    "ck": "%(table_name)s_check_%(constraint_name)s",
    "fk": "%(table_name)s_%(column_0_N_name)s_fk",
    "pk": "%(table_name)s_pk",
}


class ServiceSchema:
    """The schema of one service in its unit's database: its log, and how it stays idempotent."""

    def __init__(self, name: str, *, tuned: bool = False) -> None:
        """Describe a schema. `tuned` says whether what the unit tunes for itself counts in this service's answers."""
        self.name = name
        self.metadata = MetaData(schema=name, naming_convention=NAMING)
        self.log = LogTables(self.metadata)
        self.request = _request_table(self.metadata)
        self.inbox = _inbox_table(self.metadata)
        self.dead_letter = _dead_letter_table(self.metadata)
        self.erasure = _erasure_table(self.metadata)
        self.policy = _policy_table(self.metadata)
        self.policy_override = _policy_override_table(self.metadata) if tuned else None


def _request_table(metadata: MetaData) -> Table:
    """The first answer to each request id, so that a repeat gets it again (AIP-155)."""
    return Table(
        "request",
        metadata,
        Column("request_id", Uuid, primary_key=True),
        Column("fingerprint", LargeBinary, nullable=False),
        Column("response", LargeBinary, nullable=False),
        Column("create_time", Time, nullable=False, server_default=func.now(), index=True),
    )


def _inbox_table(metadata: MetaData) -> Table:
    """The events of others that this service has applied, recorded in the same transaction as the effect."""
    return Table(
        "inbox",
        metadata,
        Column("event_id", Uuid, primary_key=True),
        Column("resource", Text, nullable=False),
        Column("type", Text, nullable=False),
        Column("occur_time", Time, nullable=False),
        Column("event", LargeBinary, nullable=False),
        Column("sealed", LargeBinary),
        Column("receive_time", Time, nullable=False, server_default=func.now()),
        Index("inbox_by_resource", "resource", postgresql_ops={"resource": "text_pattern_ops"}),
    )


def _dead_letter_table(metadata: MetaData) -> Table:
    """The events that could not be applied, and what is held behind them (`hanse.telling.dead_letters`)."""
    return Table(
        "dead_letter",
        metadata,
        Column("event_id", Uuid, primary_key=True),
        Column("reaction", Text, primary_key=True),
        Column("record", LargeBinary, nullable=False),
        Column("error", Text, nullable=False),
        Column("tries", Integer, nullable=False),
        Column("create_time", Time, nullable=False, server_default=func.now()),
        # In the order in which they were added, which is how the columns of a migrated table stand.
        Column("state", ProtoEnum(DeadLetterState), nullable=False, server_default="WAITING"),
        Column("subject", Text, nullable=False, server_default=""),
        Column("last_try_time", Time, nullable=False, server_default=func.now()),
        Column("resolver", Text, nullable=False, server_default=""),
        Column("resolve_time", Time),
        Column("reason", Text, nullable=False, server_default=""),
        Index("dead_letter_open", "subject", postgresql_where="state IN ('WAITING', 'HELD')"),
    )


def _erasure_table(metadata: MetaData) -> Table:
    """The tickets whose texts were erased: none of them is ever stored here again (`hanse.erasing`)."""
    return Table(
        "erasure",
        metadata,
        Column("ticket", Text, primary_key=True),
        Column("erase_time", Time, nullable=False, server_default=func.now()),
    )


def _policy_table(metadata: MetaData) -> Table:
    """This service's copy of the policy versions that its unit has put in force."""
    return Table(
        "policy",
        metadata,
        Column("version", BigInteger, primary_key=True, autoincrement=False),
        Column("policy", LargeBinary, nullable=False),
        Column("enact_time", Time, nullable=False, server_default=func.now()),
        Column("effective_time", Time, nullable=False, server_default=func.now()),
    )


def _policy_override_table(metadata: MetaData) -> Table:
    """This service's copy of what its unit has tuned for itself; the newest is in force."""
    return Table(
        "policy_override",
        metadata,
        Column("version", BigInteger, primary_key=True, autoincrement=False),
        Column("override", LargeBinary, nullable=False),
        Column("enact_time", Time, nullable=False, server_default=func.now()),
    )
