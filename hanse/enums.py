"""The names of enum values, also of those that this version does not know.

A unit that was upgraded first may say a kind, a state or a priority that another one has never heard of. Protobuf keeps
such a number, and so does Hanse: it is stored and shown as the number, "17", and goes on as it came. A version that
knows the value reads the number as what it stands for.
"""

from functools import lru_cache
from typing import Any


class Names(dict[int, str]):
    """The names of an enum's values by number; of a number without a name, the number itself."""

    def __init__(self, enum: Any) -> None:
        super().__init__((number, name) for name, number in enum.items())

    def __missing__(self, number: int) -> str:
        """Return a number that this version has no name for as it is stored and shown."""
        return str(number)


def name_of(enum: Any, number: int) -> str:
    """Return the name of an enum's value, or its number where this version knows no name."""
    return _names(enum)[number]


def in_words(enum: Any, number: int) -> str:
    """Return the name of an enum's value for people: "unit manager" for UNIT_MANAGER."""
    return name_of(enum, number).lower().replace("_", " ")


def value_of(enum: Any, name: str) -> int:
    """Return the value of what `name_of` returned. Raises ValueError for what is neither a name nor a number."""
    values: Any = enum
    try:
        return int(values.Value(name))
    except ValueError:
        return int(name)


_names = lru_cache(maxsize=None)(Names)
