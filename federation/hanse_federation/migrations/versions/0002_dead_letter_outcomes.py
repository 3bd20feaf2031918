"""What became of a dead letter, by whom and why; and what is held behind it."""

from alembic import op

from hanse.migrations import add_dead_letter_outcomes_v2

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns."""
    add_dead_letter_outcomes_v2(op, "federation")
