"""The two peers, without headquarters: Munich listens, Shanghai has a line to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from hanse.config import Mode
from hanse.local.ports import LOOPBACK, free_port
from hanse.runtime import Runtime
from hanse.schema import ServiceSchema
from hanse_federation.model import MIGRATIONS, SCHEMA, UPSTREAM_SERVICES
from hanse_federation.peers import PeerServer
from tests.integration.hanse_federation.group import BARE_SERVICE, enact
from tests.integration.hanse_federation.peers.pair import MUNICH, OSLO, POLICY, SHANGHAI, MakePeer
from tests.support import MakeRuntime


@pytest.fixture
def address() -> str:
    """Where Munich listens to its peers."""
    return f"{LOOPBACK}:{free_port()}"


@pytest.fixture
def make_peer(make_runtime: MakeRuntime, address: str) -> MakePeer:
    async def make(unit: str, *known: str) -> Runtime:
        settings: dict[str, Any] = {
            "mode": Mode.PEER,
            "peer_listen_address": address,
            "peers": dict.fromkeys(known, address),
        }
        services = [(ServiceSchema(service), BARE_SERVICE) for service in UPSTREAM_SERVICES]
        runtime = make_runtime(unit, (SCHEMA, MIGRATIONS), *services, **settings)
        await enact(runtime, POLICY)
        return runtime

    return make


@pytest.fixture
async def munich(make_peer: MakePeer) -> AsyncIterator[Runtime]:
    """Munich, which listens; it would know Oslo too, but the policy does not name that as a peer."""
    runtime = await make_peer(MUNICH, SHANGHAI, OSLO)
    server = PeerServer(runtime)
    await server.start()
    yield runtime
    await server.stop()


@pytest.fixture
async def shanghai(make_peer: MakePeer) -> Runtime:
    return await make_peer(SHANGHAI, MUNICH)
