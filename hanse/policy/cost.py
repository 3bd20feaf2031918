"""What an expression may not do, so that it costs little whatever it meets.

CEL's evaluator counts iterations and stops at a budget, but not how large the values grow on the way: `map` over
`a + a + a + a`, a few times over, makes gigabytes within the budget. So a value must not grow inside a comprehension.
What is left is bounded by the budget and by how large the facts can be, and is tried out on the largest (`rehearsal`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_TEXTS = re.compile(r"""[rRbB]{0,2}("{3}.*?"{3}|'{3}.*?'{3}|"(\\.|[^"\\])*"|'(\\.|[^'\\])*')""", re.DOTALL)
_COMMENTS = re.compile(r"//[^\n]*")
_CONSTANTS = re.compile(r"\[\s*+(?:(?:T|\d++)\s*+(?:,\s*+(?:T|\d++)\s*+)*+,?\s*+)?+\]")
"""A list of texts and numbers, once each text is a T."""
_OPENING = re.compile(
    r"(?:\.\s*(?P<macro>all|exists|exists_one|filter|map)\s*)?(?P<open>\()|(?P<close>\))|(?P<grows>[+\[{])"
)


def growing(text: str) -> str:
    """Say what makes values grow inside a comprehension; empty where nothing does, and for what is not CEL at all."""
    plain = _CONSTANTS.sub("C", _COMMENTS.sub("", _TEXTS.sub("T", text)))
    return next(_found(plain), "")


def _found(plain: str) -> Iterator[str]:
    macros: list[str | None] = []
    for token in _OPENING.finditer(plain):
        if token["open"]:
            macros.append(token["macro"])
            if token["macro"] == "map":
                yield "map() makes new values, which can grow beyond all bounds: ask with exists(), all() or filter()"
        elif token["close"] and macros:
            macros.pop()
        elif token["grows"] and any(macros) and not _is_index(plain, token.start()):
            yield f"{token['grows']!r} inside {_innermost(macros)}() can grow beyond all bounds: take it out of there"


def _is_index(plain: str, place: int) -> bool:
    """Tell whether a bracket takes an element of what stands before it, which makes nothing new."""
    before = plain[:place].rstrip()
    return plain[place] == "[" and bool(before) and (before[-1].isalnum() or before[-1] in "_)]")


def _innermost(macros: list[str | None]) -> str:
    return next(macro for macro in reversed(macros) if macro)
