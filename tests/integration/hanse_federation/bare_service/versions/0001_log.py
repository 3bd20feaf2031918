"""The log of a service, which is all that the federation sees of it."""

from alembic import context, op

from hanse.migrations import create_kernel_tables_v1

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the kernel's tables."""
    create_kernel_tables_v1(op, context.config.attributes["schema"].name)
