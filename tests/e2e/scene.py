"""A small group on one machine, with somebody at each desk: what the tests of the modes play in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Self
from uuid import uuid4

import grpc

from hanse.cli.connection import settings_of
from hanse.cli.desk import Desk
from hanse.cli.patience import eventually
from hanse.cli.schemas import migrate_all
from hanse.cli.stage import HQ, MUNICH, SHANGHAI, StoryFailed
from hanse.config import Mode
from hanse.local.group import Group
from hanse.policy import load_yaml
from hanse_protos.federation.v1 import group_pb2
from hanse_protos.policy.v1 import policy_pb2
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb

PATIENCE_SECONDS = 90.0

STANDARDS = """
title: Standards of three units
categories:
  - {id: display, titles: {en: Displays}, skill: display}
calendars:
  - {id: always, time_zone: Etc/UTC, shifts: [{days: MON-SUN, start: "00:00", end: "24:00"}]}
units:
  - {unit: units/hq, title: Headquarters, calendar: always, languages: [en], skills: [display]}
  - {unit: units/munich, title: Munich, calendar: always, languages: [de], skills: [display]}
  - {unit: units/shanghai, title: Shanghai, calendar: always, languages: [zh]}
targets:
  - {id: every, response: 1h, resolution: 8h}
routing:
  eligible: ticket.skill in provider.skills
  score: 0 - load
  offer_timeout: 15m
  rounds: 1
  final_owner: units/hq
sharing:
  - {events: [EngagementRequested, EngagementDelivered, EngagementWorkNoted], fields: ["*"], audience: COUNTERPART}
rates:
  - {id: every, amount: 120 EUR}
"""
"""What the policies of the modes have in common; each adds what makes its mode."""


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait until a condition holds."""
    await eventually(condition, what, PATIENCE_SECONDS, StoryFailed)


async def publish(desk: Desk, policy: str) -> policy_pb2.Policy:
    """Publish a policy that is written as YAML."""
    request = policy_pb2.PublishPolicyRequest(document=load_yaml(policy), request_id=str(uuid4()))
    return await desk.policies.PublishPolicy(request)


async def open_ticket(desk: Desk, *, title: str, language: str) -> str:
    """Open a ticket of a desk's unit as soon as the desk has been told the policy; return its name."""
    asked = pb.Ticket(title=title, category="display", priority=pb.P2, language=language)
    request = rpc.CreateTicketRequest(parent=desk.unit, ticket=asked, request_id=str(uuid4()))
    name = ""

    async def opened() -> bool:
        nonlocal name
        try:
            name = (await desk.tickets.CreateTicket(request)).name
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.FAILED_PRECONDITION:
                return False
            raise
        return True

    await until(opened, f"the desk of {desk.unit} has the policy")
    return name


class Scene:
    """A group of headquarters, Shanghai and Munich, with somebody at each desk."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.folder = group.folder.path

    @classmethod
    @asynccontextmanager
    async def under(cls, policy: str, folder: Path, modes: Mapping[str, Mode]) -> AsyncIterator[Self]:
        """Start the group in these modes, and have it work under a policy."""
        group = Group(folder, [SHANGHAI, MUNICH], migrate_all, lambda _text: None, modes)
        async with group, AsyncExitStack() as stack:
            scene = cls(group)
            await scene.sign_in(stack)
            await scene.publish(policy)
            yield scene

    async def sign_in(self, stack: AsyncExitStack) -> None:
        self.hq, self.wang, self.huber = [
            await stack.enter_async_context(Desk(settings_of(self.folder, unit), person))
            for unit, person in ((HQ, "lindqvist"), (SHANGHAI, "wang"), (MUNICH, "huber"))
        ]

    async def publish(self, policy: str) -> None:
        await publish(self.hq, policy)

        async def acknowledged() -> bool:
            reply = await self.hq.group.ListUnits(group_pb2.ListUnitsRequest())
            return {unit.unit for unit in reply.units if unit.policy_version} == {HQ, SHANGHAI, MUNICH}

        await until(acknowledged, "every unit acknowledges the policy")
        # The desk of Munich has it too once it can open a ticket.
        await self.open_ticket(self.huber)

    async def open_ticket(self, desk: Desk) -> str:
        return await open_ticket(desk, title="显示屏黑屏", language="zh")

    async def request_engagement(self, ticket: str, reason: str) -> str:
        """Let Shanghai ask for a provider; return the engagement's name."""
        request = rpc.RequestEngagementRequest(parent=ticket, reason=reason, request_id=str(uuid4()))
        return (await self.wang.engagements.RequestEngagement(request)).name

    async def engagement(self, desk: Desk, name: str) -> pb.Engagement:
        try:
            return await desk.engagements.GetEngagement(rpc.GetEngagementRequest(name=name))
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return pb.Engagement()
            raise

    async def is_in(self, desk: Desk, name: str, state: pb.EngagementState.ValueType) -> None:
        async def reached() -> bool:
            return (await self.engagement(desk, name)).state == state

        await until(reached, f"{name} is {pb.EngagementState.Name(state)} in {desk.unit}")

    async def solve(self, desk: Desk, name: str, solution: str) -> None:
        """Let a provider deliver a solution, and Shanghai confirm it."""
        delivery = rpc.DeliverEngagementRequest(name=name, solution=solution, request_id=str(uuid4()))
        await desk.engagements.DeliverEngagement(delivery)
        await self.is_in(self.wang, name, pb.DELIVERED)
        assert (await self.engagement(self.wang, name)).solution == solution
        await self.wang.engagements.ConfirmEngagement(rpc.ConfirmEngagementRequest(name=name, request_id=str(uuid4())))
        await self.is_in(desk, name, pb.CONFIRMED)

    async def at_headquarters(self) -> list[group_pb2.GroupEngagement]:
        request = group_pb2.ListGroupEngagementsRequest(parent="units/-")
        return list((await self.hq.group.ListGroupEngagements(request)).engagements)
