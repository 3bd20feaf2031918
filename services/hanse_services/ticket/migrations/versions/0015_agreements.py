"""Clocks of tiers, providers and suppliers: who promises, in which engagement; which supplier a ticket waits for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Add the columns, empty for what is there."""
    for table, column in (("clock", "party"), ("clock", "engagement"), ("ticket", "supplier")):
        op.add_column(table, sa.Column(column, sa.Text(), nullable=False, server_default=""), schema="ticket")
        op.alter_column(table, column, server_default=None, schema="ticket")
