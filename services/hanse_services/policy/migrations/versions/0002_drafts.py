"""The versions that are being written."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP

revision = "0002"
down_revision = "0001"
SCHEMA = "policy"
Time = TIMESTAMP(timezone=True)


def upgrade() -> None:
    op.create_table(
        "draft",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.Column("base_version", sa.BigInteger, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("writers", ARRAY(sa.Text), nullable=False),
        sa.Column("reviewer", sa.Text, nullable=False),
        sa.Column("review_note", sa.Text, nullable=False),
        sa.Column("create_time", Time, nullable=False),
        sa.Column("update_time", Time, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name="draft_pk"),
        schema=SCHEMA,
    )
