"""The floor of `open_ticket`: a bare handler that inserts a ticket's row and its event's row, and nothing else.

It is a process of its own: `python -m tests.benchmarks.floor_server FILE`, FILE being a `FloorSettings` as JSON.
"""

import asyncio
import json
import signal
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import grpc
import uvloop

from hanse.rpc.server import SERVER_OPTIONS
from hanse_protos.ticket.v1.service_pb2 import CreateTicketRequest
from hanse_protos.ticket.v1.ticket_pb2 import Ticket

SERVICE = "hanse_protos.ticket.v1.TicketService"
UNIT = "units/shanghai"

INSERT_TICKET = """
    INSERT INTO ticket.ticket (
        name, version, state, title, description, language, category, product, priority, tier, customer, partner,
        assignee, holder, solution, open_time, update_time, policy_version, policy_override, target, waiting_for,
        supplier, suspend_reason, suspended_duration, waiting_duration, breached, engagement_count, customer_class,
        service, left_units, team, returns, imported
    ) VALUES (
        $1, 1, 'NEW', $2, $3, $4, $5, $6, 'P2', 1, NULL, '', '', $7, '', $8, $8, 1, 0, 'p2', '', '', '', $9, $9,
        false, 0, 'ORDINARY', '', '{}', '', 0, false
    )
"""
INSERT_EVENT = """
    INSERT INTO ticket.log_record (stream, epoch, sequence, hash, event_id, resource, type, occur_time, event, sealed)
    VALUES ($1, 1, $2, $3, $4, $5, 'hanse_protos.ticket.v1.TicketOpened', $6, $7, $8)
"""


@dataclass(frozen=True)
class FloorSettings:
    """What the floor's process is told."""

    address: str
    database_url: str
    connections: int
    key: str
    certificate: str
    event_bytes: int
    """The size of a real TicketOpened in the log, and of what is sealed beside it."""
    sealed_bytes: int
    answer: str
    """A real answer to CreateTicket, in hexadecimal digits: the floor answers with as many bytes."""

    def write(self, path: Path) -> None:
        """Write it to a file."""
        path.write_text(json.dumps(asdict(self)))


class Floor:
    """Opens tickets with nothing around it."""

    def __init__(self, settings: FloorSettings, pool: Any) -> None:
        self._pool = pool
        self._event = b"e" * settings.event_bytes
        self._sealed = b"s" * settings.sealed_bytes
        self._answer = Ticket.FromString(bytes.fromhex(settings.answer))
        self._sequences = count(1)

    async def create(self, request: CreateTicketRequest, _context: Any) -> Ticket:
        """Insert the two rows in one transaction."""
        asked, now, ticket_id = request.ticket, datetime.now(UTC), uuid4()
        name = f"{UNIT}/tickets/{ticket_id}"
        texts = (asked.title, asked.description, asked.language, asked.category, asked.product)
        record = (f"{UNIT}/streams/ticket", next(self._sequences), bytes(32), ticket_id, name, now)
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(INSERT_TICKET, name, *texts, UNIT, now, timedelta(0))
            await connection.execute(INSERT_EVENT, *record, self._event, self._sealed)
        return self._answer


async def serve(settings: FloorSettings) -> None:
    """Serve until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    connections = settings.connections
    async with asyncpg.create_pool(settings.database_url, min_size=connections, max_size=connections) as pool:
        # Where an earlier floor stopped: the place in the stream is a primary key.
        await pool.execute("TRUNCATE ticket.log_record")
        server = grpc.aio.server(options=SERVER_OPTIONS)
        handler = grpc.unary_unary_rpc_method_handler(
            Floor(settings, pool).create, CreateTicketRequest.FromString, Ticket.SerializeToString
        )
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, {"CreateTicket": handler})])
        server.add_secure_port(settings.address, _credentials(settings))
        await server.start()
        await stop.wait()
        await server.stop(1.0)


def _credentials(settings: FloorSettings) -> grpc.ServerCredentials:
    key, certificate = Path(settings.key).read_bytes(), Path(settings.certificate).read_bytes()
    return grpc.ssl_server_credentials([(key, certificate)])


if __name__ == "__main__":
    uvloop.run(serve(FloorSettings(**json.loads(Path(sys.argv[1]).read_text()))))
