"""The floor of `live_latency`: what is inserted here is inserted there, over one gRPC stream, and nothing else.

Two processes, as a link has two ends: `python -m tests.benchmarks.floor_link near FILE` reads new rows when PostgreSQL
notifies it, and sends them; `… far FILE` inserts and commits them. FILE is a `FloorLink` as JSON.
"""

import asyncio
import json
import signal
import struct
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import uvloop

from hanse.rpc.client import CHANNEL_OPTIONS
from hanse.rpc.server import SERVER_OPTIONS

SERVICE, METHOD = "floor.Link", "Exchange"
CHANNEL = "floor"
"""The PostgreSQL channel that is notified, at either end."""
CREATE_TABLE = "CREATE TABLE floor (id bigint PRIMARY KEY, content bytea NOT NULL)"
INSERT = "INSERT INTO floor (id, content) VALUES ($1, $2)"
NOTIFY = "SELECT pg_notify($1, '')"

_ID = struct.Struct(">q")


@dataclass(frozen=True)
class FloorLink:
    """What the two processes are told."""

    address: str
    near_url: str
    far_url: str
    key: str
    certificate: str
    authority: str

    def write(self, path: Path) -> None:
        """Write it to a file."""
        path.write_text(json.dumps(asdict(self)))

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """Return what the near end trusts."""
        return grpc.ssl_channel_credentials(Path(self.authority).read_bytes())

    def server_credentials(self) -> grpc.ServerCredentials:
        """Return what the far end shows."""
        return grpc.ssl_server_credentials([(Path(self.key).read_bytes(), Path(self.certificate).read_bytes())])


async def near(settings: FloorLink) -> None:
    """Send every new row."""
    async with grpc.aio.secure_channel(settings.address, settings.channel_credentials(), CHANNEL_OPTIONS) as channel:
        call: Any = channel.stream_stream(f"/{SERVICE}/{METHOD}")
        await call(_new_rows(settings.near_url)).read()


async def _new_rows(url: str) -> AsyncIterator[bytes]:
    reader, listener = await asyncpg.connect(url), await asyncpg.connect(url)
    notified = asyncio.Event()
    await listener.add_listener(CHANNEL, lambda *_notification: notified.set())
    query = await reader.prepare("SELECT id, content FROM floor WHERE id > $1 ORDER BY id")
    last = 0
    while True:
        for number, content in await query.fetch(last):
            yield _ID.pack(number) + content
            last = number
        await notified.wait()
        notified.clear()


async def far(settings: FloorLink) -> None:
    """Insert what comes, until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    connection = await asyncpg.connect(settings.far_url)

    async def take(rows: AsyncIterator[bytes], _context: Any) -> AsyncIterator[bytes]:
        async for row in rows:
            async with connection.transaction():
                await connection.execute(INSERT, *_ID.unpack_from(row), row[_ID.size :])
                await connection.execute(NOTIFY, CHANNEL)
        yield b""

    server = grpc.aio.server(options=SERVER_OPTIONS)
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {METHOD: grpc.stream_stream_rpc_method_handler(take)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, handlers)])
    server.add_secure_port(settings.address, settings.server_credentials())
    await server.start()
    await stop.wait()
    await server.stop(1.0)


if __name__ == "__main__":
    end = {"near": near, "far": far}[sys.argv[1]]
    uvloop.run(end(FloorLink(**json.loads(Path(sys.argv[2]).read_text()))))
