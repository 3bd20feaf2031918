"""The tables of the policy service. What is in force in this unit is in the kernel's own table, `SCHEMA.policy`."""

from datetime import datetime

from sqlalchemy import BigInteger, LargeBinary
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from hanse.log.tables import Time
from hanse.schema import ServiceSchema

SCHEMA = ServiceSchema("policy")


class Base(DeclarativeBase):
    """The tables of this service."""

    metadata = SCHEMA.metadata
    type_annotation_map = {datetime: Time, int: BigInteger, bytes: LargeBinary}  # noqa: RUF012


class PublishedPolicy(Base):
    """A version that was published here: at headquarters, where publishing puts nothing in force, or in an independent
    unit."""

    __tablename__ = "published_policy"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    policy: Mapped[bytes]
    publish_time: Mapped[datetime]
