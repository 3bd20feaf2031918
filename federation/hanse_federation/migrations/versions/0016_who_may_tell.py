"""What units told that is another's to tell, and keys that hold the unit whose word a row is."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "0016"
down_revision = "0015"

SCHEMA = "federation"


def upgrade() -> None:
    """Create the table, and widen the two keys: what is stored keeps its place under the wider one."""
    op.create_table(
        "foreign_facts",
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("first_time", TIMESTAMP(timezone=True), nullable=False),
        sa.Column("last_time", TIMESTAMP(timezone=True), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("unit", name="foreign_facts_pk"),
        schema=SCHEMA,
    )
    for table, columns in (
        ("hand_over", ["ticket", "home", "epoch", "sequence"]),
        ("group_charge", ["name", "provider"]),
    ):
        op.drop_constraint(f"{table}_pk", table, schema=SCHEMA, type_="primary")
        op.create_primary_key(f"{table}_pk", table, columns, schema=SCHEMA)
