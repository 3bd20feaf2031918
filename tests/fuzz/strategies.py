"""Requests made from descriptors: most keep the rules that the contract declares; in others, some fields don't."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import strategies as st

from buf.validate import validate_pb2

MAX_DEPTH = 4
"""Deeper, optional messages are left out: expressions and documents nest without end."""
MAX_ITEMS = 3
WILD_ONE_IN = 12
"""Of so many fields, one breaks its rules: most requests must get past the gates to be of use."""
PRESENT_OF_TEN = 7

MASKED = ["title", "body", "language", "summaries", "category", "scope", "document", "*", "nothing"]

UNSIGNED_BITS = {FieldDescriptor.CPPTYPE_UINT32: 32, FieldDescriptor.CPPTYPE_UINT64: 64}
BITS = {FieldDescriptor.CPPTYPE_INT32: 32, FieldDescriptor.CPPTYPE_INT64: 64}
Draw = Callable[..., Any]

WILD_TEXTS = [
    "", " ", "\0", "a\0b", "-", "units/-", "../../etc/passwd", "'; DROP TABLE ticket; --", "%", "_", "\\", "\u202e",
    "界" * 300, "x" * 70_000, "\U0001f600", "units/hq/tickets/" + "a" * 300, "policies/9999999999999999999999",
    "policies/0", "W10=", "WyJhIl0=", "not a token", "00000000-0000-0000-0000-000000000000",
]  # fmt: skip


@dataclass(frozen=True)
class Known:
    """What is there: names and words to be put where texts go, and for some fields the values that fit best."""

    anywhere: tuple[str, ...]
    by_field: tuple[tuple[str, tuple[str, ...]], ...] = ()


def requests(message_class: type[Message], known: Known) -> st.SearchStrategy[Message]:
    """Return a strategy for messages of a class."""
    name = message_class.DESCRIPTOR.full_name
    tame, wild = (_messages(name, known, MAX_DEPTH, wild) for wild in (False, True))
    return st.one_of(tame, tame, wild)


_WELL_KNOWN: Mapping[str, Callable[[type[Message]], st.SearchStrategy[Message]]] = {
    "google.protobuf.Timestamp": lambda kind: st.integers(0, 4_000_000_000).map(lambda seconds: kind(seconds=seconds)),
    "google.protobuf.Duration": lambda kind: st.integers(1, 10_000_000).map(lambda seconds: kind(seconds=seconds)),
    "google.protobuf.FieldMask": lambda kind: st.lists(st.sampled_from(MASKED), min_size=1, max_size=3).map(
        lambda paths: kind(paths=paths)
    ),
}
"""Times, lengths of time and masks as people send them."""
_IMPOSSIBLE: Mapping[str, tuple[Message, ...]] = {
    "google.protobuf.Timestamp": (Timestamp(nanos=-1), Timestamp(seconds=2**40), Timestamp(seconds=-(2**63))),
    "google.protobuf.Duration": (Duration(seconds=1, nanos=-1), Duration(seconds=2**62), Duration(nanos=2**31 - 1)),
}
"""Times and lengths of time that there are not: those of a request that breaks its rules, half of the time."""


@lru_cache(maxsize=4096)
def _messages(name: str, known: Known, depth: int, wild: bool) -> st.SearchStrategy[Message]:
    descriptor = descriptor_pool.Default().FindMessageTypeByName(name)
    message_class = GetMessageClass(descriptor)
    maker = _Maker(known, depth, wild)
    if not wild and name in _WELL_KNOWN:
        return _WELL_KNOWN[name](message_class)

    @st.composite
    def build(draw: Draw) -> Message:
        message = message_class()
        for field in _chosen(draw, descriptor):
            if maker.is_present(draw, field):
                maker.fill(draw, message, field)
        return message

    return st.one_of(st.sampled_from(_IMPOSSIBLE[name]), build()) if name in _IMPOSSIBLE else build()


def _chosen(draw: Draw, descriptor: Descriptor) -> list[FieldDescriptor]:
    """Return the fields to be filled: one of each group of alternatives."""
    groups = [oneof for oneof in descriptor.oneofs if len(oneof.fields) > 1]
    alternatives = {field.name for oneof in groups for field in oneof.fields}
    fields = [field for field in descriptor.fields if field.name not in alternatives]
    return fields + [draw(st.sampled_from(list(oneof.fields))) for oneof in groups]


@dataclass(frozen=True)
class _Maker:
    """Fills the fields of messages."""

    known: Known
    depth: int
    wild: bool

    def is_present(self, draw: Draw, field: FieldDescriptor) -> bool:
        if _is_required(field):
            return not self.wild or draw(st.integers(0, 10)) > 0
        if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE and self.depth == 0:
            return False
        return draw(st.integers(1, 10)) <= PRESENT_OF_TEN

    def fill(self, draw: Draw, message: Message, field: FieldDescriptor) -> None:
        rules = _rules(field)
        if not field.is_repeated:
            if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
                getattr(message, field.name).CopyFrom(draw(self._inner(field)))
            else:
                setattr(message, field.name, draw(self._values(field, rules)))
        elif field.message_type is not None and field.message_type.GetOptions().map_entry:
            self._fill_map(draw, message, field)
        else:
            items = getattr(message, field.name)
            for _ in range(draw(st.integers(min(rules.repeated.min_items, MAX_ITEMS), MAX_ITEMS))):
                if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
                    items.add().CopyFrom(draw(self._inner(field)))
                else:
                    items.append(draw(self._values(field, rules.repeated.items)))

    def _fill_map(self, draw: Draw, message: Message, field: FieldDescriptor) -> None:
        key, value = (_message_type(field).fields_by_name[name] for name in ("key", "value"))
        if value.cpp_type != FieldDescriptor.CPPTYPE_MESSAGE:
            for _ in range(draw(st.integers(0, MAX_ITEMS))):
                drawn = draw(self._values(key, _rules(key)))
                getattr(message, field.name)[drawn] = draw(self._values(value, _rules(value)))

    def _inner(self, field: FieldDescriptor) -> st.SearchStrategy[Message]:
        return _messages(_message_type(field).full_name, self.known, max(self.depth - 1, 0), self.wild)

    def _values(self, field: FieldDescriptor, rules: validate_pb2.FieldRules) -> st.SearchStrategy[Any]:
        tame = _tame(field, rules, self.known)
        if not self.wild:
            return tame
        wild = _wild(field)
        return st.integers(1, WILD_ONE_IN).flatmap(lambda number: wild if number == 1 else tame)


def _message_type(field: FieldDescriptor) -> Descriptor:
    assert field.message_type is not None
    return field.message_type


def _is_required(field: FieldDescriptor) -> bool:
    rules = _rules(field)
    return (
        rules.required or (bool(rules.string.ByteSize()) and not rules.string.max_len)
        or rules.string.min_len > 0 or rules.repeated.min_items > 0 or bool(rules.enum.not_in)
    )  # fmt: skip


def _rules(field: FieldDescriptor) -> validate_pb2.FieldRules:
    return field.GetOptions().Extensions[validate_pb2.field]


def _tame(field: FieldDescriptor, rules: validate_pb2.FieldRules, known: Known) -> st.SearchStrategy[Any]:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_BYTES:
            return st.binary(max_size=min(rules.bytes.max_len or 40, 40))
        case FieldDescriptor.CPPTYPE_STRING:
            return _texts(field.name, rules.string, known)
        case FieldDescriptor.CPPTYPE_ENUM:
            assert field.enum_type is not None
            refused = set(rules.enum.not_in)
            return st.sampled_from([value.number for value in field.enum_type.values if value.number not in refused])
        case FieldDescriptor.CPPTYPE_BOOL:
            return st.booleans()
        case FieldDescriptor.CPPTYPE_FLOAT | FieldDescriptor.CPPTYPE_DOUBLE:
            return st.floats(-1000, 1000, width=32)
        case _:
            limits = rules.int32 if field.cpp_type == FieldDescriptor.CPPTYPE_INT32 else rules.int64
            low = limits.gte if limits.HasField("gte") else limits.gt + 1 if limits.HasField("gt") else 0
            high = limits.lte if limits.HasField("lte") else limits.lt - 1 if limits.HasField("lt") else low + 100
            return st.one_of(st.sampled_from([low, high]), st.integers(low, high))


def _texts(name: str, rules: validate_pb2.StringRules, known: Known) -> st.SearchStrategy[str]:
    if rules.uuid:
        return st.uuids(version=4).map(str)

    def fits(text: str) -> bool:
        length = not rules.max_len or len(text) <= rules.max_len
        return length and (not rules.pattern or re.fullmatch(rules.pattern, text) is not None)

    longest = min(rules.max_len or 60, 60)
    letters = st.characters(exclude_categories=["Cs", "Cc"])
    free = st.text(letters, min_size=min(rules.min_len, longest), max_size=longest)
    if rules.pattern:
        free = st.from_regex(rules.pattern, fullmatch=True).filter(fits)
    best = [text for text in dict(known.by_field).get(name, ()) if fits(text)]
    here = best or [text for text in known.anywhere if fits(text)]
    # What is there is asked for more often than what isn't: else nothing gets past the look-up.
    return st.one_of(st.sampled_from(here), st.sampled_from(here), st.sampled_from(here), free) if here else free


def _wild(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.binary(max_size=300)
    if field.cpp_type in UNSIGNED_BITS:
        return st.integers(0, 2 ** UNSIGNED_BITS[field.cpp_type] - 1)
    if field.cpp_type in BITS:
        largest = 2 ** (BITS[field.cpp_type] - 1)
        return st.one_of(st.sampled_from([0, -1, largest - 1, -largest]), st.integers(-largest, largest - 1))
    any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
    return {
        FieldDescriptor.CPPTYPE_STRING: st.one_of(st.sampled_from(WILD_TEXTS), any_text),
        FieldDescriptor.CPPTYPE_ENUM: st.sampled_from([-1, 0, 99, 2**31 - 1]),
        FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
    }.get(field.cpp_type, st.floats(width=32))


@st.composite
def mutated(draw: Draw, message_class: type[Message], known: Known) -> bytes:
    """Return a serialized message with some bytes changed, doubled, cut off or put in; or no message at all."""
    if draw(st.integers(1, 8)) == 1:
        return draw(st.binary(max_size=200))
    content = bytearray(draw(requests(message_class, known)).SerializeToString())
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(content)))
        match draw(st.sampled_from(["change", "cut", "insert", "double", "remove"])):
            case "change" if place < len(content):
                content[place] = draw(st.integers(0, 255))
            case "cut":
                del content[place:]
            case "insert":
                content[place:place] = draw(st.binary(min_size=1, max_size=8))
            case "double":
                content += content[place : place + 40]
            case _:
                del content[place : place + 3]
    return bytes(content)
