"""An end of TLS before a server that has none: the embedded servers are built without, production's are not."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from hanse.local.ports import LOOPBACK
from hanse.rpc.tls import TlsFiles

POSTGRES_REQUEST = bytes.fromhex("00000008 04d2162f")
"""How a client of PostgreSQL asks whether the line can be encrypted; the answer is `S`."""
CHUNK_BYTES = 65_536


class TlsFront:
    """Takes encrypted connections on a port of its own, and passes on in the clear what it reads from them."""

    def __init__(self, tls: TlsFiles, target: tuple[str, int], *, postgres: bool = False) -> None:
        """With `postgres`, a connection begins as PostgreSQL's protocol has it; else with TLS."""
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tls.authority))
        self._context.load_cert_chain(tls.certificate, tls.key)
        if not postgres:
            self._context.verify_mode = ssl.CERT_REQUIRED
            self._context.set_alpn_protocols(["h2"])
        self._target = target
        self._postgres = postgres
        self._connections: set[asyncio.Task[None]] = set()
        self.encrypted = 0
        """How many connections were encrypted."""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        """Serve, and yield the port."""
        server = await asyncio.start_server(self._take, LOOPBACK, ssl=None if self._postgres else self._context)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for connection in self._connections:
                connection.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            if self._postgres:
                assert await reader.readexactly(len(POSTGRES_REQUEST)) == POSTGRES_REQUEST
                writer.write(b"S")
                await writer.start_tls(self._context)
            self.encrypted += 1
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            await asyncio.gather(_pass_on(reader, far_writer), _pass_on(far_reader, writer))
        self._connections.discard(task)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
    finally:
        writer.close()
