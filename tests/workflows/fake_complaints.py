"""The service of complaints that their processes ask, in memory, behind the real contract and the real gates."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from hanse.errors import HanseError, NothingToSkip, ResourceNotFound
from hanse.rpc.server import Served
from hanse_protos.ticket.v1 import complaint_pb2 as pb
from hanse_protos.ticket.v1.complaint_pb2_grpc import ComplaintServiceServicer, add_ComplaintServiceServicer_to_server
from tests.workflows.fakes import Done, Now, system_now


@dataclass
class FakeComplaint:
    """A complaint with deadlines. When its last one has passed, the next level has it, as long as there is one."""

    deadlines: dict[str, datetime] = field(default_factory=dict)
    levels: list[dict[str, float]] = field(default_factory=list)
    """What each next level has to do, and in how many seconds."""
    done: list[Done] = field(default_factory=list)

    def evaluate(self, now: datetime) -> pb.EvaluateComplaintResponse:
        """Do what is due, each thing once."""
        answer = pb.EvaluateComplaintResponse()
        for what in sorted(self.deadlines, key=self.deadlines.__getitem__):
            if self.deadlines[what] <= now:
                self.done.append(Done(what, self.deadlines.pop(what), now))
                answer.actions.append(what)
        if answer.actions and not self.deadlines and self.levels:
            level = self.levels.pop(0)
            self.deadlines = {what: now + timedelta(seconds=seconds) for what, seconds in level.items()}
        if self.deadlines:
            answer.next_due_time.FromDatetime(min(self.deadlines.values()))
        return answer


class FakeComplaints(ComplaintServiceServicer):
    """The service."""

    def __init__(self, now: Now = system_now) -> None:
        self.now = now
        self.complaints: dict[str, FakeComplaint] = {}
        self.failures: list[HanseError] = []
        self.request_ids: list[str] = []
        self.gate = asyncio.Event()
        """An evaluation that is done holds its answer back until this is set."""
        self.gate.set()
        self._answers: dict[str, pb.EvaluateComplaintResponse] = {}

    async def EvaluateComplaint(self, request: pb.EvaluateComplaintRequest, _context: Any) -> Any:  # noqa: N802
        self.request_ids.append(request.request_id)
        if self.failures:
            raise self.failures.pop(0)
        if request.name not in self.complaints:
            raise ResourceNotFound(resource=request.name)
        if request.request_id not in self._answers:
            self._answers[request.request_id] = self.complaints[request.name].evaluate(await self.now())
        await self.gate.wait()
        return self._answers[request.request_id]

    async def SkipComplaintStep(self, request: pb.SkipComplaintStepRequest, _context: Any) -> Any:  # noqa: N802
        deadlines = self.complaints[request.name].deadlines
        if not deadlines:
            raise NothingToSkip(resource=request.name)
        what = min(deadlines, key=deadlines.__getitem__)
        del deadlines[what]
        return pb.SkipComplaintStepResponse(step=what)

    async def ListOpenComplaints(self, request: pb.ListOpenComplaintsRequest, _context: Any) -> Any:  # noqa: N802
        asked = set(request.names) or self.complaints.keys()
        answer = pb.ListOpenComplaintsResponse()
        for name in sorted(asked & self.complaints.keys()):
            if deadlines := self.complaints[name].deadlines:
                answer.complaints.add(complaint=name).next_due_time.FromDatetime(min(deadlines.values()))
        return answer

    @property
    def served(self) -> Served:
        return Served("hanse_protos.ticket.v1.ComplaintService", add_ComplaintServiceServicer_to_server, self)
