"""Either end of a link, spoken by a test itself, frame by frame."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from hanse.local.ports import LOOPBACK
from hanse.names import HEADQUARTERS
from hanse_federation.link.agent import EXCHANGE
from tests.support import MakeUnitFolder

Exchange = Callable[[AsyncIterator[bytes], Any], AsyncIterator[bytes]]
"""Takes the frames of an agent, and yields what it is to hear, both as bytes."""


@asynccontextmanager
async def scripted_hub(unit_folder: MakeUnitFolder, exchange: Exchange) -> AsyncIterator[str]:
    """Serve a hub that a test speaks for, with headquarters' certificate; yield its address."""
    server, folder = grpc.aio.server(), unit_folder(HEADQUARTERS)
    service, _, method = EXCHANGE[1:].partition("/")
    handler: grpc.RpcMethodHandler[Any, Any] = grpc.stream_stream_rpc_method_handler(exchange)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {method: handler})])
    pair = [((folder / "unit.key").read_bytes(), (folder / "unit.crt").read_bytes())]
    port = server.add_secure_port(f"{LOOPBACK}:0", grpc.ssl_server_credentials(pair))
    await server.start()
    try:
        yield f"{LOOPBACK}:{port}"
    finally:
        await server.stop(None)


@asynccontextmanager
async def speak_as(folder: Path, port: int) -> AsyncIterator[Any]:
    """Yield the rpc of a link to a hub, called as whoever has the certificate in a folder; frames are bytes."""
    authority, key, certificate = ((folder / name).read_bytes() for name in ("authority.crt", "unit.key", "unit.crt"))
    credentials = grpc.ssl_channel_credentials(authority, key, certificate)
    async with grpc.aio.secure_channel(f"{LOOPBACK}:{port}", credentials) as channel:
        yield channel.stream_stream(EXCHANGE)
