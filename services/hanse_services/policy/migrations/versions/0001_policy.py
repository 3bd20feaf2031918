"""The kernel's tables, and the versions that headquarters published."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

from hanse.migrations import create_kernel_tables_v1

revision = "0001"
down_revision = None
SCHEMA = "policy"


def upgrade() -> None:
    create_kernel_tables_v1(op, SCHEMA)
    op.create_table(
        "published_policy",
        sa.Column("version", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("policy", sa.LargeBinary, nullable=False),
        sa.Column("publish_time", TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("version", name="published_policy_pk"),
        schema=SCHEMA,
    )
