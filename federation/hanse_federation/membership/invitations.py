"""What an invitation holds, and how it is written: one line that a person can carry to the unit.

It names the unit, where headquarters is, and the fingerprint of the group's authority, so that the unit knows
headquarters before it says anything: nothing is trusted because it was there first. Its secret is 32 random bytes, of
which headquarters keeps the digest; guessing one is hopeless, and whoever reads the database can't enrol.
"""

import base64
import binascii
import secrets
from hashlib import sha256

from pydantic import BaseModel, ConfigDict, ValidationError

from hanse.errors import InvitationInvalid

PREFIX = "hanse-invitation-"
MAX_TOKEN_CHARACTERS = 2_000
"""About five times as long as one is."""


class InvitationToken(BaseModel):
    """An invitation as the unit gets it."""

    model_config = ConfigDict(extra="forbid")

    unit: str
    address: str
    """Where the unit reaches headquarters to enrol, host:port."""
    authority: str
    """The SHA-256 fingerprint of the authority's certificate, in hexadecimal."""
    secret: str

    def __str__(self) -> str:
        return PREFIX + base64.urlsafe_b64encode(self.model_dump_json().encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, token: str) -> "InvitationToken":
        """Return what a token says. Raises InvitationInvalid."""
        content = token.strip().removeprefix(PREFIX)
        if not token.strip().startswith(PREFIX) or len(token) > MAX_TOKEN_CHARACTERS:
            raise InvitationInvalid
        try:
            return cls.model_validate_json(base64.urlsafe_b64decode(content + "=" * (-len(content) % 4)))
        except (binascii.Error, ValidationError, ValueError) as error:
            raise InvitationInvalid from error


def new_secret() -> str:
    """Return the secret of a new invitation."""
    return secrets.token_urlsafe(32)


def digest_of(secret: str) -> bytes:
    """Return what headquarters keeps of a secret. It is random and long, so that a plain hash can't be reversed."""
    return sha256(secret.encode()).digest()
