"""Clocks of many kinds: numbered, towards whom, from when; a segment says which kinds stand in it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Say of every clock and segment that is there what was true of all of them."""
    op.add_column("clock", sa.Column("number", sa.Integer(), nullable=False, server_default="1"), schema="ticket")
    op.add_column("clock", sa.Column("towards", sa.Text(), nullable=False, server_default="CUSTOMER"), schema="ticket")
    op.add_column("clock", sa.Column("elapsed", sa.Boolean(), nullable=False, server_default="false"), schema="ticket")
    op.add_column("clock", sa.Column("start_time", TIMESTAMP(timezone=True)), schema="ticket")
    op.execute(
        "UPDATE ticket.clock SET start_time = ticket.open_time FROM ticket.ticket WHERE ticket.name = clock.ticket"
    )
    op.alter_column("clock", "start_time", nullable=False, schema="ticket")
    for column in ("number", "towards", "elapsed"):
        op.alter_column("clock", column, server_default=None, schema="ticket")
    op.drop_constraint("clock_pk", "clock", schema="ticket")
    op.create_primary_key("clock_pk", "clock", ["ticket", "kind", "number"], schema="ticket")
    op.create_index(
        "clock_open_by_due_time",
        "clock",
        ["due_time", "ticket"],
        schema="ticket",
        postgresql_where=sa.text("stop_time IS NULL"),
    )
    none = sa.text("'{}'")
    op.add_column(
        "clock_segment", sa.Column("standing", ARRAY(sa.Text()), nullable=False, server_default=none), schema="ticket"
    )
    op.execute("UPDATE ticket.clock_segment SET standing = '{RESPONSE,RESOLUTION}' WHERE NOT running")
    op.alter_column("clock_segment", "standing", server_default=None, schema="ticket")
    op.drop_column("clock_segment", "running", schema="ticket")
