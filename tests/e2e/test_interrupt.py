"""Ctrl-C at any moment leaves no process behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

END_SECONDS = 120.0
"""Longer than all that the demo gives its servers to end."""
LAST_BREATH_SECONDS = 10.0
"""How long what a server's end has ended may still be seen."""


def left_behind(folder: Path) -> list[str]:
    """Return the processes that belong to a demo whose temporary folder was in this one."""
    found = []
    for process in psutil.process_iter():
        try:
            belongs = str(folder) in " ".join(process.cmdline()) or str(folder) in process.environ().get("TMPDIR", "")
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if belongs and process.status() != psutil.STATUS_ZOMBIE:
            found.append(f"{process.pid} {process.name()}")
    return found


@pytest.mark.parametrize("after_seconds", [0.7, 2.5, 6.0, 14.0])
async def test_interrupted_demo_leaves_no_process_and_no_folder(after_seconds: float, tmp_path: Path) -> None:
    demo = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "hanse.cli.main",
        "demo",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        start_new_session=True,
    )
    await asyncio.sleep(after_seconds)
    demo.send_signal(signal.SIGINT)
    code = await asyncio.wait_for(demo.wait(), END_SECONDS)
    # While Python is still importing, the signal itself ends it.
    assert code in (130, -signal.SIGINT)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LAST_BREATH_SECONDS):
            while left_behind(tmp_path):  # noqa: ASYNC110 - what is waited for happens in other processes.
                await asyncio.sleep(0.1)
    assert left_behind(tmp_path) == []
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - pathlib may block, says the linter.
