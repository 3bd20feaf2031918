"""Cutting and healing a running group's lines from another terminal: one request a connection, over a Unix socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from hanse.errors import FailedPrecondition, InvalidArgument
from hanse.local.line import Line
from hanse.names import short_unit

MAX_REQUEST_BYTES = 200


class GroupNotRunning(FailedPrecondition):
    """No supervisor answers."""

    reason = "GROUP_NOT_RUNNING"
    message = "The group is not running."
    hint = "Start it with `hanse up`, in another terminal."


class ControlServer:
    """Takes requests for the lines of a group. An async context manager."""

    def __init__(self, path: Path, lines: Mapping[str, Line]) -> None:
        self._path = path
        self._lines = {short_unit(unit): line for unit, line in lines.items()}
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._answer, self._path)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server:
            self._server.close()
        self._path.unlink(missing_ok=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readline())[:MAX_REQUEST_BYTES].decode(errors="replace").split()
        writer.write(self._do(request).encode())
        await writer.drain()
        writer.close()

    def _do(self, request: list[str]) -> str:
        match request:
            case ["cut", unit] if line := self._lines.get(unit):
                line.cut()
            case ["silence", unit] if line := self._lines.get(unit):
                line.cut(half_open=True)
            case ["heal", unit] if line := self._lines.get(unit):
                line.heal()
            case _:
                return f"refused: say cut, silence or heal, and one of {', '.join(self._lines)}"
        return f"done: {request[0]} {request[1]}"


async def request_control(path: Path, action: str, unit: str) -> str:
    """Ask a running group to do something to a line, and return what it says.

    Raises GroupNotRunning where nobody answers, InvalidArgument where the group refuses.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(path)
    except OSError as error:
        raise GroupNotRunning from error
    writer.write(f"{action} {unit}\n".encode())
    answer = (await reader.read(MAX_REQUEST_BYTES)).decode()
    writer.close()
    if answer.startswith("refused"):
        raise InvalidArgument(answer, hint="See `hanse line --help`.")
    return answer
