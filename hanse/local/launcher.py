"""The last step before a server's binary: put on the right guise, tie its life to ours, and become it.

This file runs as a script, in a process of its own: code between fork and exec in a process with threads (gRPC and
Temporal have many) may deadlock, and a fresh interpreter may not. It imports the standard library only, and is
replaced by the server's binary within some 30 milliseconds, keeping its process id.

    python -I -S launcher.py GUISE PARENT_PID DEATH_SIGNAL COMMAND [ARGUMENT ...]
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import sys
from enum import StrEnum
from pathlib import Path

# From <linux/prctl.h> and <linux/sched.h>; Python 3.11 has neither of them.
_PR_SET_PDEATHSIG = 1
_CLONE_NEWUSER = 0x10000000

# The uid and gid that root goes by in its user namespace; any number but 0 would do.
_ORDINARY_ID = 1000

# What `env` and the shell also use for a command that could not be run.
EXIT_STATUS_NOT_LAUNCHED = 126


class Guise(StrEnum):
    """As whom a server runs."""

    SELF = "self"
    """As ourselves."""
    NAMESPACE = "namespace"
    """As root outside and as an ordinary user inside a user namespace, for servers that refuse to run as root."""
    NOBODY = "nobody"
    """As the user `nobody`, where the kernel forbids user namespaces."""


def _checked(result: int, action: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{action}: {os.strerror(number)}")


def _enter_namespace(libc: ctypes.CDLL) -> None:
    uid, gid = os.geteuid(), os.getegid()
    _checked(libc.unshare(_CLONE_NEWUSER), "a user namespace was refused")
    # The kernel accepts a map of groups only from a process that has given up changing its groups.
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{_ORDINARY_ID} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{_ORDINARY_ID} {gid} 1")


def _become_nobody() -> None:
    nobody = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(nobody.pw_gid)
    os.setuid(nobody.pw_uid)


def _die_with(libc: ctypes.CDLL, parent: int, death_signal: int) -> None:
    """Have the kernel send `death_signal` to this process, and to what it becomes, when its parent is gone."""
    _checked(libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0), "the death signal was refused")
    # The parent may have died before the kernel knew of our wish, and then nobody would ever tell us.
    if os.getppid() != parent:
        signal.raise_signal(signal.SIGKILL)


def main(arguments: list[str]) -> None:
    guise, parent, death_signal, *command = arguments
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        if guise == Guise.NAMESPACE:
            _enter_namespace(libc)
        elif guise == Guise.NOBODY:
            _become_nobody()
        # Only now, since a change of credentials makes the kernel forget the death signal.
        if sys.platform == "linux":
            _die_with(libc, int(parent), int(death_signal))
        os.execv(command[0], command)  # noqa: S606 - there is no shell, and the command is our own
    except OSError as error:
        sys.stderr.write(f"could not launch {command[0]} as {guise}: {error}\n")
        raise SystemExit(EXIT_STATUS_NOT_LAUNCHED) from None


if __name__ == "__main__":
    main(sys.argv[1:])
