"""How each level that a complaint has come to dealt with it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Add the column. Complaints that were told of before are not counted until their next events."""
    op.add_column(
        "group_complaint", sa.Column("stages", JSONB(), nullable=False, server_default="[]"), schema="federation"
    )
    op.alter_column("group_complaint", "stages", server_default=None, schema="federation")
