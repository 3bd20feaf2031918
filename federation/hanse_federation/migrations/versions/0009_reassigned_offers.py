"""Offers that were taken from their provider for another one to have the engagement."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the column."""
    none = sa.text("false")
    op.add_column(
        "offer", sa.Column("reassigned", sa.Boolean(), nullable=False, server_default=none), schema="federation"
    )
    op.alter_column("offer", "reassigned", server_default=None, schema="federation")
