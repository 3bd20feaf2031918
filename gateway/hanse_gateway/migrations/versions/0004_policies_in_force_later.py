"""From when each version of the policy is in force."""

from alembic import op

from hanse.migrations import add_policy_effective_time_v3

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column."""
    add_policy_effective_time_v3(op, "gateway")
