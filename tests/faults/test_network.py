"""The network of namespaces: it carries bytes, and a partition costs time and no byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from hanse.local.ports import LOOPBACK
from tests.faults.network import Network, is_possible

pytestmark = pytest.mark.skipif(not is_possible(), reason="namespaces need root, and a kernel that grants them")

SILENCE_SECONDS = 1.0
ARRIVAL_SECONDS = 30.0
"""TCP sends again after ever longer waits: a second of silence costs it two more."""


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(1024):
            writer.write(chunk)
        writer.close()

    server = await asyncio.start_server(echo, LOOPBACK, 0)
    async with Network(server.sockets[0].getsockname()[1]) as network:
        yield network
    server.close()


async def test_bytes_pass_through_the_network(network: Network) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, network.port)
    writer.write(b"hello")
    async with asyncio.timeout(ARRIVAL_SECONDS):
        assert await reader.readexactly(5) == b"hello"
    writer.close()


async def test_what_is_sent_into_a_partition_arrives_once_it_heals(network: Network) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, network.port)
    writer.write(b"before")
    async with asyncio.timeout(ARRIVAL_SECONDS):
        await reader.readexactly(6)
    network.partition()
    writer.write(b"meanwhile")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SILENCE_SECONDS):
            await reader.read(1)
    network.heal()
    async with asyncio.timeout(ARRIVAL_SECONDS):
        assert await reader.readexactly(9) == b"meanwhile"
    writer.close()
