"""Column types that the services' models share."""

from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Dialect,
    MetaData,
    Table,
    Text,
    delete,
    exists,
    select,
    type_coerce,
    update,
)
from sqlalchemy.types import TypeDecorator

from hanse.enums import name_of, value_of


class ProtoEnum(TypeDecorator[int]):
    """A protobuf enum, stored by the name of its value: readable in SQL, and a renumbering can't corrupt it.

    A value that this version has no name for is stored as its number (`hanse.enums`).
    """

    impl = Text
    cache_ok = True

    def __init__(self, enum: Any) -> None:
        super().__init__()
        self.enum = enum

    def process_bind_param(self, value: int | None, dialect: Dialect) -> str | None:
        """Return the name of a value."""
        return None if value is None else name_of(self.enum, value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Return the value of a name."""
        return None if value is None else value_of(self.enum, value)


def name_known_values(connection: Connection, metadata: MetaData) -> None:
    """Give values that an earlier version stored by their numbers the names that this version knows for them.

    Call it after an upgrade. A row of which the named one is here already, as part of its key, is the older of the two.
    """
    for table in metadata.sorted_tables:
        for column in table.columns:
            if isinstance(column.type, ProtoEnum):
                _name_known(connection, table, column, column.type)


def _name_known(connection: Connection, table: Table, column: Column[Any], kind: ProtoEnum) -> None:
    stored = type_coerce(column, Text)
    known = {str(number): number for number in kind.enum.values()}
    for text in connection.scalars(select(stored).where(stored.in_(known)).distinct()).all():
        if column.primary_key:
            connection.execute(delete(table).where(stored == text, _is_there(table, column, known[text])))
        connection.execute(update(table).where(stored == text).values({column: known[text]}))


def _is_there(table: Table, column: Column[Any], value: int) -> ColumnElement[bool]:
    """Return the condition that a row's key is there with another value of one of its columns."""
    named = table.alias()
    rest = [named.c[other.name] == other for other in table.primary_key if other is not column]
    return exists().where(named.c[column.name] == value, *rest)
