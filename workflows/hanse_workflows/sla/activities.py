"""What the `sla` process asks of the ticket service."""

from datetime import UTC

import grpc
from temporalio import activity

from hanse_protos.ticket.v1.service_pb2 import EvaluateClocksRequest
from hanse_protos.ticket.v1.service_pb2_grpc import TicketServiceStub
from hanse_workflows.calls import CALL_TIMEOUT_SECONDS, answer_of, request_id
from hanse_workflows.sla.types import EvaluateInput, Evaluation


class SlaActivities:
    """Asks the unit's own ticket service."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._tickets = TicketServiceStub(channel)

    @activity.defn
    async def evaluate_clocks(self, asked: EvaluateInput) -> Evaluation:
        """Have the ticket service do what is due on a ticket's clocks now."""
        request = EvaluateClocksRequest(name=asked.ticket, request_id=request_id())
        answer = await answer_of(self._tickets.EvaluateClocks(request, timeout=CALL_TIMEOUT_SECONDS))
        due_time = answer.next_due_time.ToDatetime(tzinfo=UTC) if answer.HasField("next_due_time") else None
        return Evaluation(ended=answer.ended, next_due_time=due_time, actions=list(answer.actions))
