"""The embedded servers are real: they start, keep what they were given, and never outlive their supervisor."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError
from temporalio.client import Client

from hanse.errors import LocalServerFailed
from hanse.local import launcher
from hanse.local import postgres as postgres_module
from hanse.local.broker import DATABASES, EmbeddedBroker
from hanse.local.launcher import Guise
from hanse.local.ports import free_ports, is_port_free
from hanse.local.postgres import EmbeddedPostgres, suitable_guise
from hanse.local.process import ManagedProcess
from hanse.local.server import EmbeddedServer
from hanse.local.temporal import EmbeddedTemporal

SERVERS: list[type[EmbeddedServer]] = [EmbeddedPostgres, EmbeddedBroker, EmbeddedTemporal]
NAMESPACE = "units-shanghai"

# The kernel ends orphans within milliseconds, and PostgreSQL's immediate shutdown takes a few more.
ORPHAN_SECONDS = 10.0

only_as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes its guise")

SUPERVISOR = """
import asyncio, signal, sys
from pathlib import Path
from hanse.local.broker import EmbeddedBroker
from hanse.local.postgres import EmbeddedPostgres
from hanse.local.temporal import EmbeddedTemporal

async def supervise(folder: Path, names: list[str]) -> None:
    servers = [EmbeddedPostgres(folder / "postgres"), EmbeddedBroker(folder / "broker"),
               EmbeddedTemporal(folder / "temporal")]
    for server in servers:
        if server.name in names:
            await server.start()
            print(server.pid, flush=True)
    print("ready", flush=True)
    await asyncio.sleep(3600)

"""
RUN_SUPERVISOR = "asyncio.run(supervise(Path(sys.argv[1]), sys.argv[2:]))"
START_AND_STOP = """
async def start_and_stop(folder: Path) -> None:
    async with EmbeddedPostgres(folder / "postgres") as server:
        print(server.guise, flush=True)

asyncio.run(start_and_stop(Path(sys.argv[1])))
"""
# SIGCONT does nothing to a running process: so that a server does outlive its supervisor.
OUTLIVE_SUPERVISOR = "EmbeddedPostgres.death_signal = signal.SIGCONT"


async def refuse() -> bool:
    return False


async def agree() -> bool:
    return True


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def wait_until(condition: Callable[[], bool], patience_seconds: float) -> bool:
    deadline = time.monotonic() + patience_seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def kill_supervisor_of(folder: Path, *names: str, preparation: str = "") -> list[psutil.Process]:
    """Run a supervisor of these servers, kill it with SIGKILL, and return every process that was below it."""
    script = SUPERVISOR + preparation + "\n" + RUN_SUPERVISOR
    with subprocess.Popen([sys.executable, "-c", script, folder, *names], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            lines = list(iter(process.stdout.readline, "ready\n"))
            assert len(lines) == len(names)
            return psutil.Process(process.pid).children(recursive=True)
        finally:
            process.kill()


def are_gone(processes: list[psutil.Process]) -> bool:
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


@pytest.fixture
async def postgres(tmp_path: Path) -> AsyncIterator[EmbeddedPostgres]:
    async with EmbeddedPostgres(tmp_path / "postgres") as server:
        yield server


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[EmbeddedBroker]:
    async with EmbeddedBroker(tmp_path / "broker") as server:
        yield server


@pytest.fixture
async def temporal(tmp_path: Path) -> AsyncIterator[EmbeddedTemporal]:
    async with EmbeddedTemporal(tmp_path / "temporal", namespaces=[NAMESPACE]) as server:
        yield server


# What all three have in common


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_server_can_be_stopped_and_started_again(kind: type[EmbeddedServer], tmp_path: Path) -> None:
    server = kind(tmp_path / "data")
    for _ in range(2):
        await server.start()
        assert server.is_running
        await server.stop()
        assert not server.is_running
        assert is_port_free(server.port)


@pytest.mark.parametrize("kind", SERVERS)
async def test_starting_and_stopping_may_be_repeated(kind: type[EmbeddedServer], tmp_path: Path) -> None:
    server = kind(tmp_path / "data")
    await server.stop()
    await server.start()
    pid = server.pid
    await server.start()
    assert server.pid == pid
    await server.stop()
    await server.stop()


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_death_is_noticed_and_a_start_repairs_it(kind: type[EmbeddedServer], tmp_path: Path) -> None:
    async with kind(tmp_path / "data") as server:
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        assert await asyncio.wait_for(server.wait(), ORPHAN_SECONDS) == -signal.SIGKILL
        await server.start()
        assert server.is_running


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_second_supervisor_on_the_same_folder_is_refused(kind: type[EmbeddedServer], tmp_path: Path) -> None:
    async with kind(tmp_path / "data"):
        with pytest.raises(LocalServerFailed, match="Another process uses the data folder"):
            await kind(tmp_path / "data").start()


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_taken_port_is_a_typed_error_and_frees_the_folder(kind: type[EmbeddedServer], tmp_path: Path) -> None:
    stranger = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    async with stranger:
        with pytest.raises(LocalServerFailed, match="another process does"):
            await kind(tmp_path / "data", stranger.sockets[0].getsockname()[1]).start()
    async with kind(tmp_path / "data") as server:
        assert server.is_running


@pytest.mark.parametrize("kind", SERVERS)
async def test_the_data_folder_and_the_log_are_for_their_owner_only(kind: type[EmbeddedServer], tmp_path: Path) -> None:
    async with kind(tmp_path / "data") as server:
        assert mode_of(server.data_dir) == 0o700
        assert mode_of(server.log_path) == 0o600


# No child outlives its supervisor


async def test_a_killed_supervisor_takes_its_servers_along_and_they_recover(tmp_path: Path) -> None:
    began = await asyncio.to_thread(kill_supervisor_of, tmp_path, "PostgreSQL", "Valkey", "Temporal")
    assert {"postgres", "valkey-server", "temporal"} <= {Path(name).name for name in _names_in(tmp_path)}
    assert await asyncio.to_thread(wait_until, lambda: are_gone(began), ORPHAN_SECONDS)
    for server in (EmbeddedPostgres(tmp_path / "postgres"), EmbeddedBroker(tmp_path / "broker")):
        async with server:
            assert server.is_running
    async with EmbeddedTemporal(tmp_path / "temporal") as temporal:
        assert temporal.is_running


def _names_in(folder: Path) -> set[str]:
    """Return which servers have left a log, by the name of their program."""
    programs = {"postgres": "postgres", "broker": "valkey-server", "temporal": "temporal"}
    return {programs[log.parent.name] for log in folder.glob("*/server.log")}


async def test_a_postgres_that_did_outlive_its_supervisor_is_stopped_at_the_next_start(tmp_path: Path) -> None:
    left = await asyncio.to_thread(kill_supervisor_of, tmp_path, "PostgreSQL", preparation=OUTLIVE_SUPERVISOR)
    assert not are_gone(left)
    async with EmbeddedPostgres(tmp_path / "postgres") as server:
        assert are_gone(left)
        assert server.is_running
    assert "received fast shutdown request" in server.log_path.read_text()


async def test_a_lock_file_with_the_number_of_a_stranger_neither_blocks_nor_kills_it(
    tmp_path: Path, stranger: psutil.Process
) -> None:
    async with EmbeddedPostgres(tmp_path / "postgres"):
        pass
    (tmp_path / "postgres" / "cluster" / "postmaster.pid").write_text(f"{stranger.pid}\n")
    async with EmbeddedPostgres(tmp_path / "postgres"):
        assert not are_gone([stranger])


@pytest.fixture
def stranger() -> Iterator[psutil.Process]:
    """A process that is none of PostgreSQL's."""
    with subprocess.Popen(["/bin/sleep", "600"]) as process:
        yield psutil.Process(process.pid)
        process.kill()


# PostgreSQL


async def test_a_database_is_created_once(postgres: EmbeddedPostgres) -> None:
    first, second = await asyncio.gather(*(postgres.ensure_database("unit-shanghai") for _ in range(2)))
    assert first == second == postgres.url("unit-shanghai") == await postgres.ensure_database("unit-shanghai")


async def test_a_database_may_have_an_awkward_name(postgres: EmbeddedPostgres) -> None:
    url = await postgres.ensure_database('a "b"/c?')
    async with await psycopg.AsyncConnection.connect(url) as connection:
        assert await (await connection.execute("SELECT current_database()")).fetchone() == ('a "b"/c?',)


async def test_what_was_committed_survives_a_kill(postgres: EmbeddedPostgres) -> None:
    async with await psycopg.AsyncConnection.connect(postgres.url()) as connection:
        await connection.execute("CREATE TABLE fact AS SELECT 42 AS answer")
    assert postgres.pid is not None
    os.kill(postgres.pid, signal.SIGKILL)
    await postgres.wait()
    await postgres.start()
    async with await psycopg.AsyncConnection.connect(postgres.url()) as connection:
        assert await (await connection.execute("SELECT answer FROM fact")).fetchone() == (42,)


async def test_postgres_asks_for_the_password(postgres: EmbeddedPostgres) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        await psycopg.AsyncConnection.connect(f"postgresql://hanse:guess@{postgres.address}/postgres")
    assert mode_of(postgres.data_dir / "password") == 0o600


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("idle_in_transaction_session_timeout", "1min"),
        ("max_connections", "200"),
        ("listen_addresses", "127.0.0.1"),
        ("server_encoding", "UTF8"),
        ("TimeZone", "UTC"),
        ("wal_level", "replica"),
    ],
)
async def test_postgres_has_our_settings(shared_postgres: EmbeddedPostgres, setting: str, value: str) -> None:
    async with await psycopg.AsyncConnection.connect(shared_postgres.url()) as connection:
        cursor = await connection.execute("SELECT current_setting(%s)", [setting])
        assert await cursor.fetchone() == (value,)


@pytest.fixture(scope="module")
async def shared_postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedPostgres]:
    async with EmbeddedPostgres(tmp_path_factory.mktemp("postgres") / "data") as server:
        yield server


async def test_logical_replication_is_an_option(tmp_path: Path) -> None:
    async with (
        EmbeddedPostgres(tmp_path / "postgres", logical_replication=True) as server,
        await psycopg.AsyncConnection.connect(server.url()) as connection,
    ):
        assert await (await connection.execute("SHOW wal_level")).fetchone() == ("logical",)


async def test_an_interrupted_initialisation_is_started_over(tmp_path: Path) -> None:
    (tmp_path / "postgres" / "cluster.new").mkdir(parents=True)
    (tmp_path / "postgres" / "cluster.new" / "half").touch()
    async with EmbeddedPostgres(tmp_path / "postgres") as server:
        assert server.is_running


# As root, PostgreSQL runs in a guise


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that the user nobody can reach, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@only_as_root
async def test_root_can_run_postgres_as_nobody_and_change_its_mind(open_folder: Path) -> None:
    for guise in (Guise.NOBODY, suitable_guise()):
        async with EmbeddedPostgres(open_folder / "postgres", guise=guise) as server:
            assert server.pid is not None
            assert (psutil.Process(server.pid).username() == "nobody") == (guise is Guise.NOBODY)


@only_as_root
async def test_nobody_without_access_is_a_typed_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(LocalServerFailed) as failed:
        await EmbeddedPostgres(tmp_path / "postgres", guise=Guise.NOBODY).start()
    assert "HANSE_DATABASE_URL" in failed.value.hint


@only_as_root
def test_root_without_any_guise_is_a_typed_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_module, "_works", lambda _guise: False)
    with pytest.raises(LocalServerFailed) as failed:
        suitable_guise.__wrapped__()
    assert "ordinary user" in failed.value.hint


def test_an_ordinary_user_needs_no_guise(tmp_path: Path) -> None:
    """For root, the namespace that hides root from PostgreSQL hides it from Hanse just as well."""
    tether = [suitable_guise(), str(os.getpid()), str(int(signal.SIGKILL))]
    ordinary: list[str | Path] = [
        sys.executable,
        launcher.__file__,
        *tether,
        sys.executable,
        "-c",
        SUPERVISOR + START_AND_STOP,
        tmp_path,
    ]
    finished = subprocess.run(ordinary, check=False, capture_output=True, text=True)
    assert (finished.stdout, finished.stderr) == ("self\n", "")


# Valkey


async def test_what_the_broker_confirmed_survives_a_kill(broker: EmbeddedBroker) -> None:
    async with Redis.from_url(broker.url(DATABASES - 1)) as client:
        await client.set("fact", "42")
    assert broker.pid is not None
    os.kill(broker.pid, signal.SIGKILL)
    await broker.wait()
    await broker.start()
    async with Redis.from_url(broker.url(DATABASES - 1)) as client:
        assert await client.get("fact") == b"42"


async def test_the_broker_asks_for_a_password_which_its_command_line_does_not_show(broker: EmbeddedBroker) -> None:
    async with Redis.from_url(f"redis://{broker.address}/0") as client:
        with pytest.raises(AuthenticationError):
            await client.ping()
    password = (broker.data_dir / "password").read_text()
    assert broker.pid is not None
    assert not any(password in part for part in psutil.Process(broker.pid).cmdline())


@pytest.mark.parametrize("index", [-1, DATABASES])
def test_a_database_that_the_broker_does_not_have_has_no_url(tmp_path: Path, index: int) -> None:
    with pytest.raises(ValueError, match="There is no database"):
        EmbeddedBroker(tmp_path).url(index)


# Temporal


async def test_a_workflow_survives_a_kill(temporal: EmbeddedTemporal) -> None:
    client = await Client.connect(temporal.address, namespace=NAMESPACE)
    await client.start_workflow("Sla", id="units/shanghai/tickets/a", task_queue="sla")
    assert temporal.pid is not None
    os.kill(temporal.pid, signal.SIGKILL)
    await temporal.wait()
    await temporal.start()
    client = await Client.connect(temporal.address, namespace=NAMESPACE)
    description = await client.get_workflow_handle("units/shanghai/tickets/a").describe()
    assert description.workflow_type == "Sla"


async def test_temporal_serves_its_console_when_it_is_given_a_port(tmp_path: Path) -> None:
    port, web_port = free_ports(2)
    async with EmbeddedTemporal(tmp_path / "temporal", port, web_port=web_port):
        assert not is_port_free(web_port)


# A managed process


def shell(script: str, folder: Path) -> ManagedProcess:
    return ManagedProcess("the child", ["/bin/sh", "-c", script], folder / "child.log")


async def test_an_early_death_quotes_the_end_of_the_log(tmp_path: Path) -> None:
    process = shell("echo the reason; exit 3", tmp_path)
    with pytest.raises(LocalServerFailed, match=r"exit status 3(.|\n)*the reason"):
        await process.start(refuse, deadline_seconds=ORPHAN_SECONDS)


async def test_a_passed_deadline_stops_the_process(tmp_path: Path) -> None:
    process = shell("sleep 600", tmp_path)
    with pytest.raises(LocalServerFailed, match=r"not ready after 0\.3 seconds"):
        await process.start(refuse, deadline_seconds=0.3)
    assert not process.is_running


async def test_a_cancelled_start_leaves_nothing_running(tmp_path: Path) -> None:
    process = shell("sleep 600", tmp_path)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(process.start(refuse, deadline_seconds=60), 0.3)
    assert not process.is_running


async def test_a_program_that_is_not_there_is_a_typed_error(tmp_path: Path) -> None:
    process = ManagedProcess("the child", ["/nowhere/server"], tmp_path / "child.log")
    with pytest.raises(LocalServerFailed, match="could not launch /nowhere/server"):
        await process.start(refuse, deadline_seconds=ORPHAN_SECONDS)


async def test_a_process_that_ignores_the_signal_is_killed_with_its_group(tmp_path: Path) -> None:
    process = shell(f"trap '' TERM; sleep 600 & touch {tmp_path / 'up'}; sleep 600", tmp_path)

    async def is_up() -> bool:
        return (tmp_path / "up").exists()

    await process.start(is_up, deadline_seconds=ORPHAN_SECONDS)
    assert process.pid is not None
    family = psutil.Process(process.pid).children(recursive=True)
    await process.stop(grace_seconds=0.2)
    assert await process.wait() == -signal.SIGKILL
    assert family
    assert await asyncio.to_thread(wait_until, lambda: are_gone(family), ORPHAN_SECONDS)


async def test_a_process_may_not_be_started_from_a_worker_thread(tmp_path: Path) -> None:
    process = shell("sleep 600", tmp_path)
    with pytest.raises(LocalServerFailed, match="main thread"):
        await asyncio.to_thread(asyncio.run, process.start(agree, deadline_seconds=1))


async def test_a_log_that_has_grown_large_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "child.log").write_bytes(bytes(11 * 1024 * 1024))
    await shell("echo fresh", tmp_path).run(deadline_seconds=ORPHAN_SECONDS)
    assert (tmp_path / "child.log").read_text() == "fresh\n"
    assert (tmp_path / "child.log.1").exists()


def test_free_ports_are_all_different() -> None:
    ports = free_ports(50)
    assert len(set(ports)) == 50
    assert all(map(is_port_free, ports))
