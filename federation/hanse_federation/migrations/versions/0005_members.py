"""Which units are members of the group, and their certificates."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"

SCHEMA = "federation"
Time = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    """Create the register of the units. Those that have had a link until now were members without it."""
    op.create_table(
        "member",
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("create_time", Time, nullable=False),
        sa.Column("change_time", Time, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("invitation_digest", sa.LargeBinary(), nullable=True),
        sa.Column("invitation_expire_time", Time, nullable=True),
        sa.PrimaryKeyConstraint("unit", name="member_pk"),
        schema=SCHEMA,
    )
    op.create_table(
        "certificate",
        sa.Column("serial", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("start_time", Time, nullable=False),
        sa.Column("expire_time", Time, nullable=False),
        sa.Column("revoke_time", Time, nullable=True),
        sa.PrimaryKeyConstraint("serial", name="certificate_pk"),
        schema=SCHEMA,
    )
    op.create_index("certificate_by_unit", "certificate", ["unit"], schema=SCHEMA)
    op.execute(
        "INSERT INTO federation.member (unit, state, create_time, change_time, actor, reason)"
        " SELECT unit, 'ACTIVE', now(), now(), 'units/hq/services/federation', 'linked before'"
        " FROM federation.link WHERE \"end\" = 'HUB' AND unit <> 'units/hq'"
    )
