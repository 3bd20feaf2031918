"""Units for benchmarks: a database, a certificate, a policy in force, and processes as production runs them."""

import asyncio
import json
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import grpc
from sqlalchemy.orm import Session

from hanse.cli.schemas import migrate_all
from hanse.config import SETTINGS_FILE_VARIABLE, Settings
from hanse.database import Database
from hanse.identity import CertificateAuthority, create_signing_key
from hanse.local.ports import LOOPBACK, free_port
from hanse.local.postgres import EmbeddedPostgres
from hanse.local.process import ManagedProcess
from hanse.migrations import service_migrations
from hanse.names import short_unit
from hanse.policy import load_yaml
from hanse.policy.store import PolicyStore
from hanse_protos.policy.v1.policy_pb2 import Policy

POLICY_PATH = Path(__file__).parents[2] / "policies" / "group.yaml"
READY_SECONDS = 60.0
STOP_SECONDS = 10.0
UNUSED_ADDRESS = f"{LOOPBACK}:1"
"""Where nothing answers: of a part that the benchmark does without."""


async def prepare_unit(unit: str, folder: Path, postgres: EmbeddedPostgres, **settings: str | list[str]) -> Settings:
    """Give a unit its database, its certificate and its settings file, as a group on one machine does."""
    authority = CertificateAuthority.load_or_create(folder / "authority")
    home = folder / short_unit(unit)
    if not home.exists():
        authority.issue(unit, home)
        create_signing_key(home)
    database_url = await postgres.ensure_database(f"hanse_{short_unit(unit)}")
    await asyncio.to_thread(migrate_all, database_url)
    values = {
        "unit": unit,
        "folder": str(home),
        "database_url": database_url,
        "broker_url": f"redis://{UNUSED_ADDRESS}/0",
        "temporal_address": UNUSED_ADDRESS,
        "temporal_namespace": f"hanse-{short_unit(unit)}",
        "serve_address": f"{LOOPBACK}:{free_port()}",
        "gateway_address": f"{LOOPBACK}:{free_port()}",
        "hub_address": UNUSED_ADDRESS,
        **settings,
    }
    settings_path(home).write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items()))
    return Settings.model_validate(values)


def settings_path(home: Path) -> Path:
    """Return where a unit's settings file is."""
    return home / "settings.toml"


def read_settings(home: Path) -> Settings:
    """Return the settings of the unit whose folder this is."""
    return Settings.model_validate(tomllib.loads(settings_path(home).read_text()))


async def enact_policy(database: Database, *packages: str) -> None:
    """Put the group's policy in force for some services of a unit, as their reactions do."""
    policy = Policy(name="policies/1", version=1, document=load_yaml(POLICY_PATH.read_text()))
    for package in packages:
        schema, _ = service_migrations(package)
        await database.write(_enact, PolicyStore(schema), policy)


def _enact(session: Session, store: PolicyStore, policy: Policy) -> None:
    store.enact(session, policy)


def roles_process(settings: Settings, roles: Sequence[str]) -> ManagedProcess:
    """Return a process that runs roles of a unit, as a Deployment does."""
    return python_process(
        f"{' and '.join(roles) or 'the roles'} of {short_unit(settings.unit)}",
        ["hanse.cli.main", "run", *roles],
        settings.folder,
        {SETTINGS_FILE_VARIABLE: str(settings_path(settings.folder))},
    )


def python_process(
    name: str, module: Sequence[str], folder: Path, environment: dict[str, str] | None = None
) -> ManagedProcess:
    """Return a process that runs a module of Python's."""
    return ManagedProcess(name, [sys.executable, "-m", *module], folder / f"{module[-1]}.log", environment=environment)


async def is_listening(settings: Settings, address: str) -> bool:
    """Return whether a server with the unit's certificate answers at an address."""
    credentials = grpc.ssl_channel_credentials(settings.tls.authority.read_bytes())
    async with grpc.aio.secure_channel(address, credentials) as channel:
        try:
            await asyncio.wait_for(channel.channel_ready(), 1.0)
        except TimeoutError:
            return False
    return True
