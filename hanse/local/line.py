"""The network line between a unit and headquarters, which tests and demonstrations cut and heal on purpose.

A `Line` is a proxy for TCP on loopback. It is in one of four states:

- **down**: not started, or stopped.
- **up**: bytes pass, `delay_seconds` after they came in, and no more than `bytes_per_second` of each direction.
- **cut**: every connection was reset, and new ones are refused, as when the far host is switched off.
- **half open**: connections stay, new ones are accepted, and bytes vanish, as behind a dead router or a firewall that
  has lost its state. Nothing tells either end; only a keepalive finds out.

When a half-open line heals, a connection that has lost bytes, or that was opened meanwhile, is reset. A real network
would have TCP send them again, which a proxy cannot ask for, and a stream with a hole must never reach an application.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from enum import StrEnum
from types import TracebackType
from typing import Self

from hanse.errors import LocalServerFailed
from hanse.local.ports import LOOPBACK, free_port

# Each direction of a connection holds at most this many chunks of this size, 2 MiB, and then stops reading, so that
# back-pressure passes through the line as it does through a real one.
_CHUNK_BYTES = 32 * 1024
_CHUNKS_UNDER_WAY = 64

# Far more than the units of any test; beyond it a client reconnects without end, and is refused.
_MAXIMUM_CONNECTIONS = 1000

_DIAL_TIMEOUT_SECONDS = 5.0

_LISTEN_BACKLOG = 128


class LineState(StrEnum):
    DOWN = "DOWN"
    UP = "UP"
    CUT = "CUT"
    HALF_OPEN = "HALF_OPEN"


class Line:
    """A proxy from a loopback port of its own to the target. All methods belong to one event loop."""

    def __init__(
        self, target_host: str, target_port: int, *, port: int | None = None, delay_seconds: float = 0.0
    ) -> None:
        """Without a `port`, a free one is chosen.

        `delay_seconds` holds back every byte, in each direction; it may be changed at any time.
        """
        self.delay_seconds = delay_seconds
        self.bytes_per_second: float | None = None
        """How much each direction of each connection passes; None for all that comes. It may be changed at any time."""
        self.state = LineState.DOWN
        self.port = port or free_port()
        self._target = (target_host, target_port)
        self._reservation: socket.socket | None = None
        self._listener: socket.socket | None = None
        self._connections: dict[_Connection, asyncio.Task[None]] = {}

    @property
    def address(self) -> str:
        """Where to dial instead of the target; it stays the same for as long as this object lives."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def connection_count(self) -> int:
        return len(self._connections)

    async def start(self) -> None:
        """Bring the line up; raise LocalServerFailed if its port was taken meanwhile."""
        if self.state is not LineState.DOWN:
            return
        try:
            # A bound socket that never listens keeps the port ours while the line is cut and refuses connections.
            self._reservation = self._bind()
            self._listen()
        except OSError as error:
            self._unlisten()
            raise LocalServerFailed(f"The line cannot listen on {self.address}: {error}.", server="line") from error
        self.state = LineState.UP

    async def stop(self) -> None:
        """Reset every connection and give the port back."""
        self.cut()
        self.state = LineState.DOWN
        if self._reservation is not None:
            self._reservation.close()
            self._reservation = None
        await asyncio.gather(*self._connections.values(), return_exceptions=True)

    def cut(self, *, half_open: bool = False) -> None:
        """Cut the line: reset and refuse connections, or, if `half_open`, leave them be and swallow their bytes."""
        if self.state is LineState.DOWN:
            return
        if half_open:
            if self.state is LineState.CUT:
                self._listen()
            self.state = LineState.HALF_OPEN
            return
        self.state = LineState.CUT
        self._unlisten()
        for task in self._connections.values():
            task.cancel()

    def heal(self) -> None:
        """Bring the line up again. Connections that have lost bytes are reset; the others go on."""
        if self.state is LineState.CUT:
            self._listen()
        if self.state is not LineState.DOWN:
            self.state = LineState.UP
        for connection, task in self._connections.items():
            if connection.has_lost_bytes:
                task.cancel()

    def _bind(self) -> socket.socket:
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.setblocking(False)
        try:
            bound.bind((LOOPBACK, self.port))
        except OSError:
            bound.close()
            raise
        return bound

    def _listen(self) -> None:
        self._listener = self._bind()
        self._listener.listen(_LISTEN_BACKLOG)
        asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def _unlisten(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def _accept(self) -> None:
        if self._listener is None:
            return
        with suppress(OSError):
            accepted, _ = self._listener.accept()
            if len(self._connections) >= _MAXIMUM_CONNECTIONS:
                accepted.close()
                return
            accepted.setblocking(False)
            connection = _Connection(self, accepted)
            self._connections[connection] = asyncio.create_task(self._carry(connection))

    async def _carry(self, connection: _Connection) -> None:
        try:
            await connection.carry(self._target)
        finally:
            del self._connections[connection]

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()


class _Connection:
    """One connection through the line. Cancelling it resets both of its ends."""

    def __init__(self, line: Line, client: socket.socket) -> None:
        self._line = line
        self._client = client
        # What opens on a half-open line never reaches its target, so its first bytes are lost already.
        self.has_lost_bytes = line.state is LineState.HALF_OPEN

    async def carry(self, target: tuple[str, int]) -> None:
        """Carry bytes both ways until both ends are done, or one of them breaks."""
        server = socket.socket()
        server.setblocking(False)
        # If all goes well, this is taken back, and both ends part in good order.
        _reset_on_close(self._client, server, is_reset=True)
        with self._client, server, suppress(OSError, ExceptionGroup):
            if self.has_lost_bytes:
                await self._swallow()
                return
            async with asyncio.timeout(_DIAL_TIMEOUT_SECONDS):
                await asyncio.get_running_loop().sock_connect(server, target)
            async with asyncio.TaskGroup() as directions:
                directions.create_task(self._pass_on(self._client, server))
                directions.create_task(self._pass_on(server, self._client))
            _reset_on_close(self._client, server, is_reset=False)

    async def _swallow(self) -> None:
        while await asyncio.get_running_loop().sock_recv(self._client, _CHUNK_BYTES):
            continue

    async def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        """Carry one direction. What is under way waits in a queue, so that a delay costs time and not throughput."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_CHUNKS_UNDER_WAY)
        async with asyncio.TaskGroup() as both_ends:
            both_ends.create_task(self._take_in(source, under_way))
            both_ends.create_task(self._give_out(under_way, sink))

    async def _take_in(self, source: socket.socket, under_way: asyncio.Queue[tuple[float, bytes]]) -> None:
        """Read to the end, for which an empty chunk stands."""
        loop = asyncio.get_running_loop()
        chunk: bytes | None = None
        while chunk != b"":
            chunk = await loop.sock_recv(source, _CHUNK_BYTES)
            await under_way.put((loop.time() + self._line.delay_seconds, chunk))

    async def _give_out(self, under_way: asyncio.Queue[tuple[float, bytes]], sink: socket.socket) -> None:
        """Write what is due. On a broken line nothing arrives, and neither does the end."""
        loop = asyncio.get_running_loop()
        while True:
            due_time, chunk = await under_way.get()
            if due_time > loop.time():
                await asyncio.sleep(due_time - loop.time())
            if self.has_lost_bytes or self._line.state is not LineState.UP:
                self.has_lost_bytes = True
            elif chunk:
                await loop.sock_sendall(sink, chunk)
                if self._line.bytes_per_second:
                    await asyncio.sleep(len(chunk) / self._line.bytes_per_second)
            else:
                sink.shutdown(socket.SHUT_WR)
                return


def _reset_on_close(*ends: socket.socket, is_reset: bool) -> None:
    """Choose what closing does: a socket that lingers for zero seconds sends a reset instead of an orderly end."""
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", is_reset, 0))
