"""Loopback ports that nobody uses."""

from __future__ import annotations

import random
import socket

from hanse.errors import LocalServerFailed

LOOPBACK = "127.0.0.1"

# Below Linux's ephemeral range (from 32,768). A port from that range may be taken by any outgoing connection between
# our look and the server's bind; one from here only by another server.
PORTS = range(20_000, 32_000)

# With a few dozen servers on a machine, a random port is free at the first try; this many misses mean something else.
_MAXIMUM_TRIES = 200

# Ports that this process has given away already, though their server may not have bound them yet.
_given: set[int] = set()


def is_port_free(port: int) -> bool:
    """Say whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        # As servers do: connections of a former server that linger in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen()
        except OSError:
            return False
        return True


def free_port() -> int:
    """Return a free loopback port, and never the same one twice."""
    for _ in range(_MAXIMUM_TRIES):
        port = random.choice(PORTS)  # noqa: S311 - a port is no secret
        if port not in _given and is_port_free(port):
            _given.add(port)
            return port
    raise LocalServerFailed("No free loopback port was found.", hint="See what listens on ports 20000 to 31999.")


def free_ports(count: int) -> list[int]:
    """Return several free loopback ports, each one different."""
    return [free_port() for _ in range(count)]
