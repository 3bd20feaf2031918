"""Which tickets were imported: they wait for nobody, also once they are put under a policy and have a target."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hanse_protos.log.v1.log_pb2 import Event
from hanse_protos.ticket.v1.events_pb2 import TicketOpened

revision = "0021"
down_revision = "0020"

_OPENINGS_AT_A_TIME = 1_000
"""A megabyte of events."""


def upgrade() -> None:
    """Add the column, and take from the log which tickets it holds for: nothing else has said so until now."""
    imported = sa.Column("imported", sa.Boolean(), nullable=False, server_default=sa.false())
    op.add_column("ticket", imported, schema="ticket")
    op.alter_column("ticket", "imported", server_default=None, schema="ticket")
    connection = op.get_bind()
    openings = sa.text("SELECT resource, event FROM ticket.log_record WHERE type = :type")
    read = connection.execute(
        openings,
        {"type": TicketOpened.DESCRIPTOR.full_name},
        execution_options={"yield_per": _OPENINGS_AT_A_TIME},
    )
    names = [name for name, event in read if TicketOpened.FromString(Event.FromString(event).payload).imported]
    connection.execute(sa.text("UPDATE ticket.ticket SET imported = true WHERE name = ANY(:names)"), {"names": names})
