"""Page tokens: opaque, and granting nothing (AIP-158)."""

import base64
import binascii
import json
from collections.abc import Sequence

from hanse.errors import PageTokenInvalid

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1_000


def page_size(requested: int) -> int:
    """Return how many to answer with."""
    return min(requested or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)


def encode_token(*key: str | int) -> str:
    """Return a page token that says after which key the next page begins."""
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


def decode_token(token: str, kinds: Sequence[type]) -> list[str | int] | None:
    """Return the key in a page token, or None for an empty token.

    `kinds` are the types of the key's parts. Raises PageTokenInvalid for a token that we did not make.
    """
    if not token:
        return None
    try:
        key = json.loads(base64.urlsafe_b64decode(token))
    except (binascii.Error, ValueError) as error:
        raise PageTokenInvalid from error
    if not isinstance(key, list) or [type(part) for part in key] != list(kinds):
        raise PageTokenInvalid
    return key
