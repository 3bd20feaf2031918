"""The class of a customer, and the class and the service that a ticket was opened with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the columns. Who was never put into a class is ordinary; there was no catalogue before."""
    for table, column, before in (
        ("customer", "customer_class", "'ORDINARY'"),
        ("ticket", "customer_class", "'ORDINARY'"),
        ("ticket", "service", "''"),
    ):
        default = sa.text(before)
        op.add_column(table, sa.Column(column, sa.Text(), nullable=False, server_default=default), schema="ticket")
        op.alter_column(table, column, server_default=None, schema="ticket")
