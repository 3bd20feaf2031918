"""Complaints of the group, and what headquarters has done with those that came to it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hanse.log.tables import Time

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "group_complaint",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("home", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("open_time", Time, nullable=False),
        sa.Column("due_time", Time),
        sa.Column("summary", sa.LargeBinary(), nullable=False),
        schema="federation",
    )
    op.create_index("group_complaint_by_open_time", "group_complaint", ["open_time", "name"], schema="federation")
    op.create_table(
        "complaint_decision",
        sa.Column("complaint", sa.Text(), primary_key=True),
        sa.Column("handler", sa.Text(), nullable=False),
        sa.Column("acknowledge_time", Time),
        sa.Column("answer_time", Time),
        sa.Column("outcome", sa.Text(), nullable=False),
        schema="federation",
    )
