"""What the services have open: which processes are needed, from when on, and what is due. One class for each kind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from uuid import uuid4

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from hanse.times import put_time
from hanse_protos.federation.v1.group_pb2 import (
    ExpireOfferRequest,
    ListOpenEngagementsRequest,
    Offer,
    OfferEngagementRequest,
)
from hanse_protos.federation.v1.group_pb2_grpc import RoutingServiceStub
from hanse_protos.ticket.v1.complaint_pb2 import (
    EvaluateComplaintRequest,
    ListOpenComplaintsRequest,
    ListOpenComplaintsResponse,
)
from hanse_protos.ticket.v1.complaint_pb2_grpc import ComplaintServiceStub
from hanse_protos.ticket.v1.service_pb2 import EvaluateClocksRequest, ListOpenClocksRequest, ListOpenClocksResponse
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
    due_time: datetime | None = None
    """When its service has something to do; none where nobody has said."""

    def is_due(self, now: datetime) -> bool:
        """Return whether its service has something to do by now."""
        return self.due_time is not None and self.due_time <= now


class OpenWork(Protocol):
    """What a service has open, by the type of process that it needs. Each method raises RpcError."""

    workflow: str

    def pages(self, due_by: datetime | None = None) -> AsyncIterator[Sequence[Needed]]:
        """Yield all processes that are needed; with a time, at least those on which something is due by then."""

    async def needed(self, processes: Iterable[Process]) -> list[Needed]:
        """Return which of some processes, `PAGE_SIZE` at most, are needed, and from when on."""

    async def do_due(self, process: Process) -> None:
        """Have the service do what is due on a process, each thing once."""


class OpenClocks:
    """The tickets with clocks that run. Nothing is due on those that stand: no process is needed until they go on."""

    workflow = SLA

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._tickets = TicketServiceStub(channel)

    async def pages(self, due_by: datetime | None = None) -> AsyncIterator[Sequence[Needed]]:
        """Yield the processes of all tickets with clocks that run, or of those on which something is due by then."""
        request = ListOpenClocksRequest(page_size=PAGE_SIZE)
        put_time(request.due_by, due_by)
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

    async def do_due(self, process: Process) -> None:
        """Have the steps of a ticket's clocks done that are due."""
        request = EvaluateClocksRequest(name=process.resource, request_id=str(uuid4()))
        await self._tickets.EvaluateClocks(request, timeout=CALL_TIMEOUT_SECONDS)


def _of_clocks(answer: ListOpenClocksResponse) -> list[Needed]:
    return [
        _from(sla_of(clocks.ticket), clocks.next_due_time)
        for clocks in answer.open_clocks
        if clocks.HasField("next_due_time")
    ]


def _from(process: Process, next_due_time: Timestamp) -> Needed:
    """Return a process that has nothing to ask for before something is due."""
    due_time = next_due_time.ToDatetime(tzinfo=UTC)
    return Needed(process, due_time, due_time)


class OpenComplaints:
    """The complaints on which something is due."""

    workflow = COMPLAINT

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._complaints = ComplaintServiceStub(channel)

    async def pages(self, due_by: datetime | None = None) -> AsyncIterator[Sequence[Needed]]:
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

    async def do_due(self, process: Process) -> None:
        """Have the steps of a complaint done that are due."""
        request = EvaluateComplaintRequest(name=process.resource, request_id=str(uuid4()))
        await self._complaints.EvaluateComplaint(request, timeout=CALL_TIMEOUT_SECONDS)


def _of_complaints(answer: ListOpenComplaintsResponse) -> list[Needed]:
    return [_from(complaint_of(each.complaint), each.next_due_time) for each in answer.complaints]


class OpenEngagements:
    """The engagements for which headquarters' routing still looks for a provider."""

    workflow = ESCALATION

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._routing = RoutingServiceStub(channel)

    async def pages(self, due_by: datetime | None = None) -> AsyncIterator[Sequence[Needed]]:
        """Yield the processes of all engagements that look for a provider."""
        request = ListOpenEngagementsRequest(page_size=PAGE_SIZE)
        while True:
            answer = await self._routing.ListOpenEngagements(request, timeout=CALL_TIMEOUT_SECONDS)
            yield [
                Needed(escalation_of(one.engagement), None, one.next_due_time.ToDatetime(tzinfo=UTC))
                for one in answer.open_engagements
            ]
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    async def needed(self, processes: Iterable[Process]) -> list[Needed]:
        """Return them all: an event that awaits an answer is answered at once."""
        return [Needed(process, None) for process in processes]

    async def do_due(self, process: Process) -> None:
        """Have an offer expired whose time is up, and the engagement offered to the next candidate."""
        offer = await self._standing_offer(process)
        if offer and offer.expire_time.ToDatetime(tzinfo=UTC) <= datetime.now(UTC):
            expire = ExpireOfferRequest(name=process.resource, offer=offer.number, request_id=str(uuid4()))
            await self._routing.ExpireOffer(expire, timeout=CALL_TIMEOUT_SECONDS)
            await self._standing_offer(process)

    async def _standing_offer(self, process: Process) -> Offer | None:
        """Return the offer that stands, made now if there was none; nothing where the engagement is settled."""
        request = OfferEngagementRequest(name=process.resource, request_id=str(uuid4()))
        answer = await self._routing.OfferEngagement(request, timeout=CALL_TIMEOUT_SECONDS)
        return answer.offer if answer.HasField("offer") and not answer.settled else None
