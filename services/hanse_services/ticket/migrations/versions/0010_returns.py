"""How often a ticket has come back to a unit that it had left."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the columns. Tickets that are under way begin to be counted now."""
    nobody, never = sa.text("'{}'"), sa.text("0")
    left = sa.Column("left_units", ARRAY(sa.Text()), nullable=False, server_default=nobody)
    op.add_column("ticket", left, schema="ticket")
    op.add_column("ticket", sa.Column("returns", sa.Integer(), nullable=False, server_default=never), schema="ticket")
    for column in ("left_units", "returns"):
        op.alter_column("ticket", column, server_default=None, schema="ticket")
