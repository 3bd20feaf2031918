"""Which tickets' texts were erased, and which customers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from hanse.migrations import create_erasure_table

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create what erasing needs."""
    create_erasure_table(op, "ticket")
    for column, kind in (
        ("erase_time", postgresql.TIMESTAMP(timezone=True)),
        ("eraser", sa.Text()),
        ("erasure_ground", sa.Text()),
    ):
        op.add_column("customer", sa.Column(column, kind, nullable=True), schema="ticket")
    op.create_index(
        "ticket_by_customer", "ticket", ["customer"], schema="ticket", postgresql_where=sa.text("customer IS NOT NULL")
    )
