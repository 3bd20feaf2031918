"""Enum values have names, and those that only a newer version knows are their numbers."""

import pytest

from hanse.columns import ProtoEnum
from hanse.enums import Names, name_of, value_of
from hanse_protos.ticket.v1.ticket_pb2 import P1, Clock, Priority

NEWER = 1_017
"""A value that this version does not know."""


def test_a_known_value_is_its_name() -> None:
    assert (name_of(Priority, P1), Names(Clock.Kind)[Clock.RESPONSE]) == ("P1", "RESPONSE")


def test_a_value_of_a_newer_version_is_its_number() -> None:
    assert (name_of(Priority, NEWER), Names(Clock.Kind)[NEWER]) == ("1017", "1017")


@pytest.mark.parametrize("value", [P1, NEWER])
def test_a_column_holds_and_returns_values_that_it_has_no_name_for(value: int) -> None:
    column = ProtoEnum(Priority)
    assert column.process_result_value(column.process_bind_param(value, None), None) == value  # type: ignore[arg-type]


def test_what_is_neither_a_name_nor_a_number_is_no_value() -> None:
    with pytest.raises(ValueError):
        value_of(Priority, "URGENT")
