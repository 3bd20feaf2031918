"""What waits for an agent is also what no team suited when it came: the index for it holds every open one of nobody."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Replace the index."""
    op.drop_index("ticket_waiting", "ticket", schema="ticket")
    op.create_index(
        "ticket_without_agent",
        "ticket",
        ["name"],
        schema="ticket",
        postgresql_where=sa.text("assignee = '' AND close_time IS NULL"),
    )
