"""Which target applies to a ticket, when it was first answered, and what conditions did to a clock."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Take target and first answer of the tickets that are there from their clocks."""
    op.add_column("ticket", sa.Column("target", sa.Text(), nullable=False, server_default=""), schema="ticket")
    op.add_column("ticket", sa.Column("respond_time", TIMESTAMP(timezone=True), nullable=True), schema="ticket")
    op.execute(
        "UPDATE ticket.ticket SET target = clock.target, respond_time = clock.stop_time FROM ticket.clock"
        " WHERE clock.ticket = ticket.name AND clock.kind = 'RESPONSE'"
    )
    op.alter_column("ticket", "target", server_default=None, schema="ticket")
    for column in ("cancelled", "reset_holds"):
        no = sa.Column(column, sa.Boolean(), nullable=False, server_default=sa.text("false"))
        op.add_column("clock", no, schema="ticket")
        op.alter_column("clock", column, server_default=None, schema="ticket")
