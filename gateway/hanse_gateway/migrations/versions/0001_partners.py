"""Partners and the digests of their keys."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

from hanse.migrations import create_kernel_tables_v1

revision = "0001"
down_revision = None
SCHEMA = "gateway"


def upgrade() -> None:
    """Create the tables of the gateway."""
    create_kernel_tables_v1(op, SCHEMA)
    op.create_table(
        "partner",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("key_digest", sa.LargeBinary(), nullable=False),
        sa.Column("key_time", TIMESTAMP(timezone=True), nullable=False),
        sa.Column("create_time", TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="partner_pk"),
        schema=SCHEMA,
    )
