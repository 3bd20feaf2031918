"""What the services have open: which processes are needed, and from when on. One class for each kind of process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import grpc

from hanse_protos.federation.v1.group_pb2 import ListOpenEngagementsRequest
from hanse_protos.federation.v1.group_pb2_grpc import RoutingServiceStub
from hanse_protos.ticket.v1.complaint_pb2 import ListOpenComplaintsRequest, ListOpenComplaintsResponse
from hanse_protos.ticket.v1.complaint_pb2_grpc import ComplaintServiceStub
from hanse_protos.ticket.v1.service_pb2 import ListOpenClocksRequest, ListOpenClocksResponse
from hanse_protos.ticket.v1.service_pb2_grpc import TicketServiceStub
from hanse_workflows.calls import CALL_TIMEOUT_SECONDS
from hanse_workflows.complaint.types import ComplaintInput
from hanse_workflows.processes import COMPLAINT, ESCALATION, SLA, Process, complaint_of, escalation_of, sla_of
from hanse_workflows.sla.types import SlaInput

PAGE_SIZE = 500
"""How many a service is asked for at a time, and the most names that `ListOpenClocks` takes."""


@dataclass(frozen=True, slots=True)
class Needed:
    """A process that is needed."""

    process: Process
    begin_time: datetime | None
    """When it has something to ask for; none where that is now."""


class OpenWork(Protocol):
    """What a service has open, by the type of process that it needs. Each method raises RpcError."""

    workflow: str

    def pages(self) -> AsyncIterator[Sequence[Needed]]:
        """Yield all processes that are needed."""

    async def needed(self, processes: Iterable[Process]) -> list[Needed]:
        """Return which of some processes, `PAGE_SIZE` at most, are needed, and from when on."""


class OpenClocks:
    """The tickets with clocks that run. Nothing is due on those that stand: no process is needed until they go on."""

    workflow = SLA

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._tickets = TicketServiceStub(channel)

    async def pages(self) -> AsyncIterator[Sequence[Needed]]:
        """Yield the processes of all tickets with clocks that run."""
        request = ListOpenClocksRequest(page_size=PAGE_SIZE)
        while True:
            answer = await self._tickets.ListOpenClocks(request, timeout=CALL_TIMEOUT_SECONDS)
            yield _of_clocks(answer)
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    async def needed(self, processes: Iterable[Process]) -> list[Needed]:
        """Return the processes of those tickets whose clocks run."""
        names = [process.input.ticket for process in processes if isinstance(process.input, SlaInput)]
        if not names:
            return []
        request = ListOpenClocksRequest(page_size=PAGE_SIZE, names=names)
        return _of_clocks(await self._tickets.ListOpenClocks(request, timeout=CALL_TIMEOUT_SECONDS))


def _of_clocks(answer: ListOpenClocksResponse) -> list[Needed]:
    return [
        Needed(sla_of(clocks.ticket), clocks.next_due_time.ToDatetime(tzinfo=UTC))
        for clocks in answer.open_clocks
        if clocks.HasField("next_due_time")
    ]


class OpenComplaints:
    """The complaints on which something is due."""

    workflow = COMPLAINT

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._complaints = ComplaintServiceStub(channel)

    async def pages(self) -> AsyncIterator[Sequence[Needed]]:
        """Yield the processes of all of them."""
        request = ListOpenComplaintsRequest(page_size=PAGE_SIZE)
        while True:
            answer = await self._complaints.ListOpenComplaints(request, timeout=CALL_TIMEOUT_SECONDS)
            yield _of_complaints(answer)
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    async def needed(self, processes: Iterable[Process]) -> list[Needed]:
        """Return the processes of those complaints on which something is due."""
        names = [process.input.complaint for process in processes if isinstance(process.input, ComplaintInput)]
        if not names:
            return []
        request = ListOpenComplaintsRequest(page_size=PAGE_SIZE, names=names)
        return _of_complaints(await self._complaints.ListOpenComplaints(request, timeout=CALL_TIMEOUT_SECONDS))


def _of_complaints(answer: ListOpenComplaintsResponse) -> list[Needed]:
    return [
        Needed(complaint_of(each.complaint), each.next_due_time.ToDatetime(tzinfo=UTC)) for each in answer.complaints
    ]


class OpenEngagements:
    """The engagements for which headquarters' routing still looks for a provider."""

    workflow = ESCALATION

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._routing = RoutingServiceStub(channel)

    async def pages(self) -> AsyncIterator[Sequence[Needed]]:
        """Yield the processes of all engagements that look for a provider."""
        request = ListOpenEngagementsRequest(page_size=PAGE_SIZE)
        while True:
            answer = await self._routing.ListOpenEngagements(request, timeout=CALL_TIMEOUT_SECONDS)
            yield [Needed(escalation_of(engagement), None) for engagement in answer.engagements]
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    async def needed(self, processes: Iterable[Process]) -> list[Needed]:
        """Return them all: an event that awaits an answer is answered at once."""
        return [Needed(process, None) for process in processes]
