"""An embedded Temporal: the development server, with its state in one SQLite file."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from hanse.local.binaries import temporal_binary
from hanse.local.ports import LOOPBACK
from hanse.local.server import EmbeddedServer

_RPC_TIMEOUT = timedelta(seconds=1)

_PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL")
"""How SQLite writes: with a log ahead, and without waiting for the disk at each step of a process, so that starting one
takes a third of the time. A kill loses nothing, and a power cut the last moments, which the reconciler brings back."""


class EmbeddedTemporal(EmbeddedServer):
    """Temporal's development server on loopback. It has no passwords: whoever is on this machine may use it.

    Its store may be lost without harm to the business, as PostgreSQL knows every deadline; a kill loses nothing, as
    SQLite recovers. With a `web_port` it also serves its console there.
    """

    name = "Temporal"
    stop_signal = signal.SIGINT

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        *,
        namespaces: Sequence[str] = (),
        web_port: int | None = None,
    ) -> None:
        """`namespaces` are made at the start if they are missing; Temporal adds its `default` by itself."""
        super().__init__(data_dir, port)
        self.namespaces = tuple(namespaces)
        self.web_port = web_port

    async def _prepare(self) -> None:
        """Do nothing: Temporal makes its file by itself, and SQLite recovers it."""

    def _command(self) -> list[str | Path]:
        database = self.data_dir / "temporal.sqlite"
        console = ["--headless"] if self.web_port is None else [f"--ui-port={self.web_port}", "--ui-disable-news-fetch"]
        return [
            *(temporal_binary(), "server", "start-dev"),
            *(f"--db-filename={database}", f"--ip={LOOPBACK}", f"--port={self.port}"),
            # A colleague's own Temporal settings must not leak into ours.
            *("--log-level=warn", "--disable-config-file", "--disable-config-env"),
            *console,
            *(f"--sqlite-pragma={pragma}" for pragma in _PRAGMAS),
            *(f"--namespace={namespace}" for namespace in self.namespaces),
        ]

    async def _is_ready(self) -> bool:
        """Say whether every namespace can be used: the port answers a little earlier than they do."""
        try:
            client = await Client.connect(self.address)
            for namespace in self.namespaces or ("default",):
                request = DescribeNamespaceRequest(namespace=namespace)
                await client.workflow_service.describe_namespace(request, timeout=_RPC_TIMEOUT)
        except (RPCError, RuntimeError):
            # The client reports a refused connection as a plain RuntimeError.
            return False
        return True
