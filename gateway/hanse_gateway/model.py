"""The tables of the gateway."""

from datetime import datetime

from sqlalchemy import LargeBinary, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from hanse.log.tables import Time
from hanse.schema import ServiceSchema

SCHEMA = ServiceSchema("gateway")


class Base(DeclarativeBase):
    """The tables of the gateway."""

    metadata = SCHEMA.metadata
    type_annotation_map = {datetime: Time, str: Text}  # noqa: RUF012


class Partner(Base):
    """A partner system that was admitted."""

    __tablename__ = "partner"

    name: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str]
    key_digest: Mapped[bytes] = mapped_column(LargeBinary)
    """SHA-256 of the API key. The key itself is nowhere: whoever reads this table can't call with it."""
    key_time: Mapped[datetime]
    """When the key was made."""
    create_time: Mapped[datetime]
