"""A policy document as people write it: YAML in and out of the contract's message.

The reader walks the YAML beside the message's descriptor, so it knows what each place should hold and can name the
place and the line when it holds something else. It looks at the text of a scalar and never at the type that YAML would
guess: `NO` stays Norway, `18:00` stays a time of day, and `2026-10-10` stays a date.

What may be written more briefly than in protobuf's JSON form is in `hanse.policy.notation`. Besides, the shifts of a
single day that differs need no `days`: its date says which.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from datetime import date
from difflib import get_close_matches
from typing import Any, TypeAlias, TypeVar

import yaml
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.type.dayofweek_pb2 import DayOfWeek
from google.type.money_pb2 import Money

from hanse.errors import PolicyInvalid
from hanse.policy import notation
from hanse.policy.conditions import invalid
from hanse.policy.lint import lint
from hanse_protos.policy.v1.policy_pb2 import Calendar, DayException, PolicyDocument
from hanse_protos.policy.v1.tuning_pb2 import OverrideDocument

__all__ = ["dump_yaml", "lint", "load_yaml"]

# A policy with 500 units is about 300 kB; the message it becomes has to fit a gRPC message of 4 MB as well.
MAX_TEXT_BYTES = 1_000_000
# The deepest place of the contract, a day in a shift of an exception, is at 9.
MAX_DEPTH = 20
# Every value counts each time that an alias repeats it, so a few aliases can't stand for gigabytes.
MAX_VALUES = 200_000

LINE_CHARACTERS = 120
ONE_LINE_LIST_CHARACTERS = 90

_DAY_OF_WEEK = DayOfWeek.DESCRIPTOR.full_name
_INTEGERS = {FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64}
_NULL = "tag:yaml.org,2002:null"

# What json_format takes and YAML gives: str, int, list and dict, nested.
Plain: TypeAlias = Any
Document = TypeVar("Document", PolicyDocument, OverrideDocument)


def load_yaml(text: str) -> PolicyDocument:
    """Read a policy document. It may still contradict itself: `lint` tells.

    Raises `PolicyInvalid` for text over `MAX_TEXT_BYTES`, for text that is not YAML, and for YAML that is not a policy;
    its metadata names the `path` in the document and the `line`, where they are known.
    """
    return _load(text, PolicyDocument())


def load_override_yaml(text: str) -> OverrideDocument:
    """Read what a unit changes of the policy for itself. Raises `PolicyInvalid` as `load_yaml` does."""
    return _load(text, OverrideDocument())


def _load(text: str, document: Document) -> Document:
    plain = _Reader().message(_compose(text), document.DESCRIPTOR, "")
    try:
        json_format.ParseDict(plain, document)
    except json_format.ParseError as error:
        raise invalid("document", f"{error}") from error
    for exception in _exceptions(document):
        _imply_days(exception)
    return document


def dump_yaml(document: PolicyDocument | OverrideDocument) -> str:
    """Write a policy document for people. `load_yaml` reads the same document back."""
    return yaml.dump(as_plain(document), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=LINE_CHARACTERS)


def as_plain(document: PolicyDocument | OverrideDocument) -> dict[str, Plain]:
    """Return a document as the mappings, lists and texts that people write."""
    written = deepcopy(document)
    for exception in _exceptions(written):
        _omit_implied_days(exception)
    return _plain(written)


LINE_ENDS_OF_YAML = ("\x85", "\u2028", "\u2029")


class _Dumper(yaml.SafeDumper):
    """Writes as people do: short lists on one line, and no quotes around what only YAML itself would misread."""

    def represent_list(self, items: Iterable[Any]) -> yaml.SequenceNode:
        texts = list(items)
        short = all(isinstance(text, str) for text in texts) and sum(map(len, texts)) <= ONE_LINE_LIST_CHARACTERS
        return self.represent_sequence("tag:yaml.org,2002:seq", texts, flow_style=short)

    def represent_text(self, text: str) -> yaml.ScalarNode:
        # YAML takes these for the ends of lines too, and keeps them only where they are escaped.
        style = '"' if any(end in text for end in LINE_ENDS_OF_YAML) else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(list, _Dumper.represent_list)
_Dumper.add_representer(str, _Dumper.represent_text)
# Of YAML's guesses at types, the reader looks at one: that nothing is written.
_Dumper.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag == _NULL]
    for first, resolvers in yaml.SafeDumper.yaml_implicit_resolvers.items()
}


def _compose(text: str) -> yaml.Node:
    """Turn text into YAML nodes, once its depth is known to be bounded: the composer recurses, the scanner doesn't."""
    try:
        if len(text.encode()) > MAX_TEXT_BYTES:
            raise invalid("document", f"the text has more than {MAX_TEXT_BYTES} bytes: split off what is not a policy")
        _check_depth(text)
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
    except UnicodeEncodeError as error:
        raise invalid("document", "the text has characters that UTF-8 does not have") from error
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(error.problem or "this is not YAML", error.problem_mark) from error
    except yaml.YAMLError as error:
        raise _not_yaml(str(error), None) from error
    if root is None:
        raise invalid("document", "the text is empty: write at least a title")
    return root


def _check_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise _not_yaml(f"there are more than {MAX_DEPTH} levels here: no policy is that deep", event.start_mark)


def _not_yaml(problem: str, mark: Any) -> PolicyInvalid:
    """Name the line, where the parser knows it; its marks have no common type."""
    if mark is None:
        return invalid("document", problem)
    return invalid("document", f"{problem} (line {mark.line + 1})", line=str(mark.line + 1))


class _Reader:
    """Turns YAML nodes into protobuf's JSON form, as far as a descriptor says what they should be."""

    def __init__(self) -> None:
        self._values_read = 0

    def message(self, node: yaml.Node, descriptor: Descriptor, path: str) -> Plain:
        """Read a mapping whose keys are the fields of a message."""
        fields = descriptor.fields_by_name
        plain: dict[str, Plain] = {}
        for key, value in self._entries(node, path):
            field = fields.get(key.value)
            place = f"{path}.{key.value}" if path else str(key.value)
            if field is None:
                raise _at(key, place, f"there is no such field{_suggestion(key.value, list(fields))}")
            if value.tag != _NULL:
                plain[field.name] = self._field(value, field, place)
        return plain

    def _entries(self, node: yaml.Node, path: str) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
        """Give the keys and values of a mapping; a key that is there twice would silently lose one of its values."""
        if not isinstance(node, yaml.MappingNode):
            raise _at(node, path, "write fields here, each as 'name: value'")
        self._count(node, path)
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _at(key, path, "a key has to be plain text")
            if key.value in seen:
                raise _at(key, f"{path}.{key.value}" if path else key.value, "this is here twice: keep one of the two")
            seen.add(key.value)
            yield key, value

    def _field(self, node: yaml.Node, field: FieldDescriptor, path: str) -> Plain:
        if field.enum_type is not None and field.enum_type.full_name == _DAY_OF_WEEK:
            return self._days(node, path)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            return self._map(node, field.message_type, path)
        if not field.is_repeated:
            return self._value(node, field, path)
        return [self._value(item, field, f"{path}[{i}]") for i, item in enumerate(self._items(node, path))]

    def _items(self, node: yaml.Node, path: str) -> list[yaml.Node]:
        if not isinstance(node, yaml.SequenceNode):
            raise _at(node, path, "write a list here, as [first, second] or one '- item' a line")
        self._count(node, path)
        return list(node.value)

    def _map(self, node: yaml.Node, entry: Descriptor, path: str) -> Plain:
        value_field = entry.fields_by_name["value"]
        return {
            key.value: self._value(value, value_field, f'{path}["{key.value}"]')
            for key, value in self._entries(node, path)
        }

    def _value(self, node: yaml.Node, field: FieldDescriptor, path: str) -> Plain:
        message_type = field.message_type
        if message_type is None:
            return self._scalar(node, field, path)
        if message_type.full_name == Duration.DESCRIPTOR.full_name:
            return _noted(node, path, notation.duration_to_json, self._text(node, path))
        if message_type.full_name == Money.DESCRIPTOR.full_name and isinstance(node, yaml.ScalarNode):
            return _noted(node, path, notation.money_to_json, self._text(node, path))
        return self.message(node, message_type, path)

    def _scalar(self, node: yaml.Node, field: FieldDescriptor, path: str) -> Plain:
        text = self._text(node, path)
        if field.enum_type is not None:
            names = field.enum_type.values_by_name
            if text not in names:
                raise _at(node, path, f"{text!r} is none of {', '.join(list(names)[1:])}")
        if field.cpp_type in _INTEGERS:
            return _noted(node, path, _integer, text)
        if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
            return _noted(node, path, _boolean, text)
        return text

    def _days(self, node: yaml.Node, path: str) -> Plain:
        """Read days of the week: a list of days and ranges, or one of them alone."""
        items = [node] if isinstance(node, yaml.ScalarNode) else self._items(node, path)
        return [day for item in items for day in _noted(item, path, notation.days_to_json, [self._text(item, path)])]

    def _text(self, node: yaml.Node, path: str) -> str:
        self._count(node, path)
        if not isinstance(node, yaml.ScalarNode) or node.tag == _NULL:
            raise _at(node, path, "write a single value here")
        return str(node.value)

    def _count(self, node: yaml.Node, path: str) -> None:
        self._values_read += 1
        if self._values_read > MAX_VALUES:
            raise _at(node, path, f"the document has more than {MAX_VALUES} values: shorten it, or use fewer aliases")


def _noted(node: yaml.Node, path: str, read: Any, written: object) -> Plain:
    """Read one of the brief notations, and name the place where it can't be read."""
    try:
        return read(written)
    except ValueError as error:
        raise _at(node, path, str(error)) from error


def _boolean(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError(f"{text!r} is neither true nor false")
    return text == "true"


def _integer(text: str) -> int:
    if not (text.removeprefix("-").isascii() and text.removeprefix("-").isdigit() and len(text) < 20):
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def _suggestion(name: str, known: Sequence[str]) -> str:
    close = get_close_matches(name, known, n=1)
    return f": did you mean {close[0]!r}?" if close else f": there are {', '.join(known)}"


def _at(node: yaml.Node, path: str, problem: str) -> PolicyInvalid:
    line = str(node.start_mark.line + 1)
    return invalid(path or "document", f"{problem} (line {line})", line=line)


def _exceptions(document: PolicyDocument | OverrideDocument) -> Iterator[DayException]:
    if isinstance(document, OverrideDocument):
        yield from document.calendar_exceptions
        return
    calendars: Sequence[Calendar] = document.calendars
    for calendar in calendars:
        yield from calendar.exceptions


def _weekday(exception: DayException) -> DayOfWeek.ValueType | None:
    """Give the day of the week of an exception, or None for a date that `lint` has yet to complain about."""
    try:
        return DayOfWeek.Value(notation.DAYS[date.fromisoformat(exception.date).weekday()])
    except ValueError:
        return None


def _imply_days(exception: DayException) -> None:
    weekday = _weekday(exception)
    for shift in exception.shifts:
        if not shift.days and weekday is not None:
            shift.days.append(weekday)


def _omit_implied_days(exception: DayException) -> None:
    weekday = _weekday(exception)
    for shift in exception.shifts:
        if list(shift.days) == [weekday]:
            shift.ClearField("days")


def _plain(message: Message) -> dict[str, Plain]:
    return {field.name: _plain_field(field, value) for field, value in message.ListFields()}


def _plain_field(field: FieldDescriptor, value: Any) -> Plain:
    if field.enum_type is not None and field.enum_type.full_name == _DAY_OF_WEEK:
        days = notation.days_to_text([DayOfWeek.Name(day) for day in value])
        return days[0] if len(days) == 1 else days
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return dict(sorted(value.items()))
    if field.is_repeated:
        return [_plain_value(field, item) for item in value]
    return _plain_value(field, value)


def _plain_value(field: FieldDescriptor, value: Any) -> Plain:
    if isinstance(value, Duration):
        return notation.duration_to_text(value)
    if isinstance(value, Money):
        return notation.money_to_text(value)
    if isinstance(value, Message):
        return _plain(value)
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    return str(value).lower() if isinstance(value, bool) else str(value)
