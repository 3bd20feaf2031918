"""A real network between a unit and headquarters: three namespaces of the kernel, a unit's, a router's, headquarters'.

    agent -> line -> bridge | unit's namespace --veth-- router --veth-- headquarters' namespace | bridge -> hub

A proxy can't play one thing: a router that drops packets for a while. Connections stay, and what was sent is sent
again by TCP itself when the router is back. Here the router's `net.ipv4.ip_forward` is turned off and on for that. The
processes keep running in the machine's own namespace, beside their servers; two bridges, whose inner sockets live in
the namespaces, join them to it.

Namespaces need root, and a kernel that grants them; `is_possible` tries. Without them the harness makes do with the
proxy, which swallows bytes.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

from hanse.local.ports import LOOPBACK, free_port

UNIT_ADDRESS, HEADQUARTERS_ADDRESS = "10.210.1.2", "10.210.2.2"
INNER_PORT = 7001
CHUNK_BYTES = 64 * 1024
COMMAND_TIMEOUT_SECONDS = 20.0

_NAMESPACES = Path("/run/netns")
_CLONE_NEWNET = 0x40000000  # From <linux/sched.h>; Python has `os.setns` from 3.12 on.
_numbers = count(1)


@cache
def is_possible() -> bool:
    """Return whether this machine lets us make namespaces."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    name = f"hanse-try-{os.getpid()}"
    try:
        _run("ip", "netns", "add", name)
        _run("ip", "netns", "del", name)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return False
    return True


class Network:
    """A network of its own to one port of this machine. An async context manager."""

    def __init__(self, target_port: int) -> None:
        """Dial `port` to reach the target's port, through the network."""
        self.port = free_port()
        self._target_port = target_port
        number = next(_numbers)
        self._unit, self._router, self._hq = (f"hanse-{os.getpid()}-{number}-{part}" for part in ("u", "r", "h"))
        self._servers: list[asyncio.Server] = []
        self._carriers: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Make the namespaces, join them, and begin to carry bytes."""
        try:
            await asyncio.to_thread(self._make)
            listener = _in_namespace(self._hq, lambda: socket.create_server((HEADQUARTERS_ADDRESS, INNER_PORT)))
            self._servers = [
                await asyncio.start_server(self._to_target, sock=listener),
                await asyncio.start_server(self._to_network, LOOPBACK, self.port),
            ]
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drop every connection and remove the namespaces."""
        for server in self._servers:
            server.close()
        for carrier in self._carriers:
            carrier.cancel()
        await asyncio.gather(*self._carriers, return_exceptions=True)
        await asyncio.to_thread(self._remove)

    def partition(self) -> None:
        """Have the router drop every packet."""
        self._forward(0)

    def heal(self) -> None:
        """Have the router forward again."""
        self._forward(1)

    def _forward(self, value: int) -> None:
        _run("ip", "netns", "exec", self._router, "sysctl", "-q", "-w", f"net.ipv4.ip_forward={value}")

    def _make(self) -> None:
        for name in (self._unit, self._router, self._hq):
            _run("ip", "netns", "add", name)
            _run("ip", "-n", name, "link", "set", "lo", "up")
        for name, subnet in ((self._unit, "10.210.1"), (self._hq, "10.210.2")):
            device = f"to-{name[-1]}"
            _run("ip", "-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", device, "netns", self._router)
            _run("ip", "-n", self._router, "address", "add", f"{subnet}.1/24", "dev", device)
            _run("ip", "-n", self._router, "link", "set", device, "up")
            _run("ip", "-n", name, "address", "add", f"{subnet}.2/24", "dev", "eth0")
            _run("ip", "-n", name, "link", "set", "eth0", "up")
            _run("ip", "-n", name, "route", "add", "default", "via", f"{subnet}.1")
        self._forward(1)

    def _remove(self) -> None:
        for name in (self._unit, self._router, self._hq):
            with suppress(subprocess.CalledProcessError):
                _run("ip", "netns", "del", name)

    async def _to_network(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner = _in_namespace(self._unit, socket.socket)
        inner.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(inner, (HEADQUARTERS_ADDRESS, INNER_PORT))
        except OSError:
            inner.close()
            writer.close()
            return
        await self._carry(reader, writer, *await asyncio.open_connection(sock=inner))

    async def _to_target(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            further = await asyncio.open_connection(LOOPBACK, self._target_port)
        except OSError:
            writer.transport.abort()
            return
        await self._carry(reader, writer, *further)

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far_reader: asyncio.StreamReader,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        """Carry bytes both ways until one end is done or broken; then drop both."""
        ways = [asyncio.create_task(_pump(reader, far_writer)), asyncio.create_task(_pump(far_reader, writer))]
        self._carriers.update(ways)
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            self._carriers.difference_update(ways)
            writer.transport.abort()
            far_writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()


def _in_namespace(name: str, make: Callable[[], socket.socket]) -> socket.socket:
    """Make a socket in a namespace: a socket belongs to the namespace of the thread that made it, whoever uses it."""
    libc = ctypes.CDLL(None, use_errno=True)

    def enter_and_make() -> socket.socket:
        with (_NAMESPACES / name).open() as namespace:
            if libc.setns(namespace.fileno(), _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"the namespace {name} can't be entered")
        return make()

    # A thread of its own, which ends with its namespace.
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(enter_and_make).result()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=COMMAND_TIMEOUT_SECONDS)
