"""Tickets, their clocks, and engagements."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from hanse.migrations import create_kernel_tables_v1

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables of the service desk."""
    create_kernel_tables_v1(op, "ticket")
    op.create_table(
        "customer",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("phone", sa.Text(), nullable=False),
        sa.Column("create_time", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="customer_pk"),
        sa.UniqueConstraint("reference", name="customer_unique_reference"),
        schema="ticket",
    )
    op.create_table(
        "engagement",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("ticket", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("offer", sa.Integer(), nullable=False),
        sa.Column("offer_expire_time", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("offer_final", sa.Boolean(), nullable=False),
        sa.Column("ticket_summary", sa.LargeBinary(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("solution", sa.Text(), nullable=False),
        sa.Column("assignee", sa.Text(), nullable=False),
        sa.Column("request_time", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("accept_time", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("deliver_time", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("confirm_time", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("policy_version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="engagement_pk"),
        schema="ticket",
    )
    op.create_index("engagement_by_request_time", "engagement", ["request_time", "name"], unique=False, schema="ticket")
    op.create_index("engagement_by_ticket", "engagement", ["ticket"], unique=False, schema="ticket")
    op.create_table(
        "ticket",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column("tier", sa.SmallInteger(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=True),
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("assignee", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("solution", sa.Text(), nullable=False),
        sa.Column("open_time", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("update_time", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("resolve_time", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("close_time", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("policy_version", sa.Integer(), nullable=False),
        sa.Column("waiting_for", sa.Text(), nullable=False),
        sa.Column("waiting_since", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("waiting_duration", sa.Interval(), nullable=False),
        sa.Column("breached", sa.Boolean(), nullable=False),
        sa.Column("engagement_count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["customer"], ["ticket.customer.name"], name="ticket_customer_fk"),
        sa.PrimaryKeyConstraint("name", name="ticket_pk"),
        schema="ticket",
    )
    op.create_index("ticket_by_open_time", "ticket", ["open_time", "name"], unique=False, schema="ticket")
    op.create_index(
        "ticket_by_partner",
        "ticket",
        ["partner", "open_time"],
        unique=False,
        schema="ticket",
        postgresql_where="partner <> ''",
    )
    op.create_table(
        "clock",
        sa.Column("ticket", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("target_duration", sa.Interval(), nullable=False),
        sa.Column("policy_version", sa.Integer(), nullable=False),
        sa.Column("due_time", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("breach_time", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("stop_time", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("steps", postgresql.JSONB(), nullable=False),
        sa.ForeignKeyConstraint(["ticket"], ["ticket.ticket.name"], name="clock_ticket_fk"),
        sa.PrimaryKeyConstraint("ticket", "kind", name="clock_pk"),
        schema="ticket",
    )
    op.create_index(
        "clock_open", "clock", ["ticket"], unique=False, schema="ticket", postgresql_where="stop_time IS NULL"
    )
    op.create_table(
        "clock_segment",
        sa.Column("ticket", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("calendar", sa.Text(), nullable=False),
        sa.Column("running", sa.Boolean(), nullable=False),
        sa.Column("start_time", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("end_time", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["ticket"], ["ticket.ticket.name"], name="clock_segment_ticket_fk"),
        sa.PrimaryKeyConstraint("ticket", "number", name="clock_segment_pk"),
        schema="ticket",
    )
