"""What headquarters was told as the highest level of the hierarchy."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hanse.log.tables import Time

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "group_escalation",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("raise_time", Time, nullable=False),
        sa.Column("acknowledge_time", Time),
        sa.Column("ticket", sa.LargeBinary(), nullable=False),
        sa.Column("escalation", sa.LargeBinary(), nullable=False),
        schema="federation",
    )
    op.create_index("group_escalation_by_raise_time", "group_escalation", ["raise_time", "name"], schema="federation")
