"""Two peers, Shanghai and Munich, and what Shanghai writes for Munich."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from hanse.log.append import EMPTY_HEAD, Entry, Head, append
from hanse.log.events import Origin, new_event
from hanse.log.follow import read_head
from hanse.names import stream_to
from hanse.policy import load_yaml
from hanse.runtime import Runtime
from hanse_federation.link.sending import Source, everything, read_batches
from hanse_federation.model import LOG
from hanse_federation.peers.line import PeerLine
from hanse_protos.federation.v1.link_pb2 import RecordBatch
from hanse_protos.policy.v1.policy_pb2 import Policy
from hanse_protos.ticket.v1 import events_pb2 as told
from tests.integration.hanse_federation.group import end, engagement_summary
from tests.support import OCCUR_TIME, POLICY_YAML

SHANGHAI, MUNICH, OSLO = "units/shanghai", "units/munich", "units/oslo"
STREAM = stream_to(SHANGHAI, MUNICH)
NAME = f"{SHANGHAI}/tickets/t1/engagements/e1"
RULES = """
peers:
  - units: [units/shanghai, units/munich]
sharing:
  - {events: [EngagementRequested], fields: [title], audience: COUNTERPART}
"""
POLICY = Policy(name="policies/1", version=1, document=load_yaml(POLICY_YAML + RULES))
MakePeer = Callable[..., Awaitable[Runtime]]


def fact(payload: Any = None, *, unit: str = SHANGHAI, resource: str = NAME) -> Entry:
    """Return what Shanghai, or somebody else, has written."""
    payload = payload or told.EngagementRequested(engagement=engagement_summary(NAME))
    return new_event(Origin(unit, f"{unit}/agents/li"), resource, payload, OCCUR_TIME, {"title": "Dark", "reason": "?"})


async def written(shanghai: Runtime, *entries: Entry, stream: str = STREAM) -> RecordBatch:
    """Append to a stream of Shanghai's, and return all of it as a batch."""
    await shanghai.database.write(append, LOG, stream, entries)
    reading = await shanghai.database.read(read_batches, Source(LOG, stream), EMPTY_HEAD, 100, everything)
    return reading.batches[0]


async def head(runtime: Runtime) -> Head:
    return await runtime.database.read(read_head, LOG, STREAM)


@asynccontextmanager
async def running(line: PeerLine) -> AsyncIterator[PeerLine]:
    """Run a line."""
    task = asyncio.create_task(line.run())
    try:
        yield line
    finally:
        await end(task)
