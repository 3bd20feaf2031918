"""Canaries: strings that occur nowhere else, and searching for them wherever something of a group is kept."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import psycopg
import redis
from psycopg import sql

from hanse.config import Settings
from hanse.local.ports import LOOPBACK
from hanse.temporal import connect

CANARY = re.compile(rb"canary-[0-9a-f]{16}")
HEX = re.compile(rb"(?:[0-9a-f]{2}){23,}")
BASE64 = re.compile(rb"[A-Za-z0-9+/]{28,}={0,2}")
MAX_LAYERS = 3
"""How deep encodings are nested: a record in a JSON message in a dump is three."""

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


class Canaries:
    """The canaries that were planted, and what each was planted as."""

    def __init__(self) -> None:
        self.planted: dict[str, str] = {}

    def plant(self, kind: str) -> str:
        """Return a new canary."""
        canary = f"canary-{secrets.token_hex(8)}"
        self.planted[canary] = kind
        return canary

    def of(self, *kinds: str) -> set[str]:
        """Return the canaries that were planted as something."""
        return {canary for canary, kind in self.planted.items() if kind in kinds}


def found_in(content: bytes, layers: int = MAX_LAYERS) -> set[str]:
    """Return the canaries in some bytes: in the clear, in hex, in base64, and in each of them inside of another."""
    found = {canary.decode() for canary in CANARY.findall(content)}
    if layers:
        for inner in _decoded(content):
            found |= found_in(inner, layers - 1)
    return found


def _decoded(content: bytes) -> Iterator[bytes]:
    for run in HEX.findall(content):
        yield bytes.fromhex(run.decode())
    for run in BASE64.findall(content):
        # What stands before it may be letters too, so each way to cut it into fours is tried.
        for start in range(4):
            piece = run[start:].rstrip(b"=")
            # One letter alone at the end stands for no byte.
            piece = piece[: len(piece) - (len(piece) % 4 == 1)]
            yield base64.b64decode(piece + b"=" * (-len(piece) % 4))


def in_database(settings: Settings) -> set[str]:
    """Return the canaries in all tables of a unit's database, of whatever schema."""
    return set().union(*in_tables(settings).values())


def in_tables(settings: Settings) -> dict[str, set[str]]:
    """Return the canaries in each table of a unit's database that has some."""
    found = {}
    with psycopg.connect(settings.database_url) as connection:
        tables = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        for schema, table in tables:
            query = sql.SQL("SELECT whole::text FROM {} AS whole").format(sql.Identifier(schema, table))
            rows = "\n".join(row[0] for row in connection.execute(query)).encode()
            if canaries := found_in(rows):
                found[f"{schema}.{table}"] = canaries
    return found


def in_broker(settings: Settings) -> set[str]:
    """Return the canaries in everything that a unit's broker keeps."""
    found = set()
    with redis.Redis.from_url(settings.broker_url) as client:
        for key in client.scan_iter():
            found |= found_in(key) | found_in(b"\n".join(_values(client, key)))
    return found


def _values(client: Any, key: bytes) -> list[bytes]:
    kind = client.type(key)
    if kind == b"list":
        return list(client.lrange(key, 0, -1))
    if kind == b"set":
        return list(client.smembers(key))
    if kind == b"zset":
        return list(client.zrange(key, 0, -1))
    if kind == b"hash":
        return [part for pair in client.hgetall(key).items() for part in pair]
    assert kind == b"string", kind
    return [client.get(key)]


async def in_temporal(settings: Settings) -> tuple[int, set[str]]:
    """Return how many workflows a unit has, and the canaries in their histories, memos and search attributes."""
    client, count, found = await connect(settings), 0, set()
    async for workflow in client.list_workflows():
        count += 1
        found |= found_in(workflow.raw_info.SerializeToString())
        history = await client.get_workflow_handle(workflow.id, run_id=workflow.run_id).fetch_history()
        for event in history.events:
            found |= found_in(event.SerializeToString())
    return count, found


def in_files(folder: Path, *patterns: str) -> tuple[int, set[str]]:
    """Return how many bytes the files of some names hold, and the canaries in them."""
    contents = [path.read_bytes() for pattern in patterns for path in folder.rglob(pattern) if path.is_file()]
    return sum(map(len, contents)), set().union(*map(found_in, contents))


class Collector(grpc.GenericRpcHandler):
    """Takes the spans that processes export, as they come."""

    def __init__(self) -> None:
        self.content = b""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Take what is exported."""
        if handler_call_details.method != EXPORT:
            return None
        return grpc.unary_unary_rpc_method_handler(self._take)

    async def _take(self, spans: bytes, _context: object) -> bytes:
        self.content += spans
        return b""


@asynccontextmanager
async def collecting() -> AsyncIterator[tuple[Collector, str]]:
    """Run a collector of spans, and give its address."""
    collector, server = Collector(), grpc.aio.server()
    server.add_generic_rpc_handlers([collector])
    port = server.add_insecure_port(f"{LOOPBACK}:0")
    await server.start()
    try:
        yield collector, f"http://{LOOPBACK}:{port}"
    finally:
        await server.stop(None)
