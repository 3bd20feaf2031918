"""What is known of a disagreement, the records that it orphaned, and how far each link is behind."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"

SCHEMA = "federation"
Time = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    """Add the columns and the table."""
    _add("link", sa.Column("credit", sa.BigInteger(), server_default="0", nullable=False))
    _add("known_head", sa.Column("mark_sequence", sa.BigInteger(), server_default="0", nullable=False))
    _add("known_head", sa.Column("mark_time", Time, nullable=True))
    _add("quarantine", sa.Column("reason", sa.Text(), server_default="LOG_FORK", nullable=False))
    _add("quarantine", sa.Column("found_here", sa.Boolean(), server_default="true", nullable=False))
    _add("quarantine", sa.Column("epoch", sa.Integer(), nullable=True))
    _add("quarantine", sa.Column("sequence", sa.BigInteger(), nullable=True))
    _add("quarantine", sa.Column("common_epoch", sa.Integer(), nullable=True))
    _add("quarantine", sa.Column("common_sequence", sa.BigInteger(), nullable=True))
    _add("quarantine", sa.Column("common_hash", sa.LargeBinary(), nullable=True))
    _add("quarantine", sa.Column("new_epoch", sa.Integer(), server_default="0", nullable=False))
    op.create_table(
        "orphan",
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("occur_time", Time, nullable=False),
        sa.Column("event", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("append_time", Time, nullable=False),
        sa.Column("orphan_time", Time, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("stream", "epoch", "sequence", name="orphan_pk"),
        schema=SCHEMA,
    )


def _add(table: str, column: "sa.Column[object]") -> None:
    op.add_column(table, column, schema=SCHEMA)
