"""A unit with a real desk, a real gateway and a real database."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from hanse.migrations import service_migrations
from hanse.policy.store import PolicyStore
from hanse_gateway.model import SCHEMA as GATEWAY
from hanse_gateway.serving import admin_served, gateway_server
from hanse_services.ticket.model import SCHEMA as TICKET
from hanse_services.ticket.servicer import served
from tests.integration.hanse_gateway.partner.support import UNIT, Unit
from tests.support import MakeExecutor, MakeRuntime, Serve, small_policy


@pytest.fixture
async def unit_without_policy(
    make_runtime: MakeRuntime, make_executor: MakeExecutor, serve: Serve
) -> AsyncIterator[Unit]:
    """Shanghai, before headquarters has published a policy."""
    schemas = [service_migrations(package) for package in ("hanse_services.ticket", "hanse_gateway")]
    runtime = make_runtime(UNIT, *schemas)
    services = served(runtime, make_executor(runtime, TICKET)) + admin_served(runtime, make_executor(runtime, GATEWAY))
    gateway = gateway_server(runtime)
    unit = Unit(runtime, await serve(runtime, services), gateway)
    listening = asyncio.create_task(runtime.wakeup.run())
    await gateway.start()
    try:
        yield unit
    finally:
        await unit.close()
        await gateway.stop()
        listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listening


@pytest.fixture
async def unit(unit_without_policy: Unit) -> Unit:
    """Shanghai, with a policy in force."""
    await unit_without_policy.runtime.database.write(PolicyStore(TICKET).enact, small_policy())
    return unit_without_policy
