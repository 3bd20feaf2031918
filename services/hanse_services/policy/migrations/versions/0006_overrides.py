"""What a unit tunes for itself."""

from alembic import op

from hanse.migrations import create_policy_override_table_v6

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the table."""
    create_policy_override_table_v6(op, "policy")
