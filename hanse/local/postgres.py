"""An embedded PostgreSQL: the real server, durable, for this machine and this user only."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
from functools import cache, cached_property
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from hanse.errors import LocalServerFailed
from hanse.identity.private_files import read_or_create_secret
from hanse.local import launcher
from hanse.local.binaries import postgres_binary
from hanse.local.launcher import Guise
from hanse.local.leftovers import stop_leftovers
from hanse.local.ports import LOOPBACK
from hanse.local.server import EmbeddedServer

USER = "hanse"
MAINTENANCE_DATABASE = "postgres"

# Creating a cluster takes about a second, and up to half a minute on a slow disk, as every file is synchronised.
_INITIALISE_DEADLINE_SECONDS = 120.0
_CONNECT_TIMEOUT_SECONDS = 5
# A trial of a guise only starts an interpreter and a program that prints its version.
_TRIAL_TIMEOUT_SECONDS = 20.0

_SETTINGS = {
    "listen_addresses": LOOPBACK,
    # No socket files: their paths are limited to 107 bytes, and a data folder may well be deeper than that.
    "unix_socket_directories": "",
    # Headquarters, a few units and their roles on one machine, with a pool each.
    "max_connections": "200",
    "shared_buffers": "64MB",
    # A transaction that somebody forgot would hold back vacuum, and locks, for ever.
    "idle_in_transaction_session_timeout": "60s",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Without DETAIL, which quotes rows, and without the statements of errors: a server's log is no place for either.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}

# What is acknowledged is on disk. These are the defaults; they are here because everything rests on them.
_DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
_FORGETFUL = dict.fromkeys(_DURABLE, "off")

_CLUSTER_OPTIONS = [
    "--username=" + USER,
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    # PostgreSQL's own C.UTF-8 sorts and classifies alike on every machine, whatever locales that machine has.
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
]

_AS_ROOT_HINT = "Run Hanse as an ordinary user, or set HANSE_DATABASE_URL to a PostgreSQL of your own."


class EmbeddedPostgres(EmbeddedServer):
    """PostgreSQL 18 on loopback, with a generated password.

    `logical_replication` writes what logical decoding needs to the log. Two are for tests: `durable=False`, where
    nothing outlives the server and no disk need be waited for, and `guise`, which by default is chosen so that
    PostgreSQL starts also for root, which it refuses otherwise.
    """

    name = "PostgreSQL"
    # The fast shutdown: sessions are ended, and the next start needs no recovery.
    stop_signal = signal.SIGINT
    # The immediate shutdown: the postmaster takes its backends with it, which SIGKILL would leave to notice by
    # themselves. Nothing that was committed is lost.
    death_signal = signal.SIGQUIT

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        *,
        logical_replication: bool = False,
        durable: bool = True,
        guise: Guise | None = None,
    ) -> None:
        super().__init__(data_dir, port)
        self.guise = guise or suitable_guise()
        level = {"wal_level": "logical" if logical_replication else "replica"}
        self._settings = _SETTINGS | level | (_DURABLE if durable else _FORGETFUL)
        self._cluster = self.data_dir / "cluster"
        self._password_path = self.data_dir / "password"

    def url(self, database: str = MAINTENANCE_DATABASE) -> str:
        """Return the `postgresql://` URL of a database, with user and password."""
        return f"postgresql://{USER}:{self._password}@{self.address}/{quote(database, safe='')}"

    async def ensure_database(self, name: str) -> str:
        """Create a database unless it exists, and return its URL."""
        async with await self._connect() as connection:
            found = await connection.execute("SELECT FROM pg_database WHERE datname = %s", [name])
            if found.rowcount == 0:
                await self._create_database(connection, name)
        return self.url(name)

    @cached_property
    def _password(self) -> str:
        return read_or_create_secret(self._password_path)

    @staticmethod
    async def _create_database(connection: psycopg.AsyncConnection[tuple[object, ...]], name: str) -> None:
        try:
            await connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            # Somebody else was a moment faster, which is as good.
            return

    async def _connect(self) -> psycopg.AsyncConnection[tuple[object, ...]]:
        return await psycopg.AsyncConnection.connect(
            self.url(), autocommit=True, connect_timeout=_CONNECT_TIMEOUT_SECONDS
        )

    async def _prepare(self) -> None:
        await stop_leftovers(self._cluster)
        # Asking for the password creates it, so it comes before the handing over.
        _ = self._password
        self._hand_over()
        if not self._cluster.exists():
            await self._initialise()

    async def _initialise(self) -> None:
        """Create the cluster beside its place and move it there, so that it is never half made."""
        draft = self.data_dir / "cluster.new"
        shutil.rmtree(draft, ignore_errors=True)
        arguments = [f"--pgdata={draft}", f"--pwfile={self._password_path}", *_CLUSTER_OPTIONS]
        process = self._managed("PostgreSQL's initdb", [postgres_binary("initdb"), *arguments])
        try:
            await process.run(deadline_seconds=_INITIALISE_DEADLINE_SECONDS)
        except LocalServerFailed as failure:
            if self.guise is Guise.NOBODY:
                failure.hint = _AS_ROOT_HINT
            raise
        draft.rename(self._cluster)

    def _hand_over(self) -> None:
        """Give the folder to whom PostgreSQL runs as, which matters only to root and when the guise has changed."""
        if os.geteuid() != 0:
            return
        owner = pwd.getpwnam("nobody").pw_uid if self.guise is Guise.NOBODY else 0
        if self.data_dir.stat().st_uid != owner:
            for path in [self.data_dir, *self.data_dir.rglob("*")]:
                os.chown(path, owner, -1, follow_symlinks=False)

    def _command(self) -> list[str | Path]:
        options = [f"--{name}={value}" for name, value in self._settings.items()]
        return [postgres_binary("postgres"), "-D", self._cluster, "-p", str(self.port), *options]

    async def _is_ready(self) -> bool:
        try:
            async with await self._connect() as connection:
                await connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True


@cache
def suitable_guise() -> Guise:
    """Return as whom PostgreSQL can run here; raise LocalServerFailed if we are root and there is no way."""
    if os.geteuid() != 0:
        return Guise.SELF
    for guise in (Guise.NAMESPACE, Guise.NOBODY):
        if _works(guise):
            return guise
    raise LocalServerFailed(
        "PostgreSQL refuses to run as root, the kernel refuses user namespaces, and the user nobody cannot read "
        f"{postgres_binary('postgres')}.",
        hint=_AS_ROOT_HINT,
        server="PostgreSQL",
    )


def _works(guise: Guise) -> bool:
    trial = [str(postgres_binary("postgres")), "--version"]
    tether = [guise, str(os.getpid()), str(int(signal.SIGKILL))]
    finished = subprocess.run(
        [sys.executable, "-I", "-S", launcher.__file__, *tether, *trial],
        check=False,
        capture_output=True,
        timeout=_TRIAL_TIMEOUT_SECONDS,
    )
    return finished.returncode == 0
