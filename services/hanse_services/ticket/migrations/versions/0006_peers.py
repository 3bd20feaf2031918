"""Offers that the home unit makes itself, to a peer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the columns."""
    none, nobody = sa.text("false"), sa.text("'{}'")
    asked = sa.Column("peers_asked", ARRAY(sa.Text()), nullable=False, server_default=nobody)
    op.add_column("engagement", sa.Column("peer", sa.Boolean(), nullable=False, server_default=none), schema="ticket")
    op.add_column("engagement", asked, schema="ticket")
    for column in ("peer", "peers_asked"):
        op.alter_column("engagement", column, server_default=None, schema="ticket")
