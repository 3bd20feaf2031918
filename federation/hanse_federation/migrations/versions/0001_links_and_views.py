"""Links, headquarters' views of the group, and its routing."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from hanse.migrations import create_kernel_tables_v1

revision = "0001"
down_revision = None

SCHEMA = "federation"
Time = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    """Create the tables of the federation."""
    create_kernel_tables_v1(op, SCHEMA)
    _create_link_tables()
    _create_views()
    _create_routing_tables()


def _create_link_tables() -> None:
    op.create_table(
        "link",
        sa.Column("end", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("connected", sa.Boolean(), nullable=False),
        sa.Column("change_time", Time, nullable=False),
        sa.Column("contact_time", Time, nullable=True),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("connections", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("end", "unit", name="link_pk"),
        schema=SCHEMA,
    )
    op.create_table(
        "known_head",
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("stream", name="known_head_pk"),
        schema=SCHEMA,
    )
    op.create_index("known_head_by_unit", "known_head", ["unit"], schema=SCHEMA)
    op.create_table(
        "quarantine",
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("create_time", Time, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("stream", name="quarantine_pk"),
        schema=SCHEMA,
    )


def _create_views() -> None:
    op.create_table(
        "group_ticket",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("home", sa.Text(), nullable=False),
        sa.Column("open_time", Time, nullable=False),
        sa.Column("update_time", Time, nullable=False),
        sa.Column("waiting_microseconds", sa.BigInteger(), nullable=False),
        sa.Column("summary", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="group_ticket_pk"),
        schema=SCHEMA,
    )
    op.create_index("group_ticket_by_open_time", "group_ticket", ["open_time", "name"], schema=SCHEMA)
    op.create_table(
        "hand_over",
        sa.Column("ticket", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("home", sa.Text(), nullable=False),
        sa.Column("from_unit", sa.Text(), nullable=False),
        sa.Column("to_unit", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("ticket", "epoch", "sequence", name="hand_over_pk"),
        schema=SCHEMA,
    )
    op.create_table(
        "group_charge",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("home", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("confirm_time", Time, nullable=False),
        sa.Column("payable", sa.LargeBinary(), nullable=True),
        sa.Column("receivable", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("name", name="group_charge_pk"),
        schema=SCHEMA,
    )
    op.create_index("group_charge_by_confirm_time", "group_charge", ["confirm_time", "name"], schema=SCHEMA)
    op.create_table(
        "policy_acknowledgement",
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("acknowledge_time", Time, nullable=False),
        sa.PrimaryKeyConstraint("unit", "version", name="policy_acknowledgement_pk"),
        schema=SCHEMA,
    )


def _create_routing_tables() -> None:
    op.create_table(
        "group_engagement",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("ticket", sa.Text(), nullable=False),
        sa.Column("home", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("offer", sa.Integer(), nullable=False),
        sa.Column("request_time", Time, nullable=False),
        sa.Column("update_time", Time, nullable=False),
        sa.Column("summary", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="group_engagement_pk"),
        schema=SCHEMA,
    )
    op.create_index("group_engagement_by_request_time", "group_engagement", ["request_time", "name"], schema=SCHEMA)
    op.create_index("group_engagement_by_ticket", "group_engagement", ["ticket"], schema=SCHEMA)
    op.create_table(
        "offer",
        sa.Column("engagement", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("final", sa.Boolean(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("offer_time", Time, nullable=False),
        sa.Column("expire_time", Time, nullable=False),
        sa.ForeignKeyConstraint(["engagement"], [f"{SCHEMA}.group_engagement.name"], name="offer_engagement_fk"),
        sa.PrimaryKeyConstraint("engagement", "number", name="offer_pk"),
        schema=SCHEMA,
    )
