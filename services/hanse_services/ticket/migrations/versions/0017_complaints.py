"""Complaints, and what is promised at each level of one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from hanse.log.tables import Time

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "complaint",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("ticket", sa.Text(), sa.ForeignKey("ticket.ticket.name"), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("stage", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=False),
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("handler", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("open_time", Time, nullable=False),
        sa.Column("level_time", Time, nullable=False),
        sa.Column("acknowledge_time", Time),
        sa.Column("answer_time", Time),
        sa.Column("close_time", Time),
        sa.Column("update_time", Time, nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("policy_version", sa.Integer(), nullable=False),
        sa.Column("policy_override", sa.BigInteger(), nullable=False),
        schema="ticket",
    )
    op.create_index("complaint_by_ticket", "complaint", ["ticket"], schema="ticket")
    op.create_index("complaint_by_open_time", "complaint", ["open_time", "name"], schema="ticket")
    op.create_table(
        "complaint_clock",
        sa.Column("complaint", sa.Text(), sa.ForeignKey("ticket.complaint.name"), primary_key=True),
        sa.Column("stage", sa.Integer(), primary_key=True),
        sa.Column("kind", sa.Text(), primary_key=True),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("target_duration", sa.Interval(), nullable=False),
        sa.Column("calendar", sa.Text(), nullable=False),
        sa.Column("start_time", Time, nullable=False),
        sa.Column("due_time", Time, nullable=False),
        sa.Column("breach_time", Time),
        sa.Column("stop_time", Time),
        sa.Column("cancelled", sa.Boolean(), nullable=False),
        sa.Column("steps", JSONB(), nullable=False),
        schema="ticket",
    )
    op.create_index(
        "complaint_clock_open",
        "complaint_clock",
        ["complaint"],
        schema="ticket",
        postgresql_where=sa.text("stop_time IS NULL"),
    )
