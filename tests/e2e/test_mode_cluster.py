"""A cluster: Munich and headquarters serve one queue, and whoever is first gets what Shanghai asks for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from hanse.cli.stage import HQ, MUNICH
from hanse_protos.federation.v1 import group_pb2
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from tests.e2e.scene import STANDARDS, Scene, until

DESK = "displays"

POLICY = f"""{STANDARDS}
desks:
  - id: displays
    title: Displays
    units: [units/munich, units/hq]
    when: ticket.category == "display"
"""


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with Scene.under(POLICY, tmp_path, {}) as scene:
        yield scene


async def test_the_units_of_a_shared_desk_serve_one_queue_and_the_first_gets_the_engagement(scene: Scene) -> None:
    ticket = await scene.open_ticket(scene.wang)
    name = await scene.request_engagement(ticket, "无备件")
    for desk in (scene.huber, scene.hq):
        await scene.is_in(desk, name, pb.OFFERED)
        offered = await scene.engagement(desk, name)
        assert (offered.desk, offered.title, offered.reason) == (DESK, "显示屏黑屏", "无备件")
    await scene.huber.engagements.AcceptEngagement(rpc.AcceptEngagementRequest(name=name, request_id=str(uuid4())))
    await scene.is_in(scene.hq, name, pb.WITHDRAWN)
    await scene.is_in(scene.wang, name, pb.ACCEPTED)
    assert (await scene.engagement(scene.wang, name)).provider == MUNICH
    await scene.solve(scene.huber, name, "Netzteil tauschen.")

    async def settled() -> bool:
        charges = (await scene.hq.group.ListMatchedCharges(group_pb2.ListMatchedChargesRequest())).charges
        return [charge.state for charge in charges] == [group_pb2.MATCHED]

    await until(settled, "headquarters matches the charge")
    [engagement] = await scene.at_headquarters()
    [offer] = engagement.offers
    assert (offer.desk, set(offer.units), offer.provider) == (DESK, {MUNICH, HQ}, MUNICH)
