"""The complaints of a unit's desk, as a partner may file and read them."""

import grpc

from hanse.errors import ResourceNotFound
from hanse.names import home_of, ticket_in
from hanse_gateway.partner.desk import DESK_TIMEOUT_SECONDS, desk_request_id
from hanse_gateway.partner.refusals import desk_refusals
from hanse_protos.gateway.v1 import gateway_pb2 as pb
from hanse_protos.ticket.v1 import complaint_pb2 as desk
from hanse_protos.ticket.v1.complaint_pb2_grpc import ComplaintServiceStub


class Complaints:
    """Calls the complaint service on behalf of partners. What is not the partner's own is not found."""

    def __init__(self, channel: grpc.aio.Channel, unit: str) -> None:
        self._unit = unit
        self._complaints = ComplaintServiceStub(channel)

    async def file(self, partner: str, request: pb.PartnerCreateComplaintRequest) -> pb.PartnerComplaint:
        """File a complaint about an own ticket.

        Raises ResourceNotFound, ValidationFailed, RequestIdReused, IllegalTransition, Unavailable.
        """
        self._check_home(request.parent)
        asked = desk.CreateComplaintRequest(
            parent=request.parent,
            text=request.text,
            partner=partner,
            request_id=desk_request_id(partner, request.request_id),
        )
        with desk_refusals():
            return for_partner(await self._complaints.CreateComplaint(asked, timeout=DESK_TIMEOUT_SECONDS))

    async def get(self, partner: str, name: str) -> pb.PartnerComplaint:
        """Return an own complaint. Raises ResourceNotFound, Unavailable."""
        self._check_home(name)
        with desk_refusals():
            complaint: desk.Complaint = await self._complaints.GetComplaint(
                desk.GetComplaintRequest(name=name), timeout=DESK_TIMEOUT_SECONDS
            )
        if complaint.summary.partner != partner:
            raise ResourceNotFound(resource=name)
        return for_partner(complaint)

    async def list(self, partner: str, request: pb.PartnerListComplaintsRequest) -> pb.PartnerListComplaintsResponse:
        """Return a page of own complaints, the newest first. Raises PageTokenInvalid, Unavailable."""
        asked = desk.ListComplaintsRequest(
            parent=f"{self._unit}/tickets/-",
            page_size=request.page_size,
            page_token=request.page_token,
            partner=partner,
        )
        with desk_refusals():
            page = await self._complaints.ListComplaints(asked, timeout=DESK_TIMEOUT_SECONDS)
        return pb.PartnerListComplaintsResponse(
            complaints=map(for_partner, page.complaints), next_page_token=page.next_page_token
        )

    async def reject_answer(self, partner: str, request: pb.PartnerRejectComplaintAnswerRequest) -> pb.PartnerComplaint:
        """Take an own complaint further, since the customer is not content with its answer.

        Raises ResourceNotFound, ValidationFailed, RequestIdReused, IllegalTransition, Unavailable.
        """
        self._check_home(request.name)
        asked = desk.RejectComplaintAnswerRequest(
            name=request.name,
            text=request.text,
            partner=partner,
            request_id=desk_request_id(partner, request.request_id),
        )
        with desk_refusals():
            return for_partner(await self._complaints.RejectComplaintAnswer(asked, timeout=DESK_TIMEOUT_SECONDS))

    def _check_home(self, name: str) -> None:
        """Raise ResourceNotFound for what is another unit's: its partner is a partner of that unit."""
        if home_of(name) != self._unit:
            raise ResourceNotFound(resource=name)


def for_partner(complaint: desk.Complaint) -> pb.PartnerComplaint:
    """Return a complaint as its partner sees it: not who handles it, at which level, nor what was promised."""
    summary = complaint.summary
    return pb.PartnerComplaint(
        name=complaint.name,
        ticket=ticket_in(complaint.name),
        state=summary.state,
        outcome=summary.outcome,
        text=complaint.text,
        answer=complaint.answer,
        open_time=summary.open_time,
        update_time=complaint.update_time,
    )
