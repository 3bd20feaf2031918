"""What was done to processes by hand."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

from hanse.migrations import (
    add_dead_letter_outcomes_v2,
    add_policy_effective_time_v3,
    create_erasure_table,
    create_kernel_tables_v1,
)

revision = "0001"
down_revision = None
SCHEMA = "waiting"


def upgrade() -> None:
    """Create the tables of waiting."""
    create_kernel_tables_v1(op, SCHEMA)
    add_dead_letter_outcomes_v2(op, SCHEMA)
    create_erasure_table(op, SCHEMA)
    add_policy_effective_time_v3(op, SCHEMA)
    op.create_table(
        "intervention",
        sa.Column("process", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("time", TIMESTAMP(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("end_time", TIMESTAMP(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("process", "number", name="intervention_pk"),
        schema=SCHEMA,
    )
    op.create_index(
        "intervention_lasting",
        "intervention",
        ["process"],
        unique=True,
        schema=SCHEMA,
        postgresql_where=sa.text("kind = 'PAUSE' AND end_time IS NULL"),
    )
