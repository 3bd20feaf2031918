"""What each unit tunes for itself, as headquarters was told."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "unit_override",
        sa.Column("unit", sa.Text(), primary_key=True),
        sa.Column("version", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("override", sa.LargeBinary(), nullable=False),
        schema="federation",
    )
