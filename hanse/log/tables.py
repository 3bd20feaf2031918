"""The tables of a log. One set of them stands in each schema that keeps streams."""

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    func,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP

NOTIFY_CHANNEL = "hanse_log"
"""The PostgreSQL channel that wakes followers; the payload is the stream's name."""

Time = TIMESTAMP(timezone=True)


class LogTables:
    """The log tables in one schema: records, heads, and how far each follower has come."""

    def __init__(self, metadata: MetaData) -> None:
        self.schema = metadata.schema
        # `event` is the truth; resource, type and occur_time are in it too and stand here to be searched.
        self.record = Table(
            "log_record",
            metadata,
            Column("stream", Text, nullable=False),
            Column("epoch", Integer, nullable=False),
            Column("sequence", BigInteger, nullable=False),
            Column("hash", LargeBinary, nullable=False),
            Column("event_id", Uuid, nullable=False),
            Column("resource", Text, nullable=False),
            Column("type", Text, nullable=False),
            Column("occur_time", Time, nullable=False),
            Column("event", LargeBinary, nullable=False),
            Column("sealed", LargeBinary),
            Column("append_time", Time, nullable=False, server_default=func.now()),
            PrimaryKeyConstraint("stream", "epoch", "sequence"),
            # Prefix search: a ticket's timeline includes its engagements'.
            Index("log_record_by_resource", "resource", postgresql_ops={"resource": "text_pattern_ops"}),
        )
        self.head = Table(
            "log_head",
            metadata,
            Column("stream", Text, primary_key=True),
            Column("epoch", Integer, nullable=False),
            Column("sequence", BigInteger, nullable=False),
            Column("hash", LargeBinary, nullable=False),
            Column("append_time", Time, nullable=False, server_default=func.now()),
        )
        self.cursor = Table(
            "log_cursor",
            metadata,
            Column("follower", Text, nullable=False),
            Column("stream", Text, nullable=False),
            Column("epoch", Integer, nullable=False),
            Column("sequence", BigInteger, nullable=False),
            PrimaryKeyConstraint("follower", "stream"),
        )
