"""An index for the tickets that wait for an agent: each shift's beginning asks for them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Create the index."""
    op.create_index(
        "ticket_without_agent",
        "ticket",
        ["name"],
        schema="ticket",
        postgresql_where=sa.text("assignee = '' AND close_time IS NULL"),
    )
