"""The command line of a unit under test, each command in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hanse.config import SETTINGS_FILE_VARIABLE
from hanse.runtime import Runtime

WIDE = {"COLUMNS": "300"}
"""So that no table is folded."""
ONE_AFTER_THE_OTHER = """
import contextlib, io, json, sys
from hanse.cli.main import main

results = []
for arguments in json.load(sys.stdin):
    sys.argv, status, printed, complained = ["hanse", *arguments], 0, io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(complained):
        try:
            main()
        except SystemExit as end:
            status = end.code or 0
    results.append({"status": status, "printed": printed.getvalue(), "complained": complained.getvalue()})
json.dump(results, sys.stdout)
"""


@dataclass(frozen=True, slots=True)
class Result:
    """What a command printed, and its exit status."""

    status: int
    printed: str
    complained: str


class CommandLine:
    """Gives commands to the unit whose settings it writes into a folder."""

    def __init__(self, runtime: Runtime, folder: Path) -> None:
        self._settings = folder / f"{runtime.unit.replace('/', '-')}.toml"
        values = runtime.settings.model_dump(mode="json", exclude_none=True)
        self._settings.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items()))

    async def run(self, *arguments: str) -> Result:
        """Give one command, and return what came of it."""
        process = await self.start(*arguments)
        printed, complained = await process.communicate()
        return Result(process.returncode or 0, printed.decode(), complained.decode())

    async def run_all(self, *commands: Sequence[str]) -> list[Result]:
        """Give commands one after the other in one process, since it takes seconds to start."""
        process = await self._start("-c", ONE_AFTER_THE_OTHER)
        answers, complained = await process.communicate(json.dumps(commands).encode())
        assert process.returncode == 0, complained.decode()
        return [Result(**answer) for answer in json.loads(answers)]

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        """Start one command, and return its process."""
        return await self._start("-m", "hanse.cli.main", *arguments)

    async def _start(self, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, *arguments),
            env=os.environ | WIDE | {SETTINGS_FILE_VARIABLE: str(self._settings)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
