"""What a person did to processes by hand. It is the only thing about waiting that no service knows."""

from datetime import datetime

from sqlalchemy import Index, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from hanse.columns import ProtoEnum
from hanse.log.tables import Time
from hanse.schema import ServiceSchema
from hanse_protos.waiting.v1 import processes_pb2 as pb

SCHEMA = ServiceSchema("waiting")


class Base(DeclarativeBase):
    """The tables of waiting."""

    metadata = SCHEMA.metadata
    type_annotation_map = {datetime: Time, str: Text}  # noqa: RUF012


class Intervention(Base):
    """Something that a person did to a process. A process is paused while its last pause has no end."""

    __tablename__ = "intervention"
    __table_args__ = (
        Index("intervention_lasting", "process", postgresql_where="kind = 'PAUSE' AND end_time IS NULL", unique=True),
    )

    process: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[pb.Intervention.Kind.ValueType] = mapped_column(ProtoEnum(pb.Intervention.Kind))
    actor: Mapped[str]
    time: Mapped[datetime]
    reason: Mapped[str]
    step: Mapped[str]
    end_time: Mapped[datetime | None]
    """When a pause ended."""
