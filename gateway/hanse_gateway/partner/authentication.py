"""From an API key to a caller."""

import hmac
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.clock import utc_now
from hanse.database import Database
from hanse.errors import ApiKeyInvalid
from hanse.identity import Caller, Role
from hanse.rpc.interceptor import Metadata
from hanse_gateway.model import Partner
from hanse_gateway.partner.keys import digest_of, partner_in

API_KEY = "x-api-key"
"""The metadata entry with the key."""
KEY_MEMORY_SECONDS = 2.0
"""How long a key that was good is taken without looking again. A void key works for so long at most."""
MAX_REMEMBERED_KEYS = 1_024
"""More partners than this call at once only by way of more look-ups; an entry is about 1 kB."""

_NO_DIGEST = bytes(32)


def key_digest(session: Session, partner: str) -> bytes | None:
    """Return the digest of a partner's key, None for an unknown partner."""
    return session.scalar(select(Partner.key_digest).where(Partner.name == partner))


class ApiKeys:
    """Authenticates partners by API key; an `Authenticator` for `RpcServer`. For use from one event loop."""

    def __init__(self, database: Database, unit: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._unit = unit
        self._monotonic = monotonic
        self._remembered: OrderedDict[bytes, tuple[Caller, float]] = OrderedDict()

    async def __call__(self, metadata: Metadata) -> Caller:
        """Return the partner that calls. Raises ApiKeyInvalid."""
        key = metadata.get(API_KEY, "")
        if not key:
            raise ApiKeyInvalid("The request carries no API key.", hint=f"Send it as {API_KEY!r} in the metadata.")
        return await self.caller_of(key)

    async def caller_of(self, key: str) -> Caller:
        """Return the partner whose key this is. Raises ApiKeyInvalid."""
        digest = digest_of(key)
        caller, fresh_until = self._remembered.get(digest, (None, 0.0))
        if caller is None or fresh_until <= self._monotonic():
            self._remembered.pop(digest, None)
            caller = await self._look_up(key, digest)
            self._remember(digest, caller)
        return caller

    async def _look_up(self, key: str, digest: bytes) -> Caller:
        partner = partner_in(key)
        if partner is None:
            raise ApiKeyInvalid
        stored = await self._database.read(key_digest, partner)
        # An unknown partner is compared too: it takes as long as a wrong key, and is told the same.
        if not hmac.compare_digest(stored or _NO_DIGEST, digest):
            raise ApiKeyInvalid
        return Caller(
            actor=partner,
            unit=self._unit,
            roles=frozenset({Role.PARTNER}),
            expire_time=utc_now() + timedelta(seconds=KEY_MEMORY_SECONDS),
        )

    def _remember(self, digest: bytes, caller: Caller) -> None:
        self._remembered[digest] = (caller, self._monotonic() + KEY_MEMORY_SECONDS)
        if len(self._remembered) > MAX_REMEMBERED_KEYS:
            self._remembered.popitem(last=False)
