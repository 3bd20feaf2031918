"""Finding the text of a request that can't be one: not UTF-8, or with a NUL, which PostgreSQL's text can't hold.

The decoder only says that a message is broken. Here the bytes are walked along the contract, so that the field can be
named. It runs when something is known, or likely, to be wrong; not on every request.
"""

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

Descriptor = Any
"""A message's descriptor, of whichever of protobuf's implementations is at work."""

_LENGTH_DELIMITED = 2
"""The wire type of texts, bytes and messages."""


def unfit_text(descriptor: Descriptor, content: bytes) -> str:
    """Return the path of the first text that is not UTF-8 or holds a NUL, "ticket.title"; empty where there is none."""
    return next(_unfit(descriptor, content, ""), "")


def _unfit(descriptor: Descriptor, content: bytes, prefix: str) -> Iterator[str]:
    for field, value in _fields(descriptor, content):
        path = f"{prefix}{field.name}"
        if field.type == FieldDescriptor.TYPE_STRING and not _is_fit(value):
            yield path
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            yield from _unfit(field.message_type, value, f"{path}.")


def _fields(descriptor: Descriptor, content: bytes) -> Iterator[tuple[FieldDescriptor, bytes]]:
    """Yield the texts, bytes and messages in a serialized message; none where it is no message at all."""
    try:
        # To an empty message every field is an unknown one, and those are kept as they came.
        parsed = Empty.FromString(content)
    except DecodeError:
        return
    unknown_fields: Any = UnknownFieldSet(parsed)
    for unknown in unknown_fields:
        field = descriptor.fields_by_number.get(unknown.field_number)
        if field is not None and unknown.wire_type == _LENGTH_DELIMITED:
            yield field, unknown.data


def _is_fit(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in value
