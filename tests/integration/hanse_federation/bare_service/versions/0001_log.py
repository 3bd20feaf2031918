"""The log of a service, which is all that the federation sees of it."""

from alembic import context, op

from hanse.migrations import add_dead_letter_outcomes_v2, create_kernel_tables_v1

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the kernel's tables."""
    schema = context.config.attributes["schema"].name
    create_kernel_tables_v1(op, schema)  # type: ignore[arg-type]  # Alembic's module stands for its operations.
    add_dead_letter_outcomes_v2(op, schema)  # type: ignore[arg-type]
