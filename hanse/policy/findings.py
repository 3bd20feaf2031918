"""What the checks of a document have in common: how a finding looks, and what several of them look for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TypeAlias

MAX_PROBLEMS = 200
"""A document that is wrong everywhere is read from the top; nobody works through more than this."""

# A place in the document, and what is wrong there.
Finding: TypeAlias = tuple[str, str]


def repeated(values: Iterable[str], path: str) -> Iterator[Finding]:
    """Find what is in a list more than once; `path` takes the number of an item."""
    seen: Counter[str] = Counter()
    for i, value in enumerate(values):
        seen[value] += 1
        if seen[value] == 2:
            yield path.format(i), f"{value!r} is here twice: keep one of the two"
