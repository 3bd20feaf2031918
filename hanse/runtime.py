"""What the parts of one asyncio process share: settings, database, wake-ups, keys, and channels to the own services."""

import grpc

from hanse.config import Settings
from hanse.database import Database
from hanse.identity import Role, TokenSigner, TokenVerifier
from hanse.log.follow import Wakeup
from hanse.rpc.client import open_channel, service_tokens


class Runtime:
    """One process of one unit."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.unit = settings.unit
        self.database = Database(settings.database_url)
        self.wakeup = Wakeup(settings.database_url)
        self.signer = TokenSigner(settings.folder / "token.key", settings.unit)
        self.verifier = TokenVerifier(settings.folder / "token.pub", settings.unit)

    def channel(self, worker: str, *roles: Role) -> grpc.aio.Channel:
        """Return a channel to the unit's own services for one of its workers, "sla"; SYSTEM where no role is named."""
        tokens = service_tokens(self.signer, f"{self.unit}/services/{worker}", frozenset(roles or {Role.SYSTEM}))
        return open_channel(self.settings.serve_address, self.settings.tls.authority, tokens)

    async def close(self) -> None:
        """Close the connections."""
        await self.database.close()
