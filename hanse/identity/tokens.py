"""Tokens: a unit signs who somebody is and which roles they have, and believes nobody else's word for it."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from joserfc import jws, jwt
from joserfc.errors import BadSignatureError, JoseError
from joserfc.jwk import ECKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hanse.errors import (
    RoleMissing,
    TokenExpired,
    TokenForeign,
    TokenInvalid,
    TokenMissing,
    TokenSignatureInvalid,
)
from hanse.identity.names import MAXIMUM_UNIT_NAME_CHARACTERS, require_unit_name
from hanse.identity.private_files import write_private_file

Clock = Callable[[], datetime]

# The one algorithm, pinned at both ends: a token never chooses how it is checked.
_ALGORITHMS = ["ES256"]

# A token of ours is about 300 bytes; anything much longer is not worth the work of taking it apart.
MAXIMUM_TOKEN_BYTES = 8192

# Enough for everybody who works in a large unit at the same time; an entry is about 1 kB.
MAXIMUM_REMEMBERED_TOKENS = 4096

# 9999-12-31, the last second that a datetime can hold.
_LAST_SECOND = 253_402_300_799


class Role(StrEnum):
    """What a caller may do; each command names the roles that it is open to."""

    AGENT = "AGENT"
    """Works on tickets and engagements."""
    LEAD = "LEAD"
    """Assigns, escalates, and approves what a provider has delivered."""
    MANAGER = "MANAGER"
    """Answers for the unit: sees what the desk's lead has not seen in time, and handles complaints."""
    STANDARDS = "STANDARDS"
    """Publishes policies, at headquarters; in a unit, chooses by which version clocks are repaired."""
    CONTROLLER = "CONTROLLER"
    """Closes settlement periods and decides disputes."""
    OPERATIONS = "OPERATIONS"
    """Runs the system: keys, quarantines, dead letters."""
    PARTNER = "PARTNER"
    """A partner's system, which comes in through the gateway."""
    SYSTEM = "SYSTEM"
    """The unit's own workers: reactions, workflows, the federation agent."""


@dataclass(frozen=True)
class Caller:
    """Somebody whose token was checked: who they are, in which unit, and what they may do there until when."""

    actor: str
    unit: str
    roles: frozenset[Role]
    expire_time: datetime

    def require(self, *any_of: Role) -> None:
        """Raise RoleMissing unless the caller has at least one of these roles."""
        if self.roles.isdisjoint(any_of):
            raise RoleMissing(roles=",".join(any_of))


class _Claims(BaseModel):
    """The claims of our tokens, strictly typed: a token that bends a type is not one of ours."""

    model_config = ConfigDict(frozen=True, strict=True)

    iss: str
    aud: str
    sub: str = Field(min_length=1)
    roles: frozenset[Role]
    exp: int = Field(ge=0, le=_LAST_SECOND)


class _Claimed(BaseModel):
    """What a token says of its origin, before anybody has checked it."""

    iss: str
    aud: str


@dataclass(frozen=True)
class SigningKeyFiles:
    """A unit's key pair for tokens: the private half stays with whoever signs people in."""

    private_path: Path
    public_path: Path


def create_signing_key(folder: Path) -> SigningKeyFiles:
    """Return the signing key in a folder, which is created when it is not there."""
    files = SigningKeyFiles(folder / "token.key", folder / "token.pub")
    if not files.private_path.exists():
        write_private_file(files.private_path, ECKey.generate_key("P-256").as_pem(private=True))
    if not files.public_path.exists():
        public_key = ECKey.import_key(files.private_path.read_bytes()).as_pem(private=False)
        write_private_file(files.public_path, public_key)
    return files


def utc_now() -> datetime:
    return datetime.now(UTC)


class TokenSigner:
    """Mints the tokens of one unit."""

    def __init__(self, private_key_path: Path, unit: str, *, now: Clock = utc_now) -> None:
        self._key = ECKey.import_key(private_key_path.read_bytes())
        self._unit = require_unit_name(unit)
        self._now = now

    def mint(self, actor: str, roles: Iterable[Role], lifetime: timedelta) -> str:
        """Return a token that says, until `lifetime` is over, that this is `actor` and has these roles."""
        issue_time = self._now()
        claims = {
            "iss": self._unit,
            "aud": self._unit,
            "sub": actor,
            "roles": sorted(set(roles)),
            "iat": int(issue_time.timestamp()),
            "exp": int((issue_time + lifetime).timestamp()),
        }
        return jwt.encode({"alg": "ES256"}, claims, self._key, algorithms=_ALGORITHMS)


class TokenVerifier:
    """Checks the tokens of one unit, and remembers the good ones.

    For use from one event loop: the memory is not locked.
    """

    def __init__(self, public_key_path: Path, unit: str, *, now: Clock = utc_now) -> None:
        self._key = ECKey.import_key(public_key_path.read_bytes())
        self._unit = require_unit_name(unit)
        self._now = now
        self._remembered: OrderedDict[bytes, Caller] = OrderedDict()

    def verify(self, token: str | None) -> Caller:
        """Return who holds this token; raise one of the `Token…` errors if it is not a good one.

        The caller takes the token out of 'Bearer <token>'; what arrives here is the token alone.
        """
        if not token:
            raise TokenMissing
        content = token.encode(errors="replace")
        if len(content) > MAXIMUM_TOKEN_BYTES:
            raise TokenInvalid("The token is too long.", limit_bytes=str(MAXIMUM_TOKEN_BYTES))
        digest = hashlib.sha256(content).digest()
        caller = self._remembered.get(digest) or self._check(content)
        if caller.expire_time <= self._now():
            self._remembered.pop(digest, None)
            raise TokenExpired(expire_time=caller.expire_time.isoformat())
        self._remember(digest, caller)
        return caller

    def _remember(self, digest: bytes, caller: Caller) -> None:
        self._remembered[digest] = caller
        self._remembered.move_to_end(digest)
        if len(self._remembered) > MAXIMUM_REMEMBERED_TOKENS:
            self._remembered.popitem(last=False)

    def _check(self, token: bytes) -> Caller:
        try:
            self._refuse_foreign(token)
            payload = jws.deserialize_compact(token, self._key, algorithms=_ALGORITHMS).payload
            claims = _Claims.model_validate_json(payload)
        except BadSignatureError as error:
            raise TokenSignatureInvalid from error
        except (JoseError, ValidationError) as error:
            raise TokenInvalid from error
        return Caller(claims.sub, claims.iss, claims.roles, datetime.fromtimestamp(claims.exp, UTC))

    def _refuse_foreign(self, token: bytes) -> None:
        """Refuse another unit's token by what it claims, since its signature would only say that it is not ours."""
        claimed = _Claimed.model_validate_json(jws.extract_compact(token).payload)
        if {claimed.iss, claimed.aud} != {self._unit}:
            raise TokenForeign(issuer=claimed.iss[:MAXIMUM_UNIT_NAME_CHARACTERS])
