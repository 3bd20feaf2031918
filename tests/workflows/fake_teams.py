"""The service of the teams, in memory, behind the real contract and the real gates."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from hanse.errors import HanseError
from hanse.rpc.server import Served
from hanse_protos.ticket.v1 import team_pb2 as pb
from hanse_protos.ticket.v1.team_pb2_grpc import TeamServiceServicer, add_TeamServiceServicer_to_server
from tests.workflows.fakes import Done, Now, system_now

NIGHT = timedelta(hours=16)
PAGE_SIZE = 2
"""How many tickets are given out at a time: so few that one shift needs more than one request."""


class FakeTeams(TeamServiceServicer):
    """The service: a team with one shift a day, to which tickets come that nobody was there for."""

    def __init__(self, now: Now = system_now) -> None:
        self.now = now
        self.shift_time: datetime | None = None
        """When the shift begins; nobody is ever there without."""
        self.waiting: list[str] = []
        self.given: list[Done] = []
        self.questions = 0
        self.failures: list[HanseError] = []

    async def GetNextAssignment(self, _request: pb.GetNextAssignmentRequest, _context: Any) -> Any:  # noqa: N802
        self.questions += 1
        if self.failures:
            raise self.failures.pop(0)
        answer = pb.NextAssignment()
        if self.shift_time is not None:
            has_begun = self.shift_time <= await self.now()
            answer.due = has_begun and bool(self.waiting)
            answer.next_shift_time.FromDatetime(self.shift_time + NIGHT if has_begun else self.shift_time)
        return answer

    async def AssignWaitingTickets(self, _request: pb.AssignWaitingTicketsRequest, _context: Any) -> Any:  # noqa: N802
        now = await self.now()
        if self.shift_time is None or now < self.shift_time:
            return pb.AssignWaitingTicketsResponse()
        tickets, self.waiting = self.waiting[:PAGE_SIZE], self.waiting[PAGE_SIZE:]
        self.given += [Done(ticket, self.shift_time, now) for ticket in tickets]
        return pb.AssignWaitingTicketsResponse(tickets=tickets)

    @property
    def served(self) -> Served:
        return Served("hanse_protos.ticket.v1.TeamService", add_TeamServiceServicer_to_server, self)
