"""Desks, each with the policy in force.

A desk is started once per session and emptied for each test: starting one takes longer than most tests do.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import psycopg
import pytest
from psycopg import sql

from hanse.config import Settings
from hanse.local.ports import LOOPBACK, free_port
from hanse.local.postgres import EmbeddedPostgres
from hanse.migrations import migrate, service_migrations
from hanse.policy.store import PolicyStore
from hanse.runtime import Runtime
from hanse.work import CommandExecutor
from hanse_services.ticket.model import SCHEMA
from hanse_services.ticket.servicer import served
from tests.integration.hanse_services.ticket.desk import MUNICH, SHANGHAI, Desk, FakeClock, StartDesk, policy
from tests.support import MakeUnitFolder, serving

UNUSED_ADDRESS = f"{LOOPBACK}:1"


@pytest.fixture(scope="session")
async def _desks(postgres: EmbeddedPostgres, unit_folder: MakeUnitFolder) -> AsyncIterator[StartDesk]:
    """Return a function that starts a unit's desk, or returns the one that runs."""
    desks: dict[str, Desk] = {}
    async with AsyncExitStack() as stack:

        async def start(unit: str) -> Desk:
            if unit not in desks:
                database = f"desk_of_{unit.removeprefix('units/')}"
                with psycopg.connect(postgres.url(), autocommit=True) as connection:
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
                migrate(postgres.url(database), *service_migrations("hanse_services.ticket"))
                runtime = _runtime(unit, postgres.url(database), unit_folder)
                stack.push_async_callback(runtime.close)
                executor = CommandExecutor(runtime.database, SCHEMA, unit)
                stack.push_async_callback(executor.close)
                caller = await stack.enter_async_context(serving(runtime, served(runtime, executor)))
                desks[unit] = Desk(runtime, executor, caller)
            return desks[unit]

        yield start


def _runtime(unit: str, database_url: str, unit_folder: MakeUnitFolder) -> Runtime:
    settings = {
        "unit": unit,
        "folder": unit_folder(unit),
        "database_url": database_url,
        "broker_url": f"redis://{UNUSED_ADDRESS}/0",
        "temporal_address": UNUSED_ADDRESS,
        "temporal_namespace": unit,
        "serve_address": f"{LOOPBACK}:{free_port()}",
        "gateway_address": UNUSED_ADDRESS,
        "hub_address": UNUSED_ADDRESS,
    }
    return Runtime(Settings.model_validate(settings))


@pytest.fixture
async def start_desk(_desks: StartDesk) -> StartDesk:
    """Return a function that gives a unit's desk, empty but for the policy, on Monday morning."""

    async def start(unit: str) -> Desk:
        desk = await _desks(unit)
        tables = sql.SQL(", ").join(sql.Identifier(SCHEMA.name, table.name) for table in SCHEMA.metadata.sorted_tables)
        with psycopg.connect(desk.runtime.settings.database_url) as connection:
            connection.execute(sql.SQL("TRUNCATE {}").format(tables))
        # A version never changes, so a service keeps it compiled; tests make other ones of the same number.
        desk.executor.policies._compiled.clear()
        await desk.runtime.database.write(PolicyStore(SCHEMA).enact, policy())
        desk.clock = desk.executor.clock = FakeClock()
        return desk

    return start


@pytest.fixture
async def desk(start_desk: StartDesk) -> Desk:
    """Shanghai's desk."""
    return await start_desk(SHANGHAI)


@pytest.fixture
async def munich(start_desk: StartDesk) -> Desk:
    """Munich's desk."""
    return await start_desk(MUNICH)
