"""What the chapters of the story stand on: the people at their desks, and waiting for what should follow."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self
from uuid import uuid4

import grpc

from hanse.cli.connection import settings_of
from hanse.cli.desk import Desk
from hanse.cli.health import UnitHealth
from hanse.cli.patience import eventually
from hanse.errors import HanseError
from hanse.local.group import Group
from hanse.rpc.client import remote_error
from hanse_protos.federation.v1 import group_pb2
from hanse_protos.settlement.v1 import settlement_pb2
from hanse_protos.ticket.v1 import complaint_pb2
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb

SHANGHAI, MUNICH, HQ = "units/shanghai", "units/munich", "units/hq"

PATIENCE_SECONDS = 30.0
"""How long the story waits for what should follow from a step, before it says that it did not."""
LADDER_SECONDS = 60.0
"""How long it waits for the ladder: the demo's targets are seconds, on real timers."""


class StoryFailed(HanseError):  # noqa: N818 - the errors of Hanse say what is wrong.
    """What should have followed from a step of the story did not."""

    reason = "STORY_FAILED"
    message = "The story did not go on."
    hint = "The logs of the units are in the group's folder, units/*/roles.log and reactions.log."


class Narrator(Protocol):
    """Tells the story to somebody."""

    def chapter(self, number: int, title: str) -> None:
        """Begin a chapter."""

    def say(self, text: str) -> None:
        """Say what happened."""

    def waiting(self, text: str) -> Any:
        """Return a context manager for the time in which the story waits for something."""


@dataclass
class StoryResult:
    """What came of it, to be shown or checked."""

    ticket: str = ""
    engagement: str = ""
    charge: str = ""
    article: str = ""
    timeline: list[pb.TimelineEntry] = field(default_factory=list)
    final_ticket: pb.Ticket = field(default_factory=pb.Ticket)
    complaint: complaint_pb2.Complaint = field(default_factory=complaint_pb2.Complaint)
    statements: list[settlement_pb2.Statement] = field(default_factory=list)
    match: group_pb2.MatchedCharge = field(default_factory=group_pb2.MatchedCharge)
    health: list[UnitHealth] = field(default_factory=list)


def request_id() -> str:
    """Return a new request id."""
    return str(uuid4())


class Stage:
    """A group that is running, with somebody at each desk. An async context manager."""

    def __init__(self, group: Group, policy_file: Path, narrator: Narrator) -> None:
        self.group = group
        self.folder = group.folder.path
        self.narrator = narrator
        self.result = StoryResult()
        self._policy_file = policy_file
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Sign everybody in."""
        self.wang = await self._desk(SHANGHAI, "wang")
        self.chen = await self._desk(SHANGHAI, "chen")
        self.zhao = await self._desk(SHANGHAI, "zhao")
        self.huber = await self._desk(MUNICH, "huber")
        self.keller = await self._desk(MUNICH, "keller")
        self.hq = await self._desk(HQ, "lindqvist")
        self.berg = await self._desk(HQ, "berg")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _desk(self, unit: str, person: str) -> Desk:
        return await self._stack.enter_async_context(Desk(settings_of(self.folder, unit), person))

    async def _ticket(self) -> pb.Ticket:
        ticket: pb.Ticket = await self.wang.tickets.GetTicket(rpc.GetTicketRequest(name=self.result.ticket))
        return ticket

    async def _timeline(self) -> list[pb.TimelineEntry]:
        request = rpc.ListTimelineEntriesRequest(parent=self.result.ticket, page_size=1000)
        return list((await self.wang.tickets.ListTimelineEntries(request)).entries)

    async def _unit_status(self, unit: str) -> group_pb2.UnitStatus:
        reply = await self.hq.group.ListUnits(group_pb2.ListUnitsRequest())
        return next((status for status in reply.units if status.unit == unit), group_pb2.UnitStatus())

    async def _until_told(self, kind: str, what: str, patience_seconds: float = PATIENCE_SECONDS) -> pb.TimelineEntry:
        found: list[pb.TimelineEntry] = []

        async def told() -> bool:
            found[:] = [entry for entry in await self._timeline() if entry.type == kind]
            return bool(found)

        await self._eventually(told, what, patience_seconds)
        return found[0]

    async def _eventually(
        self,
        condition: Callable[[], Awaitable[bool]],
        what: str,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        """Wait until a condition holds. Raises StoryFailed where it does not in time."""
        with self.narrator.waiting(what):
            await eventually(condition, what, patience_seconds, StoryFailed)

    async def _refusal(self, call: Awaitable[object]) -> str:
        """Return the reason for which a call is refused; empty where it is not."""
        try:
            await call
        except grpc.aio.AioRpcError as error:
            return remote_error(error).reason
        return ""

    def _require(self, holds: bool, what: str) -> None:
        if not holds:
            raise StoryFailed(f"does not hold: {what}")
