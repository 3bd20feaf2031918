"""What the `complaint` process asks of the ticket service."""

from datetime import UTC

import grpc
from temporalio import activity

from hanse_protos.ticket.v1.complaint_pb2 import EvaluateComplaintRequest
from hanse_protos.ticket.v1.complaint_pb2_grpc import ComplaintServiceStub
from hanse_workflows.calls import CALL_TIMEOUT_SECONDS, answer_of, request_id
from hanse_workflows.complaint.types import ComplaintEvaluation, EvaluateComplaintInput


class ComplaintActivities:
    """Asks the unit's own ticket service."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._complaints = ComplaintServiceStub(channel)

    @activity.defn
    async def evaluate_complaint(self, asked: EvaluateComplaintInput) -> ComplaintEvaluation:
        """Have the ticket service do what is due on a complaint now."""
        request = EvaluateComplaintRequest(name=asked.complaint, request_id=request_id())
        answer = await answer_of(self._complaints.EvaluateComplaint(request, timeout=CALL_TIMEOUT_SECONDS))
        due_time = answer.next_due_time.ToDatetime(tzinfo=UTC) if answer.HasField("next_due_time") else None
        return ComplaintEvaluation(next_due_time=due_time, actions=list(answer.actions))
