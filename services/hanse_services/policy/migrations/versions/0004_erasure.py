"""Which tickets' texts were erased."""

from alembic import op

from hanse.migrations import create_erasure_table

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create what erasing needs."""
    create_erasure_table(op, "policy")
