"""Fixtures for every test: real servers, real databases, real certificates. See `README.md` beside this file."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings
from psycopg import sql

from hanse.config import Settings
from hanse.identity import CertificateAuthority, create_signing_key
from hanse.local import ports
from hanse.local.ports import LOOPBACK, free_port
from hanse.local.postgres import EmbeddedPostgres
from hanse.migrations import migrate
from hanse.rpc.server import Served
from hanse.runtime import Runtime
from hanse.schema import ServiceSchema
from hanse.work import CommandExecutor
from tests.support import (
    Caller,
    MakeDatabase,
    MakeExecutor,
    MakeRuntime,
    MakeUnitFolder,
    Migrations,
    Serve,
    serving,
)

PORT_SHARES = 4
"""Among how many of pytest's processes the ports are shared out."""

# The same inputs each time, so that CI fails over a change and not over its luck; and a machine may stall.
settings.register_profile("tests", deadline=None, derandomize=True)
settings.load_profile("tests")

# What a shell runs in the background ignores Ctrl-C, and so do its children: tests that press it would wait in vain.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A group picks its ports some seconds before its servers take them, and in one process no port is given twice: so each
# of pytest's processes has ports of its own. What a test starts as a command of its own picks from all of them.
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
ports.PORTS = ports.PORTS[_worker % PORT_SHARES :: PORT_SHARES]

UNUSED_ADDRESS = f"{LOOPBACK}:1"
"""Where nothing answers: of a part that the test at hand does without."""


@pytest.fixture(scope="session")
async def postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedPostgres]:
    """One PostgreSQL for all tests of a session; each test takes databases of its own from it."""
    async with EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def _maintenance(postgres: EmbeddedPostgres) -> Iterator[psycopg.Connection]:
    """The one connection that makes and drops databases."""
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def _make_template(
    postgres: EmbeddedPostgres, _maintenance: psycopg.Connection
) -> Callable[[tuple[Migrations, ...]], str]:
    """Migrate each set of schemas once, into a database that the tests' own are copied from."""
    templates: dict[frozenset[str], str] = {}
    new_names = (f"template_{number}" for number in count(1))

    def make(migrations: tuple[Migrations, ...]) -> str:
        names = frozenset(schema.name for schema, _ in migrations)
        if names not in templates:
            template = next(new_names)
            _maintenance.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(template)))
            for schema, folder in migrations:
                migrate(postgres.url(template), schema, folder)
            templates[names] = template
        return templates[names]

    return make


@pytest.fixture(scope="session")
def _database_names() -> Iterator[str]:
    return (f"test_{number}" for number in count(1))


@pytest.fixture
def make_database(
    postgres: EmbeddedPostgres,
    _maintenance: psycopg.Connection,
    _make_template: Callable[[tuple[Migrations, ...]], str],
    _database_names: Iterator[str],
) -> Iterator[MakeDatabase]:
    """Return a function that makes a fresh, migrated database and returns its URL. They go when the test is over."""
    made: list[str] = []

    def make(*migrations: Migrations) -> str:
        template, name = _make_template(migrations), next(_database_names)
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        _maintenance.execute(statement)
        made.append(name)
        return postgres.url(name)

    yield make
    for name in made:
        _maintenance.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    """The group's certificate authority."""
    return CertificateAuthority.create(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def unit_folder(authority: CertificateAuthority) -> MakeUnitFolder:
    """Return a function that returns a unit's folder, with its certificate and its token keys."""

    def make(unit: str) -> Path:
        folder = authority.folder / unit
        if not folder.exists():
            authority.issue(unit, folder)
            create_signing_key(folder)
        return folder

    return make


@pytest.fixture
async def make_runtime(make_database: MakeDatabase, unit_folder: MakeUnitFolder) -> AsyncIterator[MakeRuntime]:
    """Return a function that makes a unit's runtime on a fresh database; it is closed when the test is over."""
    async with AsyncExitStack() as stack:

        def make(unit: str, *migrations: Migrations, **settings: object) -> Runtime:
            defaults = {
                "unit": unit,
                "folder": unit_folder(unit),
                "database_url": settings.get("database_url") or make_database(*migrations),
                "broker_url": f"redis://{UNUSED_ADDRESS}/0",
                "temporal_address": UNUSED_ADDRESS,
                "temporal_namespace": unit.replace("/", "-"),
                "serve_address": f"{LOOPBACK}:{free_port()}",
                "gateway_address": f"{LOOPBACK}:{free_port()}",
                "hub_address": UNUSED_ADDRESS,
            }
            runtime = Runtime(Settings.model_validate(defaults | settings))
            stack.push_async_callback(runtime.close)
            return runtime

        yield make


@pytest.fixture
async def make_executor(make_runtime: MakeRuntime) -> AsyncIterator[MakeExecutor]:
    """Return a function that makes the executor of one service's commands; it is closed before its runtime."""
    async with AsyncExitStack() as stack:

        def make(runtime: Runtime, schema: ServiceSchema) -> CommandExecutor:
            executor = CommandExecutor(runtime.database, schema, runtime.unit)
            stack.push_async_callback(executor.close)
            return executor

        yield make


@pytest.fixture
async def serve(make_executor: MakeExecutor) -> AsyncIterator[Serve]:
    """Return a function that serves gRPC services until the test is over, and returns who opens channels to them."""
    async with AsyncExitStack() as stack:

        async def start(runtime: Runtime, services: Iterable[Served]) -> Caller:
            return await stack.enter_async_context(serving(runtime, services))

        yield start
