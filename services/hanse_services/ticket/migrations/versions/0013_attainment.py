"""What reports on attainment need of a clock."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

SCHEMA = "ticket"


def upgrade() -> None:
    """Add the columns and the index."""
    op.add_column("clock", sa.Column("used_duration", sa.Interval(), nullable=True), schema=SCHEMA)
    op.add_column("clock", sa.Column("stop_tier", sa.SmallInteger(), nullable=True), schema=SCHEMA)
    op.create_index(
        "clock_by_outcome",
        "clock",
        [sa.text("coalesce(breach_time, stop_time)")],
        schema=SCHEMA,
        postgresql_where=sa.text("breach_time IS NOT NULL OR stop_time IS NOT NULL"),
    )
