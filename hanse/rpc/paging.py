"""Page tokens: opaque, and granting nothing (AIP-158)."""

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from hanse.errors import PageTokenInvalid

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1_000
MAX_KEY_NUMBER = 2**63 - 1
"""PostgreSQL's bigint ends there."""


def page_size(requested: int) -> int:
    """Return how many to answer with."""
    return min(requested or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)


def encode_token(*key: str | int | datetime) -> str:
    """Return a page token that says after which key the next page begins."""
    parts = [part.isoformat() if isinstance(part, datetime) else part for part in key]
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()


def decode_token(token: str, kinds: Sequence[type]) -> list[Any] | None:
    """Return the key in a page token, or None for an empty token.

    `kinds` are the types of the key's parts: str, int or datetime. Raises PageTokenInvalid for a token that we did not
    make, also for one with values that no database takes.
    """
    if not token:
        return None
    try:
        key = json.loads(base64.urlsafe_b64decode(token))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise PageTokenInvalid from error
    if not isinstance(key, list) or len(key) != len(kinds):
        raise PageTokenInvalid
    return [_part(part, kind) for part, kind in zip(key, kinds, strict=True)]


def _part(part: object, kind: type) -> str | int | datetime:
    if kind is datetime and isinstance(part, str):
        return _instant(part)
    if type(part) is not kind:
        raise PageTokenInvalid
    if isinstance(part, int) and 0 <= part <= MAX_KEY_NUMBER:
        return part
    # PostgreSQL's text holds no NUL, and a lone surrogate has no UTF-8.
    if isinstance(part, str) and "\0" not in part and part.isprintable():
        return part
    raise PageTokenInvalid


def _instant(part: str) -> datetime:
    try:
        value = datetime.fromisoformat(part)
    except ValueError as error:
        raise PageTokenInvalid from error
    if value.tzinfo is None:
        raise PageTokenInvalid
    return value
