"""Who above the desk was told of a ticket."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hanse.log.tables import Time

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "escalation",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("ticket", sa.Text(), sa.ForeignKey("ticket.ticket.name"), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("percent", sa.Integer(), nullable=False),
        sa.Column("unanswered_below", sa.Boolean(), nullable=False),
        sa.Column("raise_time", Time, nullable=False),
        sa.Column("acknowledge_due_time", Time),
        sa.Column("acknowledge_time", Time),
        sa.Column("acknowledger", sa.Text(), nullable=False),
        schema="ticket",
    )
    op.create_index("escalation_by_ticket", "escalation", ["ticket"], schema="ticket")
    op.create_index("escalation_by_raise_time", "escalation", ["raise_time", "name"], schema="ticket")
