"""A server's data folder: ours alone, in both senses."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

from hanse.errors import LocalServerFailed
from hanse.identity.private_files import PRIVATE_FOLDER_MODE


class FolderClaim:
    """Holds a folder for one supervisor. The kernel lets go of it when the supervisor dies, however it dies."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: IO[str] | None = None

    def take(self) -> None:
        """Make the folder if need be, and claim it; raise LocalServerFailed if another process holds it."""
        if self._file is not None:
            return
        self._folder.mkdir(mode=PRIVATE_FOLDER_MODE, parents=True, exist_ok=True)
        file = (self._folder / "lock").open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise LocalServerFailed(
                f"Another process uses the data folder {self._folder}.",
                hint="Stop the other Hanse, or choose another data folder.",
                folder=str(self._folder),
            ) from error
        self._file = file

    def release(self) -> None:
        """Let go of the folder; nothing happens if it is not held."""
        if self._file is not None:
            self._file.close()
            self._file = None
