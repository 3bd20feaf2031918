"""Two peers, cut off from headquarters, exchange an engagement directly; afterwards headquarters has it all, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from hanse.cli.health import gather
from hanse.cli.stage import MUNICH, SHANGHAI
from hanse.config import Mode
from hanse_protos.federation.v1 import group_pb2
from hanse_protos.settlement.v1 import settlement_pb2
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from tests.e2e.scene import STANDARDS, Scene, until

SOLUTION = "Netzteil tauschen."

POLICY = f"""{STANDARDS}
peers:
  - units: [units/shanghai, units/munich]
"""


class Peers(Scene):
    """A group whose subsidiaries are peers."""

    async def cut_off(self) -> None:
        """Cut both lines to headquarters, and wait until both units have noticed."""
        for unit in (SHANGHAI, MUNICH):
            self.group.lines[unit].cut()

        async def noticed() -> bool:
            links = [await desk.link.GetLink(group_pb2.GetLinkRequest()) for desk in (self.wang, self.huber)]
            return not any(link.connected for link in links)

        await until(noticed, "both units have lost headquarters")

    def heal(self) -> None:
        for unit in (SHANGHAI, MUNICH):
            self.group.lines[unit].heal()

    async def steps(self, ticket: str) -> Counter[str]:
        request = rpc.ListTimelineEntriesRequest(parent=ticket, page_size=1000)
        return Counter(entry.type for entry in (await self.wang.tickets.ListTimelineEntries(request)).entries)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Peers]:
    async with Peers.under(POLICY, tmp_path, dict.fromkeys((SHANGHAI, MUNICH), Mode.PEER)) as scene:
        yield scene


async def exchange(scene: Peers, ticket: str) -> str:
    """Let Munich solve a ticket of Shanghai's without headquarters; return the engagement."""
    name = await scene.request_engagement(ticket, "无备件")
    await scene.is_in(scene.huber, name, pb.OFFERED)
    offered = await scene.engagement(scene.huber, name)
    assert (offered.peer, offered.provider, offered.title, offered.reason) == (True, MUNICH, "显示屏黑屏", "无备件")
    await scene.huber.engagements.AcceptEngagement(rpc.AcceptEngagementRequest(name=name, request_id=str(uuid4())))
    await scene.is_in(scene.wang, name, pb.ACCEPTED)
    assert (await scene.wang.tickets.GetTicket(rpc.GetTicketRequest(name=ticket))).holder == MUNICH
    await scene.solve(scene.huber, name, SOLUTION)
    return name


async def posted(scene: Peers) -> None:
    """Wait until both units have posted their leg of the charge, each in its own ledger."""

    async def both() -> bool:
        statements = [
            await desk.settlement.GetStatement(settlement_pb2.GetStatementRequest(parent=desk.unit))
            for desk in (scene.wang, scene.huber)
        ]
        return [(s.lines[0].payable.units, s.lines[0].receivable.units) for s in statements if s.lines] == [
            (120, 0),
            (0, 120),
        ] and all(s.balanced for s in statements)

    await until(both, "both legs of the charge are posted")


async def test_peers_exchange_an_engagement_directly_and_report_it_afterwards(scene: Peers) -> None:
    await scene.cut_off()
    ticket = await scene.open_ticket(scene.wang)
    name = await exchange(scene, ticket)
    await posted(scene)
    before = await scene.steps(ticket)
    assert await scene.at_headquarters() == []
    scene.heal()

    async def settled() -> bool:
        charges = (await scene.hq.group.ListMatchedCharges(group_pb2.ListMatchedChargesRequest())).charges
        return [charge.state for charge in charges] == [group_pb2.MATCHED]

    await until(settled, "headquarters matches the charge")

    async def green() -> bool:
        return all(health.green for health in await gather(scene.folder, verify=True))

    await until(green, "everything has arrived, and every chain verifies at both ends")
    [engagement] = await scene.at_headquarters()
    assert (engagement.engagement.name, engagement.engagement.state) == (name, pb.CONFIRMED)
    assert [(offer.provider, offer.peer, offer.state) for offer in engagement.offers] == [
        (MUNICH, True, group_pb2.ACCEPTED)
    ]
    # What headquarters passes on is known here already: no step of the ticket is there twice.
    assert await scene.steps(ticket) == before
    assert [before[step] for step in ("EngagementOffered", "EngagementAccepted", "EngagementDelivered")] == [1, 1, 1]
    clocks = (await scene.wang.tickets.GetTicket(rpc.GetTicketRequest(name=ticket))).clocks
    resolution = next(clock for clock in clocks if clock.kind == pb.Clock.RESOLUTION)
    assert [segment.unit for segment in resolution.segments] == [SHANGHAI, MUNICH, SHANGHAI]


async def test_with_headquarters_in_reach_nothing_is_offered_directly(scene: Peers) -> None:
    ticket = await scene.open_ticket(scene.wang)
    name = await scene.request_engagement(ticket, "无备件")
    await scene.is_in(scene.wang, name, pb.OFFERED)
    assert not (await scene.engagement(scene.wang, name)).peer
