"""The line carries bytes, breaks in two ways, and heals."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from hanse.errors import LocalServerFailed
from hanse.local.line import Line, LineState

# Nothing here takes a tenth of this; waiting longer means that a byte did not arrive.
ARRIVAL_SECONDS = 30.0
# Bytes on loopback arrive within a millisecond, so after this long they were swallowed.
SILENCE_SECONDS = 0.2
MEGABYTE = 1024 * 1024


class Target:
    """A server that sends everything back, unless it is told not to read."""

    def __init__(self) -> None:
        self.port = 0
        self.reads = asyncio.Event()
        self.reads.set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._echo, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self.reads.wait()
            while chunk := await reader.read(64 * 1024):
                writer.write(chunk)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


class Client:
    """One connection through the line."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def echo(self, content: bytes) -> bytes:
        self.writer.write(content)
        async with asyncio.timeout(ARRIVAL_SECONDS):
            return await self.reader.readexactly(len(content))

    async def hears_nothing(self) -> bool:
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                await self.reader.read(1)
        except TimeoutError:
            return True
        return False

    async def is_reset(self) -> bool:
        try:
            async with asyncio.timeout(ARRIVAL_SECONDS):
                await self.reader.read(1)
        except ConnectionResetError:
            return True
        return False


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    target = Target()
    await target.start()
    yield target
    await target.stop()


@pytest.fixture
async def line(target: Target) -> AsyncIterator[Line]:
    async with Line("127.0.0.1", target.port) as line:
        yield line


class Dial:
    """Opens connections through the line, and closes them after the test."""

    def __init__(self, line: Line, stack: AsyncExitStack) -> None:
        self._line, self._stack = line, stack

    async def __call__(self) -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._line.port)
        self._stack.callback(writer.close)
        return Client(reader, writer)


@pytest.fixture
async def dial(line: Line) -> AsyncIterator[Dial]:
    async with AsyncExitStack() as stack:
        yield Dial(line, stack)


async def eventually_has_connections(line: Line, count: int) -> bool:
    deadline = time.monotonic() + ARRIVAL_SECONDS
    while time.monotonic() < deadline:
        if line.connection_count == count:
            return True
        await asyncio.sleep(0.01)
    return False


async def test_bytes_pass_both_ways(dial: Dial) -> None:
    assert await (await dial()).echo(b"hello") == b"hello"


async def test_many_bytes_pass_in_order(dial: Dial) -> None:
    content = bytes(range(256)) * 16 * 1024
    assert await (await dial()).echo(content) == content


async def test_an_orderly_end_passes_too(line: Line, dial: Dial) -> None:
    client = await dial()
    client.writer.write(b"the last word")
    client.writer.write_eof()
    async with asyncio.timeout(ARRIVAL_SECONDS):
        assert await client.reader.read() == b"the last word"
    assert await eventually_has_connections(line, 0)


async def test_a_target_that_is_not_there_resets_the_connection(target: Target, dial: Dial) -> None:
    await target.stop()
    assert await (await dial()).is_reset()


async def test_cutting_resets_connections_and_refuses_new_ones(line: Line, dial: Dial) -> None:
    client = await dial()
    await client.echo(b"before")
    line.cut()
    assert line.state is LineState.CUT
    assert await client.is_reset()
    with pytest.raises(ConnectionRefusedError):
        await dial()


async def test_a_cut_line_heals_at_the_same_address(line: Line, dial: Dial) -> None:
    address = line.address
    line.cut()
    line.heal()
    assert (line.state, line.address) == (LineState.UP, address)
    assert await (await dial()).echo(b"after") == b"after"


async def test_a_half_open_line_keeps_connections_and_swallows_their_bytes(line: Line, dial: Dial) -> None:
    client = await dial()
    await client.echo(b"before")
    line.cut(half_open=True)
    client.writer.write(b"lost")
    assert line.state is LineState.HALF_OPEN
    assert await client.hears_nothing()


async def test_a_half_open_line_swallows_new_connections(line: Line, dial: Dial) -> None:
    line.cut(half_open=True)
    client = await dial()
    client.writer.write(b"lost")
    assert await client.hears_nothing()


async def test_healing_resets_a_connection_that_has_lost_bytes(line: Line, dial: Dial) -> None:
    client = await dial()
    await client.echo(b"before")
    line.cut(half_open=True)
    client.writer.write(b"lost")
    await client.hears_nothing()
    line.heal()
    assert await client.is_reset()


async def test_healing_resets_a_connection_that_opened_meanwhile(line: Line, dial: Dial) -> None:
    line.cut(half_open=True)
    client = await dial()
    await client.hears_nothing()
    line.heal()
    assert await client.is_reset()


async def test_a_connection_that_was_silent_meanwhile_survives_a_half_open_line(line: Line, dial: Dial) -> None:
    client = await dial()
    await client.echo(b"before")
    line.cut(half_open=True)
    await client.hears_nothing()
    line.heal()
    assert await client.echo(b"after") == b"after"


async def test_a_cut_line_can_become_half_open_and_cut_again(line: Line, dial: Dial) -> None:
    line.cut()
    line.cut(half_open=True)
    assert await (await dial()).hears_nothing()
    line.cut()
    with pytest.raises(ConnectionRefusedError):
        await dial()


async def test_a_delay_holds_bytes_back_each_way(line: Line, dial: Dial) -> None:
    client = await dial()
    await client.echo(b"before")
    line.delay_seconds = 0.1
    begin = time.monotonic()
    await client.echo(b"delayed")
    assert time.monotonic() - begin >= 0.2


async def test_a_delay_costs_time_and_not_throughput(line: Line, dial: Dial) -> None:
    """One chunk at a time, the four megabytes would take 128 delays each way, which is 13 seconds: half will do."""
    client = await dial()
    line.delay_seconds = 0.05
    content = bytes(4 * MEGABYTE)
    begin = time.monotonic()
    assert await client.echo(content) == content
    assert time.monotonic() - begin < 6.5


async def test_a_target_that_does_not_read_holds_the_sender_back(target: Target, dial: Dial) -> None:
    """The line's own 2 MiB and the kernel's socket buffers fill up, and then nothing more is taken."""
    target.reads.clear()
    client = await dial()
    sent_megabytes = 0
    with pytest.raises(TimeoutError):
        while sent_megabytes < 64:
            client.writer.write(bytes(MEGABYTE))
            async with asyncio.timeout(1.0):
                await client.writer.drain()
            sent_megabytes += 1
    assert sent_megabytes < 32
    target.reads.set()


async def test_a_stopped_line_refuses_connections_and_can_be_started_again(line: Line, dial: Dial) -> None:
    await line.stop()
    assert line.state is LineState.DOWN
    with pytest.raises(ConnectionRefusedError):
        await dial()
    await line.start()
    assert await (await dial()).echo(b"again") == b"again"


async def test_cutting_and_healing_a_stopped_line_does_nothing(target: Target) -> None:
    line = Line("127.0.0.1", target.port)
    line.cut()
    line.heal()
    assert line.state is LineState.DOWN


async def test_a_port_that_was_taken_meanwhile_is_a_typed_error(target: Target) -> None:
    line = Line("127.0.0.1", 1)
    line.port = target.port
    with pytest.raises(LocalServerFailed):
        await line.start()
    assert line.state is LineState.DOWN


async def test_a_narrow_line_passes_no_more_than_its_bytes_a_second(line: Line, dial: Dial) -> None:
    client = await dial()
    line.bytes_per_second = 1_000_000
    began = time.monotonic()
    await client.echo(bytes(200_000))
    # Both directions share the time, but for the last chunk of each.
    assert time.monotonic() - began > 0.15
