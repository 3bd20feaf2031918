"""A unit's door for its peers: who may bring what, and what is refused with which answer."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import grpc
import pytest

from hanse.errors import PeerForeign
from hanse.log.append import Entry, append
from hanse.log.follow import START, read_after
from hanse.log.sealing import texts_of
from hanse.log.verify import verify
from hanse.names import stream_name, stream_to
from hanse.rpc.client import RemoteError, remote_errors
from hanse.runtime import Runtime
from hanse.schema import ServiceSchema
from hanse_federation.link.dialling import peer_channel
from hanse_federation.link.frames import stream_head
from hanse_federation.model import LOG
from hanse_federation.peers.line import PeerLine
from hanse_federation.peers.outbox import Outbox
from hanse_protos.federation.v1.link_pb2 import RecordBatch
from hanse_protos.federation.v1.peer_pb2 import DeliverPeerRecordsRequest, GetPeerHeadRequest
from hanse_protos.federation.v1.peer_pb2_grpc import PeerServiceStub
from hanse_protos.policy.v1.policy_pb2 import PolicyPublished
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as ticket
from tests.batches import altered, part_of
from tests.integration.hanse_federation.group import EVERYTHING, engagement_summary, eventually
from tests.integration.hanse_federation.group import summary as ticket_summary
from tests.integration.hanse_federation.peers.pair import (
    MUNICH,
    NAME,
    OSLO,
    POLICY,
    SHANGHAI,
    STREAM,
    MakePeer,
    fact,
    head,
    written,
)


async def call(caller: Runtime, address: str, request: Any) -> Any:
    """Call Munich with the certificate of a unit."""
    tls = caller.settings.tls
    files = (tls.authority.read_bytes(), tls.key.read_bytes(), tls.certificate.read_bytes())
    async with grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(*files)) as channel:
        stub: Any = PeerServiceStub(channel)
        with remote_errors():
            if isinstance(request, RecordBatch):
                return await stub.DeliverPeerRecords(DeliverPeerRecordsRequest(batch=request), timeout=30)
            return await stub.GetPeerHead(request, timeout=30)


async def refusal(caller: Runtime, address: str, request: Any) -> str:
    with pytest.raises(RemoteError) as refused:
        await call(caller, address, request)
    return refused.value.reason


async def test_what_a_peer_brings_is_stored_and_may_come_again(
    munich: Runtime, shanghai: Runtime, address: str
) -> None:
    batch = await written(shanghai, fact(), fact())
    answers = [await call(shanghai, address, batch) for _ in range(2)]
    assert answers == [stream_head(STREAM, await head(shanghai))] * 2
    assert await head(munich) == await head(shanghai)
    assert await call(shanghai, address, GetPeerHeadRequest()) == answers[0]


async def test_who_is_no_peer_under_the_policy_is_refused(munich: Runtime, make_peer: MakePeer, address: str) -> None:
    oslo = await make_peer(OSLO, MUNICH)
    assert await refusal(oslo, address, GetPeerHeadRequest()) == "PEER_UNKNOWN"


async def test_a_peer_brings_its_own_stream_to_this_unit_and_no_other(
    munich: Runtime, shanghai: Runtime, address: str
) -> None:
    for stream in (stream_name(SHANGHAI, "ticket"), stream_to("units/hq", MUNICH), stream_to(SHANGHAI, OSLO)):
        assert await refusal(shanghai, address, await written(shanghai, fact(), stream=stream)) == "FRAME_FOREIGN"


@pytest.mark.parametrize(
    "entry",
    [fact(unit="units/hq"), fact(PolicyPublished(policy=POLICY), resource="policies/1")],
    ids=["a fact of headquarters", "a policy"],
)
async def test_a_peer_speaks_for_itself_and_of_the_desk(
    munich: Runtime, shanghai: Runtime, address: str, entry: Entry
) -> None:
    assert await refusal(shanghai, address, await written(shanghai, entry)) == "FRAME_FOREIGN"
    assert (await head(munich)).sequence == 0


async def test_a_gap_is_named(munich: Runtime, shanghai: Runtime, address: str) -> None:
    batch = await written(shanghai, fact(), fact())
    assert await refusal(shanghai, address, part_of(batch, 1, 2)) == "LOG_GAP"


async def test_a_contradiction_puts_the_stream_into_quarantine(
    munich: Runtime, shanghai: Runtime, address: str
) -> None:
    await call(shanghai, address, await written(shanghai, fact()))
    batch = altered(await written(shanghai, fact()), 1, hash=bytes(32))
    assert await refusal(shanghai, address, batch) == "LOG_FORK"
    assert await refusal(shanghai, address, await written(shanghai, fact())) == "LOG_QUARANTINED"


# The other end.


async def to_munich(shanghai: Runtime, *payloads: Any) -> list[tuple[str, dict[str, str]]]:
    """Let Shanghai's desk tell something; return what of it goes to Munich, with the texts."""
    entries = [fact(payload) for payload in payloads]
    await shanghai.database.write(append, ServiceSchema("ticket").log, stream_name(SHANGHAI, "ticket"), entries)
    await shanghai.database.write(Outbox(shanghai).take_batch)
    records = await shanghai.database.read(read_after, LOG, STREAM, START, EVERYTHING)
    assert not (await shanghai.database.read(verify, LOG, STREAM)).problem
    return [(record.type.rsplit(".", 1)[-1], texts_of(record.sealed)) for record in records]


def on_offer(payload_type: Any, *, peer: bool = True, provider: str = MUNICH) -> Any:
    return payload_type(engagement=engagement_summary(NAME, provider=provider, offer=10_001, peer=peer))


async def test_the_request_goes_along_with_the_offer_and_with_what_the_policy_grants(shanghai: Runtime) -> None:
    requested = told.EngagementRequested(engagement=engagement_summary(NAME))
    assert await to_munich(shanghai, requested, on_offer(told.EngagementOffered)) == [
        ("EngagementRequested", {"title": "Dark"}),
        ("EngagementOffered", {}),
    ]


async def test_what_headquarters_has_offered_goes_over_headquarters(shanghai: Runtime) -> None:
    assert await to_munich(shanghai, on_offer(told.EngagementConfirmed, peer=False)) == []


async def test_what_concerns_somebody_who_is_no_peer_goes_over_headquarters(shanghai: Runtime) -> None:
    assert await to_munich(shanghai, on_offer(told.EngagementConfirmed, provider=OSLO)) == []


async def test_a_comment_goes_to_the_peer_that_holds_the_ticket(shanghai: Runtime) -> None:
    name = f"{SHANGHAI}/tickets/t1"
    at_home = told.TicketCommented(ticket=ticket_summary(name, state=ticket.IN_PROGRESS))
    at_munich = told.TicketCommented(ticket=ticket_summary(name, holder=MUNICH))
    assert await to_munich(shanghai, at_home, at_munich) == [("TicketCommented", {})]


async def test_a_line_brings_everything_and_knows_whether_it_can(munich: Runtime, shanghai: Runtime) -> None:
    await written(shanghai, fact(), fact())
    line = PeerLine(shanghai, MUNICH, probe_seconds=0.1, call_seconds=10.0, retry_seconds=0.1)
    running = asyncio.create_task(line.run())

    async def arrived() -> bool:
        return line.reachable and await head(munich) == await head(shanghai)

    await eventually(arrived)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_nothing_is_said_to_who_is_not_the_peer(munich: Runtime, make_peer: MakePeer) -> None:
    # Munich listens where Shanghai expects Oslo.
    shanghai = await make_peer(SHANGHAI, OSLO)
    with pytest.raises(PeerForeign):
        await peer_channel(shanghai.settings, OSLO, timeout_seconds=30)


async def test_a_peer_that_does_not_listen_is_out_of_reach(shanghai: Runtime) -> None:
    line = PeerLine(shanghai, MUNICH, probe_seconds=0.1, call_seconds=0.3, retry_seconds=0.1)
    running = asyncio.create_task(line.run())
    await asyncio.wait([running], timeout=1.0)
    assert (line.reachable, running.done()) == (False, False)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
