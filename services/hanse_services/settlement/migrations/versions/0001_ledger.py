"""The kernel's tables, the ledger, and the triggers that keep it balanced and unchanged."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

from hanse.migrations import create_kernel_tables_v1

revision = "0001"
down_revision = None
SCHEMA = "settlement"

# Nothing posted is ever changed, deleted or truncated, whoever asks.
REFUSE_CHANGE = """
CREATE FUNCTION settlement.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%.% holds what was posted: correct it by another journal', TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$
"""
CHANGE_TRIGGERS = """
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON settlement.{table}
    FOR EACH STATEMENT EXECUTE FUNCTION settlement.refuse_change()
"""

# A journal has entries, and in each currency its debits equal its credits. It is checked at COMMIT, when all are there.
REQUIRE_BALANCE = """
CREATE FUNCTION settlement.require_balance(checked bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM settlement.entry WHERE journal = checked) THEN
        RAISE EXCEPTION 'journal % has no entries', checked USING ERRCODE = 'check_violation';
    END IF;
    IF EXISTS (
        SELECT FROM settlement.entry WHERE journal = checked
        GROUP BY currency HAVING sum(debit) <> sum(credit)
    ) THEN
        RAISE EXCEPTION 'journal % does not balance', checked USING ERRCODE = 'check_violation';
    END IF;
END $$
"""
BALANCE_TRIGGERS = """
CREATE FUNCTION settlement.{table}_require_balance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM settlement.require_balance(NEW.{journal});
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER require_balance AFTER INSERT ON settlement.{table}
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION settlement.{table}_require_balance()
"""


def upgrade() -> None:
    create_kernel_tables_v1(op, SCHEMA)
    create_charge()
    create_ledger()
    op.execute(REFUSE_CHANGE)
    for table in ("charge", "journal", "entry"):
        op.execute(CHANGE_TRIGGERS.format(table=table))
    op.execute(REQUIRE_BALANCE)
    op.execute(BALANCE_TRIGGERS.format(table="journal", journal="number"))
    op.execute(BALANCE_TRIGGERS.format(table="entry", journal="journal"))


def create_charge() -> None:
    op.create_table(
        "charge",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("leg", sa.Text, nullable=False),
        sa.Column("engagement", sa.Text, nullable=False),
        sa.Column("home", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("rate", sa.Text, nullable=False),
        sa.Column("policy_version", sa.BigInteger, nullable=False),
        sa.Column("confirm_time", TIMESTAMP(timezone=True), nullable=False),
        sa.Column("post_time", TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", "leg", name="charge_pk"),
        sa.CheckConstraint("amount > 0", name=op.f("charge_check_amount")),
        sa.CheckConstraint("home <> provider", name=op.f("charge_check_two_units")),
        schema=SCHEMA,
    )


def create_ledger() -> None:
    op.create_table(
        "account",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("open_time", TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="account_pk"),
        schema=SCHEMA,
    )
    op.create_table(
        "journal",
        sa.Column("number", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("charge", sa.Text, nullable=False),
        sa.Column("leg", sa.Text, nullable=False),
        sa.Column("post_time", TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("number", name="journal_pk"),
        sa.UniqueConstraint("charge", "leg", name="journal_unique_charge_leg"),
        sa.ForeignKeyConstraint(
            ["charge", "leg"], ["settlement.charge.name", "settlement.charge.leg"], name="journal_charge_leg_fk"
        ),
        schema=SCHEMA,
    )
    op.create_table(
        "entry",
        sa.Column("journal", sa.BigInteger, nullable=False),
        sa.Column("line", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("debit", sa.BigInteger, nullable=False),
        sa.Column("credit", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("journal", "line", name="entry_pk"),
        sa.ForeignKeyConstraint(["journal"], ["settlement.journal.number"], name="entry_journal_fk"),
        sa.ForeignKeyConstraint(["account"], ["settlement.account.name"], name="entry_account_fk"),
        sa.CheckConstraint(
            "(debit > 0 AND credit = 0) OR (debit = 0 AND credit > 0)", name=op.f("entry_check_debit_or_credit")
        ),
        schema=SCHEMA,
    )
    op.create_index("entry_by_account", "entry", ["account", "currency"], schema=SCHEMA)
