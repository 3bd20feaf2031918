"""The ledger's tables. Triggers in the migrations keep what constraints on one row can't; see the package's text."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, ForeignKeyConstraint, Identity, Index, Text
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from hanse.columns import ProtoEnum
from hanse.log.tables import Time
from hanse.schema import ServiceSchema
from hanse_protos.settlement.v1.settlement_pb2 import Leg

SCHEMA = ServiceSchema("settlement")


class Base(DeclarativeBase):
    """The tables of this service. Amounts are whole minor units of their currency; nothing is ever updated."""

    metadata = SCHEMA.metadata
    type_annotation_map = {datetime: Time, str: Text, int: BigInteger}  # noqa: RUF012


class Charge(Base):
    """This unit's leg of what a provider earned from a home unit."""

    __tablename__ = "charge"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount"),
        CheckConstraint("home <> provider", name="two_units"),
    )

    name: Mapped[str] = mapped_column(primary_key=True)
    leg: Mapped[int] = mapped_column(ProtoEnum(Leg), primary_key=True)
    engagement: Mapped[str]
    home: Mapped[str]
    provider: Mapped[str]
    currency: Mapped[str]
    amount: Mapped[int]
    rate: Mapped[str]
    policy_version: Mapped[int]
    confirm_time: Mapped[datetime]
    post_time: Mapped[datetime]

    @property
    def counterparty(self) -> str:
        """The other unit."""
        return self.provider if self.leg == Leg.PAYABLE else self.home


class Account(Base):
    """What amounts stand in: "payable/units/munich". It is opened when the first amount is posted to it."""

    __tablename__ = "account"

    name: Mapped[str] = mapped_column(primary_key=True)
    open_time: Mapped[datetime]


class Journal(Base):
    """One posting: its entries balance in each currency."""

    __tablename__ = "journal"
    __table_args__ = (
        # Each leg of a charge is posted once.
        Unique("charge", "leg"),
        ForeignKeyConstraint(["charge", "leg"], ["settlement.charge.name", "settlement.charge.leg"]),
    )

    number: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    charge: Mapped[str]
    leg: Mapped[int] = mapped_column(ProtoEnum(Leg))
    post_time: Mapped[datetime]


class Entry(Base):
    """One line of a journal: a debit or a credit of one account."""

    __tablename__ = "entry"
    __table_args__ = (
        CheckConstraint("(debit > 0 AND credit = 0) OR (debit = 0 AND credit > 0)", name="debit_or_credit"),
        Index("entry_by_account", "account", "currency"),
    )

    journal: Mapped[int] = mapped_column(ForeignKey("settlement.journal.number"), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    account: Mapped[str] = mapped_column(ForeignKey("settlement.account.name"))
    currency: Mapped[str]
    debit: Mapped[int]
    credit: Mapped[int]
