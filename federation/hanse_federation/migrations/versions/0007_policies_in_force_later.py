"""From when each version of the policy is in force."""

from alembic import op

from hanse.migrations import add_policy_effective_time_v3

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the column."""
    add_policy_effective_time_v3(op, "federation")
