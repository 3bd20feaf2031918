"""Concurrent callers that open tickets at several servers in turns, from a process of their own.

`python -m tests.benchmarks.callers FILE` reads a `Calls` as JSON, and prints one line of JSON for each turn.
"""

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import uvloop

from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_protos.ticket.v1.service_pb2 import CreateTicketRequest
from hanse_protos.ticket.v1.service_pb2_grpc import TicketServiceStub

UNIT = "units/shanghai"
TITLE = "三号展厅大屏无信号"
DESCRIPTION = (
    "今天早上开机以后，三号展厅的大屏一直显示“无信号”。已经检查过电源和视频线，"
    "重启两次，问题依旧。下午两点有客户参观，请尽快处理。"
)
DEADLINE_SECONDS = 30.0


@dataclass(frozen=True)
class Calls:
    """What the callers' process is told."""

    servers: dict[str, str]
    """Addresses by name, in the order of their turns."""
    authority: str
    token: str
    callers: int
    turns: int
    """Turns of each server."""
    turn_seconds: float
    warm_up_seconds: float

    def write(self, path: Path) -> None:
        """Write it to a file."""
        path.write_text(json.dumps(asdict(self)))


def request() -> CreateTicketRequest:
    """Return a request as an agent's tool sends it, with an id of its own."""
    ticket = pb.Ticket(
        title=TITLE,
        description=DESCRIPTION,
        language="zh-CN",
        category="display",
        product="LED-55",
        priority=pb.P2,
    )
    return CreateTicketRequest(parent=UNIT, ticket=ticket, request_id=str(uuid4()))


async def call_for(stub: Any, token: str, callers: int, seconds: float) -> list[float]:
    """Let callers open one ticket after the other for some seconds; return how long each took, in seconds."""
    metadata = (("authorization", f"Bearer {token}"),)
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def caller() -> None:
        while (start := time.perf_counter()) < end:
            await stub.CreateTicket(request(), metadata=metadata, timeout=DEADLINE_SECONDS)
            latencies.append(time.perf_counter() - start)

    await asyncio.gather(*(caller() for _ in range(callers)))
    return latencies


def _credentials(calls: Calls) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(Path(calls.authority).read_bytes())


async def take_turns(calls: Calls) -> None:
    """Warm every server up, then measure them in turns."""
    credentials = _credentials(calls)
    channels = {name: grpc.aio.secure_channel(address, credentials) for name, address in calls.servers.items()}
    stubs = {name: TicketServiceStub(channel) for name, channel in channels.items()}
    for stub in stubs.values():
        await call_for(stub, calls.token, calls.callers, calls.warm_up_seconds)
    for _ in range(calls.turns):
        for name, stub in stubs.items():
            start = time.perf_counter()
            latencies = sorted(await call_for(stub, calls.token, calls.callers, calls.turn_seconds))
            rate = len(latencies) / (time.perf_counter() - start)
            p99 = latencies[int(len(latencies) * 0.99)] * 1_000
            print(json.dumps({"server": name, "rate": rate, "p99_ms": p99}), flush=True)
    for channel in channels.values():
        await channel.close()


if __name__ == "__main__":
    uvloop.run(take_turns(Calls(**json.loads(Path(sys.argv[1]).read_text()))))
