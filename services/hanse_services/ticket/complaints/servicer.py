"""Complaints over gRPC."""

from typing import Any

from hanse.rpc.call import cause_of
from hanse.rpc.server import Served
from hanse.runtime import Runtime
from hanse.work import Command, CommandExecutor
from hanse_protos.ticket.v1 import complaint_pb2 as pb
from hanse_protos.ticket.v1 import complaint_pb2_grpc as stubs
from hanse_services.ticket.complaints import commands, evaluation, queries
from hanse_services.ticket.partners import check_partner

Context = Any


class ComplaintServicer(stubs.ComplaintServiceServicer):
    """The complaints about the tickets of a unit."""

    def __init__(self, runtime: Runtime, executor: CommandExecutor) -> None:
        self._unit = runtime.unit
        self._database = runtime.database
        self._executor = executor

    async def CreateComplaint(self, request: pb.CreateComplaintRequest, context: Context) -> pb.Complaint:
        return await self._change(commands.create_complaint, request)

    async def GetComplaint(self, request: pb.GetComplaintRequest, context: Context) -> pb.Complaint:
        return await self._database.read(queries.get_complaint, request)

    async def ListComplaints(self, request: pb.ListComplaintsRequest, context: Context) -> pb.ListComplaintsResponse:
        return await self._database.read(queries.list_complaints, self._unit, request)

    async def AcknowledgeComplaint(self, request: pb.AcknowledgeComplaintRequest, context: Context) -> pb.Complaint:
        return await self._change(commands.acknowledge_complaint, request)

    async def NoteComplaint(self, request: pb.NoteComplaintRequest, context: Context) -> pb.Complaint:
        return await self._change(commands.note_complaint, request)

    async def AnswerComplaint(self, request: pb.AnswerComplaintRequest, context: Context) -> pb.Complaint:
        return await self._change(commands.answer_complaint, request)

    async def RejectComplaintAnswer(self, request: pb.RejectComplaintAnswerRequest, context: Context) -> pb.Complaint:
        return await self._change(commands.reject_answer, request)

    async def EscalateComplaint(self, request: pb.EscalateComplaintRequest, context: Context) -> pb.Complaint:
        return await self._change(commands.escalate_complaint, request)

    async def CloseComplaint(self, request: pb.CloseComplaintRequest, context: Context) -> pb.Complaint:
        return await self._change(commands.close_complaint, request)

    async def WithdrawComplaint(self, request: pb.WithdrawComplaintRequest, context: Context) -> pb.Complaint:
        return await self._change(commands.withdraw_complaint, request)

    async def EvaluateComplaint(
        self, request: pb.EvaluateComplaintRequest, context: Context
    ) -> pb.EvaluateComplaintResponse:
        return await self._executor.execute(
            evaluation.evaluate_complaint, request, cause_of(request), pb.EvaluateComplaintResponse
        )

    async def SkipComplaintStep(
        self, request: pb.SkipComplaintStepRequest, context: Context
    ) -> pb.SkipComplaintStepResponse:
        return await self._executor.execute(
            evaluation.skip_step, request, cause_of(request), pb.SkipComplaintStepResponse
        )

    async def ListOpenComplaints(
        self, request: pb.ListOpenComplaintsRequest, context: Context
    ) -> pb.ListOpenComplaintsResponse:
        return await self._database.read(queries.list_open_complaints, request)

    async def _change(self, command: Command[Any, pb.Complaint], request: Any) -> pb.Complaint:
        check_partner(getattr(request, "partner", ""))
        return await self._executor.execute(command, request, cause_of(request), pb.Complaint)


def served(runtime: Runtime, executor: CommandExecutor) -> list[Served]:
    """Return the servicer of complaints; `executor` is the desk's."""
    return [
        Served(
            "hanse_protos.ticket.v1.ComplaintService",
            stubs.add_ComplaintServiceServicer_to_server,
            ComplaintServicer(runtime, executor),
        )
    ]
