"""The shared desk that an engagement's last offer was made to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column."""
    op.add_column("engagement", sa.Column("desk", sa.Text(), nullable=False, server_default=""), schema="ticket")
    op.alter_column("engagement", "desk", server_default=None, schema="ticket")
