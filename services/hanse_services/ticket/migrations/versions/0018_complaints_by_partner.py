"""An index for the complaints that came in through a partner, which asks for them again and again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Create the index."""
    op.create_index(
        "complaint_by_partner",
        "complaint",
        ["partner", "open_time"],
        schema="ticket",
        postgresql_where=sa.text("partner <> ''"),
    )
