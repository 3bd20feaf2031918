"""Column types that the services' models share."""

from typing import Any

from sqlalchemy import Dialect, Text
from sqlalchemy.types import TypeDecorator


class ProtoEnum(TypeDecorator[int]):
    """A protobuf enum, stored by the name of its value: readable in SQL, and a renumbering can't corrupt it."""

    impl = Text
    cache_ok = True

    def __init__(self, enum: Any) -> None:
        super().__init__()
        self.enum = enum

    def process_bind_param(self, value: int | None, dialect: Dialect) -> str | None:
        """Return the name of a value."""
        return None if value is None else self.enum.Name(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Return the value of a name."""
        return None if value is None else self.enum.Value(value)
