"""The command line of a unit under test, each command in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from hanse.config import SETTINGS_FILE_VARIABLE
from hanse.runtime import Runtime

WIDE = {"COLUMNS": "300"}
"""So that no table is folded."""


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
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "hanse.cli.main", *arguments),
            env=os.environ | WIDE | {SETTINGS_FILE_VARIABLE: str(self._settings)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        printed, complained = await process.communicate()
        return Result(process.returncode or 0, printed.decode(), complained.decode())
