"""What an expression may not do, so that it costs little whatever it meets.

CEL's evaluator counts iterations and stops at a budget, but not how large the values grow on the way: `map` over
`a + a + a + a`, a few times over, makes gigabytes within the budget. So a value must not grow inside a comprehension.

Nor does it count what `matches` costs. CEL compiles the pattern each time that it is asked: of a class such as \\pL, a
few hundred times over, that takes a second, and a pattern from a ticket may be none at all. So a pattern is written
where it is used, without what multiplies it, and is not compiled in a loop.

What is left is bounded by the budget and by how large the facts can be, and is tried out on the largest (`rehearsal`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_TEXT = """
    [bB]?[rR][bB]? (?: "{3}.*?"{3} | '{3}.*?'{3} | "[^"\\r\\n]*" | '[^'\\r\\n]*' )
    | [bB]? (?: "{3}(?:\\\\.|[^\\\\])*?"{3} | '{3}(?:\\\\.|[^\\\\])*?'{3}
        | "(?:\\\\.|[^"\\\\\\r\\n])*" | '(?:\\\\.|[^'\\\\\\r\\n])*' )
"""
"""A text of CEL, a raw one or one with escapes: https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax"""
_COMMENT_OR_TEXT = re.compile(f"(?P<comment>//[^\\n]*)|(?P<text>{_TEXT})", re.DOTALL | re.VERBOSE)
_TEXT_MARK = '"'
"""What stands for a text once it is taken out; nothing else has a quotation mark then."""
_CONSTANTS = re.compile(r'\[\s*+(?:(?:"|\d++)\s*+(?:,\s*+(?:"|\d++)\s*+)*+,?\s*+)?+\]')
"""A list of texts and numbers."""
_OPENING = re.compile(
    r"(?:\.\s*(?P<macro>all|exists|exists_one|filter|map|matches)\s*)?(?P<open>\()|(?P<close>\))|(?P<grows>[+\[{])"
)
_MATCHES = re.compile(r'\bmatches\b(?:\s*\(\s*(?P<written>")\s*\))?')
_MULTIPLIED = re.compile(r"""\{|\\+[^dDwWsSbB.()\[\]*+?|^$/"'\\-]""")
"""In a pattern as it is written: a count such as {100}, and escapes that stand for many characters or hide a count."""


def costly(text: str) -> str:
    """Say what may cost too much about an expression; empty where nothing does, and for what is not CEL at all."""
    texts: list[str] = []
    plain = _COMMENT_OR_TEXT.sub(lambda found: _taken_out(found, texts), text)
    return next(_growing(_CONSTANTS.sub("C", plain)), "") or next(_patterns(plain, texts), "")


def _taken_out(found: re.Match[str], texts: list[str]) -> str:
    if found["text"] is None:
        return " "
    texts.append(found["text"])
    return _TEXT_MARK


def _patterns(plain: str, texts: list[str]) -> Iterator[str]:
    """Find what makes patterns dear; `texts` are those of the expression, in order."""
    for found in _MATCHES.finditer(plain):
        number = plain.count(_TEXT_MARK, 0, found.start())
        if not found["written"] or number >= len(texts):
            yield 'a pattern has to be written where it is used, as in ticket.product.matches("^X[0-9]+$")'
        elif multiplied := _MULTIPLIED.search(texts[number]):
            yield f"{multiplied[0]!r} in a pattern can cost too much: write it without counts and classes such as \\pL"


def _growing(plain: str) -> Iterator[str]:
    macros: list[str | None] = []
    for token in _OPENING.finditer(plain):
        if token["open"]:
            if token["macro"] == "matches" and any(macros):
                yield f"matches() inside {_innermost(macros)}() compiles a pattern each time: take it out of there"
            macros.append(token["macro"] if token["macro"] != "matches" else None)
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
