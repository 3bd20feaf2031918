"""An embedded broker: Valkey, which nameko reaches through kombu."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from hanse.identity.private_files import read_or_create_secret, write_private_file
from hanse.local.binaries import valkey_binary
from hanse.local.ports import LOOPBACK
from hanse.local.server import EmbeddedServer

# One per unit: kombu keeps its queues under fixed names, so units that share a database would share their queues.
DATABASES = 64

_SETTINGS = {
    "bind": LOOPBACK,
    "protected-mode": "yes",
    "databases": str(DATABASES),
    # Every message is on disk before it is confirmed. `everysec` would be faster, and would lose up to a second of
    # messages with the machine's power, just after the relay has moved its cursor past them for good.
    "appendonly": "yes",
    "appendfsync": "always",
    # Also while the file is being rewritten, or the promise above would have holes.
    "no-appendfsync-on-rewrite": "no",
    # The append-only file is the only store; snapshots beside it would be written for nothing.
    "save": '""',
    # A broker that nobody reads from fills up, and then refuses: the relay waits, and nothing is evicted.
    "maxmemory": "512mb",
    "maxmemory-policy": "noeviction",
    "daemonize": "no",
}


class EmbeddedBroker(EmbeddedServer):
    """Valkey on loopback, with a generated password."""

    name = "Valkey"

    def url(self, database_index: int = 0) -> str:
        """Return the `redis://` URL of one of the databases, 0 to 63, for kombu."""
        if not 0 <= database_index < DATABASES:
            raise ValueError(f"There is no database {database_index}: they are numbered from 0 to {DATABASES - 1}.")
        return f"redis://:{self._password}@{self.address}/{database_index}"

    @cached_property
    def _password(self) -> str:
        return read_or_create_secret(self.data_dir / "password")

    @property
    def _settings_path(self) -> Path:
        return self.data_dir / "valkey.conf"

    async def _prepare(self) -> None:
        """Write the settings to a file: an argument would show the password to everybody on this machine."""
        settings = _SETTINGS | {"port": str(self.port), "dir": f'"{self.data_dir}"', "requirepass": self._password}
        lines = [f"{name} {value}\n" for name, value in settings.items()]
        write_private_file(self._settings_path, "".join(lines).encode())

    def _command(self) -> list[str | Path]:
        return [valkey_binary(), self._settings_path]

    async def _is_ready(self) -> bool:
        try:
            async with Redis.from_url(self.url()) as client:
                return bool(await client.ping())
        except RedisError:
            # Refused, or still loading what it had.
            return False
