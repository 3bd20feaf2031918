"""API keys: "hk_acme_…", which says whose it is, and 256 random bits that nobody guesses.

A fast hash is enough for what is random: there is no dictionary of such keys, and each request has to be checked.
"""

import re
import secrets
from hashlib import sha256

from hanse.names import PARTNERS

SECRET_BYTES = 32

_KEY = re.compile(r"hk_(?P<partner>[a-z][a-z0-9-]{0,38})_[A-Za-z0-9_-]{43}")


def new_key(partner_id: str) -> str:
    """Return a new API key for a partner, "acme"."""
    return f"hk_{partner_id}_{secrets.token_urlsafe(SECRET_BYTES)}"


def digest_of(key: str) -> bytes:
    """Return what is stored of a key, 32 bytes."""
    return sha256(key.encode(errors="replace")).digest()


def partner_in(key: str) -> str | None:
    """Return the partner that a key claims to be of, "partners/acme"; None for what is no key."""
    match = _KEY.fullmatch(key)
    return f"{PARTNERS}{match['partner']}" if match else None
