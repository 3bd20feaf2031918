"""Offers to several units at once: the shared desk, whom an offer was made to, and who declined."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0004"
down_revision = "0003"

SCHEMA = "federation"


def upgrade() -> None:
    """Add the columns; an offer so far was made to its one provider."""
    nobody = sa.text("'{}'")
    op.add_column("offer", sa.Column("desk", sa.Text(), nullable=False, server_default=""), schema=SCHEMA)
    for column in ("units", "declined"):
        names = sa.Column(column, ARRAY(sa.Text()), nullable=False, server_default=nobody)
        op.add_column("offer", names, schema=SCHEMA)
    op.execute(
        "UPDATE federation.offer SET units = ARRAY[provider],"
        " declined = CASE WHEN state = 'DECLINED' THEN ARRAY[provider] ELSE '{}' END"
    )
    for column in ("desk", "units", "declined"):
        op.alter_column("offer", column, server_default=None, schema=SCHEMA)
