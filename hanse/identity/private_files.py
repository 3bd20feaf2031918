"""Files that hold a key or a password: readable by their owner only, and never half written."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

PRIVATE_FOLDER_MODE = 0o700

# 32 bytes of randomness, in hexadecimal so that a password needs no quoting in a URL, a shell or a settings file.
_SECRET_BYTES = 32


def write_private_file(path: Path, content: bytes) -> None:
    """Write a file with mode 0600. After a crash it is there in full or not at all."""
    path.parent.mkdir(mode=PRIVATE_FOLDER_MODE, parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def read_or_create_secret(path: Path) -> str:
    """Return the password in a private file, which is created with a random one when it is not there."""
    if not path.exists():
        write_private_file(path, secrets.token_hex(_SECRET_BYTES).encode())
    return path.read_text().strip()
