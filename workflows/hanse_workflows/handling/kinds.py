"""How each kind of process is handled by hand: found again from its name, asked about, and made to skip a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import grpc

from hanse.errors import ResourceNotFound
from hanse_protos.federation.v1.group_pb2 import SkipOfferRequest
from hanse_protos.federation.v1.group_pb2_grpc import RoutingServiceStub
from hanse_protos.ticket.v1.complaint_pb2 import SkipComplaintStepRequest
from hanse_protos.ticket.v1.complaint_pb2_grpc import ComplaintServiceStub
from hanse_protos.ticket.v1.service_pb2 import SkipClockStepRequest
from hanse_protos.ticket.v1.service_pb2_grpc import TicketServiceStub
from hanse_protos.waiting.v1 import processes_pb2 as pb
from hanse_workflows.calls import CALL_TIMEOUT_SECONDS
from hanse_workflows.open_work import Needed, OpenClocks, OpenComplaints, OpenEngagements
from hanse_workflows.processes import COMPLAINT, ESCALATION, SLA, Process, complaint_of, escalation_of, sla_of


class Kind(Protocol):
    """One kind of process. The methods that call the service raise RpcError."""

    def process_of(self, resource: str) -> Process:
        """Return the process that waits for something about a resource."""

    async def needed(self, process: Process) -> Needed | None:
        """Return from when on the service needs a process; None where it doesn't."""

    async def skip(self, process: Process, request: pb.SkipProcessStepRequest, requester: str) -> str:
        """Have the service skip the step that is due next, and return what that is."""


class SlaKind:
    """The clocks of a ticket: the next step of one is marked as done."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._tickets = TicketServiceStub(channel)
        self._open = OpenClocks(channel)

    def process_of(self, resource: str) -> Process:
        """Return the process of a ticket."""
        return sla_of(resource)

    async def needed(self, process: Process) -> Needed | None:
        """Return when something is due next on the ticket's clocks, unless they stand or have ended."""
        return next(iter(await self._open.needed([process])), None)

    async def skip(self, process: Process, request: pb.SkipProcessStepRequest, requester: str) -> str:
        """Skip the next step of the ticket's clocks."""
        asked = SkipClockStepRequest(
            name=_resource_of(process.id), reason=request.reason, requester=requester, request_id=request.request_id
        )
        return (await self._tickets.SkipClockStep(asked, timeout=CALL_TIMEOUT_SECONDS)).step


class ComplaintKind:
    """The times of a complaint: the next step is marked as done."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._complaints = ComplaintServiceStub(channel)
        self._open = OpenComplaints(channel)

    def process_of(self, resource: str) -> Process:
        """Return the process of a complaint."""
        return complaint_of(resource)

    async def needed(self, process: Process) -> Needed | None:
        """Return when something is due next on the complaint, if anything is."""
        return next(iter(await self._open.needed([process])), None)

    async def skip(self, process: Process, request: pb.SkipProcessStepRequest, requester: str) -> str:
        """Skip the next step of the complaint."""
        asked = SkipComplaintStepRequest(
            name=_resource_of(process.id), reason=request.reason, requester=requester, request_id=request.request_id
        )
        return (await self._complaints.SkipComplaintStep(asked, timeout=CALL_TIMEOUT_SECONDS)).step


class EscalationKind:
    """The search for a provider: the standing offer is ended, and the next candidate asked."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._routing = RoutingServiceStub(channel)
        self._open = OpenEngagements(channel)

    def process_of(self, resource: str) -> Process:
        """Return the process of an engagement."""
        return escalation_of(resource)

    async def needed(self, process: Process) -> Needed | None:
        """Return that the process is needed now, while the engagement looks for a provider."""
        async for page in self._open.pages():
            for needed in page:
                if needed.process.id == process.id:
                    return needed
        return None

    async def skip(self, process: Process, request: pb.SkipProcessStepRequest, requester: str) -> str:
        """End the standing offer. Who wanted it is kept with the process."""
        asked = SkipOfferRequest(name=_resource_of(process.id), request_id=request.request_id)
        offer = (await self._routing.SkipOffer(asked, timeout=CALL_TIMEOUT_SECONDS)).offer
        return f"offer {offer.number} to {offer.provider or offer.desk}"


KINDS: dict[str, Callable[[grpc.aio.Channel], Kind]] = {
    SLA: SlaKind,
    COMPLAINT: ComplaintKind,
    ESCALATION: EscalationKind,
}
"""Every kind of process, by the name of its workflow."""


def split_id(process_id: str) -> tuple[str, str]:
    """Return the kind and the resource of a process's id. Raises ResourceNotFound for a kind that there is not."""
    kind, _, resource = process_id.partition(":")
    if kind not in KINDS:
        raise ResourceNotFound(resource=process_id, hint=f"The kinds of processes are {', '.join(KINDS)}.")
    return kind, resource


def _resource_of(process_id: str) -> str:
    return process_id.partition(":")[2]
