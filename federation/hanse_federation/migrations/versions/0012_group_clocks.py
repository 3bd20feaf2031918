"""Where the clocks of the group's tickets stand."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "0012"
down_revision = "0011"

SCHEMA = "federation"


def upgrade() -> None:
    """Create the table. Clocks that were told of before are not in it until their tickets' next events."""
    op.create_table(
        "group_clock",
        sa.Column("ticket", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("towards", sa.Text(), nullable=False),
        sa.Column("home", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("tier", sa.SmallInteger(), nullable=False),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("policy_version", sa.BigInteger(), nullable=False),
        sa.Column("due_time", TIMESTAMP(timezone=True), nullable=True),
        sa.Column("breach_time", TIMESTAMP(timezone=True), nullable=True),
        sa.Column("stop_time", TIMESTAMP(timezone=True), nullable=True),
        sa.Column("target_microseconds", sa.BigInteger(), nullable=False),
        sa.Column("used_microseconds", sa.BigInteger(), nullable=True),
        sa.Column("summary", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("ticket", "kind", "number", name="group_clock_pk"),
        schema=SCHEMA,
    )
    for name, columns, condition in (
        ("group_clock_by_due_time", ["due_time", "ticket", "kind", "number"], "due_time IS NOT NULL"),
        ("group_clock_standing", ["ticket", "kind", "number"], "due_time IS NULL AND stop_time IS NULL"),
        (
            "group_clock_by_outcome",
            [sa.text("coalesce(breach_time, stop_time)")],
            "breach_time IS NOT NULL OR stop_time IS NOT NULL",
        ),
    ):
        op.create_index(name, "group_clock", columns, schema=SCHEMA, postgresql_where=sa.text(condition))
