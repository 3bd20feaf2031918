"""Offers that a home unit has made itself, to a peer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

SCHEMA = "federation"


def upgrade() -> None:
    """Add the column."""
    none = sa.text("false")
    op.add_column("offer", sa.Column("peer", sa.Boolean(), nullable=False, server_default=none), schema=SCHEMA)
    op.alter_column("offer", "peer", server_default=None, schema=SCHEMA)
