"""What a unit tunes for itself, and which version of it each ticket was opened under."""

import sqlalchemy as sa
from alembic import op

from hanse.migrations import create_policy_override_table_v6

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Create the table, and add the column: 0 where nothing was tuned."""
    create_policy_override_table_v6(op, "ticket")
    column = sa.Column("policy_override", sa.BigInteger(), nullable=False, server_default=sa.text("0"))
    op.add_column("ticket", column, schema="ticket")
    op.alter_column("ticket", "policy_override", server_default=None, schema="ticket")
