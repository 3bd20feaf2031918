"""Work that can't have a deadline: why it is suspended, since when, until which review, and for how long in all."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add the columns. Nothing has been suspended yet."""
    for column in ("suspend_time", "review_time", "cap_time"):
        op.add_column("ticket", sa.Column(column, TIMESTAMP(timezone=True), nullable=True), schema="ticket")
    nothing, never = sa.text("''"), sa.text("interval '0'")
    op.add_column(
        "ticket", sa.Column("suspend_reason", sa.Text(), nullable=False, server_default=nothing), schema="ticket"
    )
    op.add_column(
        "ticket", sa.Column("suspended_duration", sa.Interval(), nullable=False, server_default=never), schema="ticket"
    )
    for column in ("suspend_reason", "suspended_duration"):
        op.alter_column("ticket", column, server_default=None, schema="ticket")
