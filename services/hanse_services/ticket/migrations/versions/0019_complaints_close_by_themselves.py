"""Whether a complaint closed by itself, because nothing was said against its answer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Add the column."""
    op.add_column(
        "complaint",
        sa.Column("accepted_by_silence", sa.Boolean(), nullable=False, server_default=sa.false()),
        schema="ticket",
    )
    op.alter_column("complaint", "accepted_by_silence", server_default=None, schema="ticket")
