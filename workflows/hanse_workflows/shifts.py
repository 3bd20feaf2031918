"""Shifts: has the desk give out what waits for an agent, when a shift begins and whenever somebody has room again.

This waits without Temporal: a shift begins for a whole unit, not for each of its tickets, and what waits is in the
desk's rows. So there is one question every 45 seconds, of a partial index, and one at the instant at which a shift
begins. Whoever was away at that instant asks on coming back (docs/adr/0021).
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import grpc
import structlog

from hanse_protos.ticket.v1.team_pb2 import AssignWaitingTicketsRequest, GetNextAssignmentRequest
from hanse_protos.ticket.v1.team_pb2_grpc import TeamServiceStub
from hanse_workflows.backoff import Backoff
from hanse_workflows.calls import CALL_TIMEOUT_SECONDS, text_of

INTERVAL_SECONDS = 45.0
"""How long somebody who has room again waits at most for what waits, and what came just before a shift begins."""
SHORTEST_PAUSE_SECONDS = 0.25
"""A shift that has not begun by the desk's clock when it has by ours means that two clocks differ."""

logger = structlog.get_logger(__name__)


class Shifts:
    """Asks the desk of one unit, and has it give out what can be given."""

    def __init__(self, unit: str, channel: grpc.aio.Channel, *, interval_seconds: float = INTERVAL_SECONDS) -> None:
        self._unit = unit
        self._teams = TeamServiceStub(channel)
        self._interval_seconds = interval_seconds

    async def run(self) -> None:
        """Ask until cancelled. While the desk is away, try again."""
        backoff = Backoff()
        while True:
            try:
                pause_seconds = await self.give_out()
                backoff.reset()
            except grpc.RpcError as error:
                pause_seconds = backoff.after_failure()
                logger.warning("nothing is given out", error=text_of(error), seconds=round(pause_seconds, 1))
            await asyncio.sleep(pause_seconds)

    async def give_out(self) -> float:
        """Have all given out that can be now, and return after how many seconds to ask again. Raises RpcError."""
        asked = GetNextAssignmentRequest(parent=self._unit)
        while True:
            answer = await self._teams.GetNextAssignment(asked, timeout=CALL_TIMEOUT_SECONDS)
            if not (answer.due and await self._assign()):
                break
        if not answer.HasField("next_shift_time"):
            return self._interval_seconds
        begins = (answer.next_shift_time.ToDatetime(tzinfo=UTC) - datetime.now(UTC)).total_seconds()
        return min(max(begins, SHORTEST_PAUSE_SECONDS), self._interval_seconds)

    async def _assign(self) -> bool:
        """Have tickets given out, and return whether there were any."""
        request = AssignWaitingTicketsRequest(parent=self._unit, request_id=str(uuid4()))
        answer = await self._teams.AssignWaitingTickets(request, timeout=CALL_TIMEOUT_SECONDS)
        if answer.tickets:
            logger.info("gave out what waited", tickets=len(answer.tickets))
        return bool(answer.tickets)
