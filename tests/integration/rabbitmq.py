"""A real RabbitMQ for tests: Debian's package, on ports and a data folder of its own, beside whatever else runs."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest
from kombu import Connection

from hanse.local.ports import LOOPBACK, free_port
from hanse.local.process import ManagedProcess
from hanse.local.server import EmbeddedServer

# Debian's /usr/sbin/rabbitmq-server changes to a user and a folder that are for the machine's one broker.
PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
PORT_MAPPER = "epmd"
DEADLINE_SECONDS = 30.0


def require_rabbitmq() -> None:
    """Skip a test where RabbitMQ is not installed; CI has to have it."""
    if not PROGRAM.exists():
        reason = "RabbitMQ is not installed: apt-get install rabbitmq-server"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


class RabbitMQ(EmbeddedServer):
    """RabbitMQ on loopback, with its own Erlang port mapper, which would otherwise stay behind as a daemon."""

    name = "RabbitMQ"

    def __init__(self, data_dir: Path, port: int | None = None) -> None:
        super().__init__(data_dir, port)
        self._mapper_port = free_port()
        self._distribution_port = free_port()
        self._mapper = ManagedProcess(
            "epmd",
            [shutil.which(PORT_MAPPER) or PORT_MAPPER, "-port", str(self._mapper_port), "-address", LOOPBACK],
            self.data_dir / "epmd.log",
        )

    def url(self) -> str:
        """Return the `amqp://` URL for kombu."""
        return f"amqp://guest:guest@{self.address}//"

    async def stop(self) -> None:
        await super().stop()
        await self._mapper.stop(grace_seconds=5)

    async def _prepare(self) -> None:
        (self.data_dir / "rabbitmq.conf").write_text(
            f"listeners.tcp.local = {self.address}\nloopback_users.guest = true\nlog.console = true\nlog.file = false\n"
        )
        if not self._mapper.is_running:
            await self._mapper.start(self._is_mapper_ready, deadline_seconds=DEADLINE_SECONDS)

    async def _is_mapper_ready(self) -> bool:
        try:
            _, writer = await asyncio.open_connection(LOOPBACK, self._mapper_port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True

    def _command(self) -> list[str | Path]:
        settings = {
            "HOME": self.data_dir,
            "ERL_EPMD_PORT": self._mapper_port,
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "RABBITMQ_NODENAME": f"hanse{self.port}@localhost",
            "RABBITMQ_DIST_PORT": self._distribution_port,
            "RABBITMQ_CONFIG_FILE": self.data_dir / "rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_MNESIA_BASE": self.data_dir / "mnesia",
            "RABBITMQ_LOG_BASE": self.data_dir / "log",
            "RABBITMQ_ENABLED_PLUGINS_FILE": self.data_dir / "enabled_plugins",
            "RABBITMQ_PID_FILE": self.data_dir / "pid",
            # Makes the script become the server instead of standing beside it.
            "RUNNING_UNDER_SYSTEMD": "true",
            # Two cores are shared with everything else: do not spin while waiting for work.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none",
        }
        return ["/usr/bin/env", *(f"{name}={value}" for name, value in settings.items()), PROGRAM]

    async def _is_ready(self) -> bool:
        return await asyncio.to_thread(self._answers)

    def _answers(self) -> bool:
        try:
            with Connection(self.url(), connect_timeout=1) as connection:
                connection.connect()
        except (OSError, *Connection(self.url()).connection_errors):
            return False
        return True
