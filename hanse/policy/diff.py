"""What differs between two policy documents, place by place, in the words that the documents themselves are written in.

Things that have an id are compared with their namesakes: a target that moved is not one dropped and one added. Where
the order decides, since the first rule that holds applies, a changed order is a difference of its own. Things without
an id, such as rungs of the ladder, are told apart by what they say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, TypeAlias

import yaml

from hanse.policy.document import as_plain
from hanse_protos.policy.v1.policy_pb2 import PolicyDocument, PolicyProblem

Plain: TypeAlias = Any

KEYS = ("id", "unit", "date")
"""What a thing in a list is called by, where it has one of these."""
ORDERED = ("targets", "rates", "services", "complaints")
"""The lists of which the first that holds applies."""
LINE_CHARACTERS = 1_000
CATEGORY_DROPPED = (
    "tickets of it may be under way: no team is given them any more, and who is asked for their engagements follows "
    "from an older version. Keep the category until they are closed"
)
UNIT_DROPPED = (
    "tickets of it may be under way: from then on its desk can open none, and nobody asks it any more. Keep the unit "
    "until they are closed"
)


@dataclass(frozen=True, slots=True)
class Difference:
    """One place that differs: `before` is empty where it was added, `after` where it was dropped."""

    path: str
    before: str
    after: str


def diff(before: PolicyDocument, after: PolicyDocument) -> list[Difference]:
    """List what differs between two documents, in the order of the contract; empty where they say the same."""
    return list(_mappings(as_plain(before), as_plain(after), ""))


def dropped(before: PolicyDocument, after: PolicyDocument) -> list[PolicyProblem]:
    """List the categories and units that `after` has no more: tickets of theirs may be under way."""
    categories = _gone((each.id for each in before.categories), (each.id for each in after.categories))
    units = _gone((each.unit for each in before.units), (each.unit for each in after.units))
    return [
        *(PolicyProblem(path=f"categories[{name}]", message=CATEGORY_DROPPED) for name in categories),
        *(PolicyProblem(path=f"units[{name}]", message=UNIT_DROPPED) for name in units),
    ]


def _gone(before: Iterable[str], after: Iterable[str]) -> list[str]:
    kept = set(after)
    return [name for name in before if name not in kept]


def _mappings(before: Mapping[str, Plain], after: Mapping[str, Plain], path: str) -> Iterator[Difference]:
    for name in dict.fromkeys([*before, *after]):
        place = f"{path}.{name}" if path else name
        yield from _values(before.get(name), after.get(name), place)


def _values(before: Plain, after: Plain, path: str) -> Iterator[Difference]:
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _mappings(before, after, path)
    elif _holds_mappings(before) or _holds_mappings(after):
        yield from _lists(before or [], after or [], path)
    else:
        yield Difference(path, _text(before), _text(after))


def _holds_mappings(value: Plain) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _lists(before: Sequence[Plain], after: Sequence[Plain], path: str) -> Iterator[Difference]:
    key = next((key for key in KEYS if all(key in item for item in (*before, *after))), None)
    if key is None:
        yield from _nameless(before, after, path)
        return
    old, new = ({item[key]: item for item in items} for items in (before, after))
    for name in dict.fromkeys([*old, *new]):
        yield from _values(old.get(name), new.get(name), f"{path}[{name}]")
    kept, moved = [name for name in old if name in new], [name for name in new if name in old]
    if path in ORDERED and kept != moved:
        yield Difference(f"{path}, in their order", ", ".join(kept), ", ".join(moved))


def _nameless(before: Sequence[Plain], after: Sequence[Plain], path: str) -> Iterator[Difference]:
    old, new = [_text(item) for item in before], [_text(item) for item in after]
    for tag, old_start, old_end, new_start, new_end in SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        yield from (Difference(f"{path}[{i}]", old[i], "") for i in range(old_start, old_end))
        yield from (Difference(f"{path}[{i}]", "", new[i]) for i in range(new_start, new_end))


def _text(value: Plain) -> str:
    """Write a value as YAML would on one line, without the quotes that only YAML needs."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=LINE_CHARACTERS
    ).strip()
