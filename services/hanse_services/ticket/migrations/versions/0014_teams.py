"""Teams, and which of them has a ticket."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Create the table, and add the column with the index for the agents' load."""
    op.create_table(
        "team",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("team", sa.LargeBinary(), nullable=False),
        schema="ticket",
    )
    nobody = sa.text("''")
    op.add_column("ticket", sa.Column("team", sa.Text(), nullable=False, server_default=nobody), schema="ticket")
    op.alter_column("ticket", "team", server_default=None, schema="ticket")
    is_open = sa.text("assignee <> '' AND close_time IS NULL")
    op.create_index("ticket_by_assignee", "ticket", ["assignee"], schema="ticket", postgresql_where=is_open)
