"""A partner complains about how its own tickets were handled, and knows of no other complaints."""

from __future__ import annotations

from typing import Any

from hanse_protos.gateway.v1 import gateway_pb2 as pb
from hanse_protos.ticket.v1 import complaint_pb2 as desk
from tests.integration.hanse_gateway.partner.support import PartnerSystem, Unit, refused, request_id

WRONG, SORRY = "没有人回电话", "很抱歉"


async def file(partner: PartnerSystem, ticket: str) -> pb.PartnerComplaint:
    request = pb.PartnerCreateComplaintRequest(parent=ticket, text=WRONG, request_id=request_id())
    complaint: pb.PartnerComplaint = await partner.tickets.CreateComplaint(request)
    return complaint


async def answered(unit: Unit, partner: PartnerSystem) -> pb.PartnerComplaint:
    """File a complaint, and have the unit's manager answer it."""
    complaint = await file(partner, (await partner.open()).name)
    named: dict[str, Any] = {"name": complaint.name}
    await unit.complaints.AcknowledgeComplaint(desk.AcknowledgeComplaintRequest(**named, request_id=request_id()))
    answer = desk.AnswerComplaintRequest(**named, text=SORRY, outcome=desk.UPHELD, request_id=request_id())
    await unit.complaints.AnswerComplaint(answer)
    return await got(partner, complaint.name)


async def got(partner: PartnerSystem, name: str) -> pb.PartnerComplaint:
    complaint: pb.PartnerComplaint = await partner.tickets.GetComplaint(pb.PartnerGetComplaintRequest(name=name))
    return complaint


async def test_a_partner_files_a_complaint_and_reads_its_answer(unit: Unit) -> None:
    complaint = await answered(unit, await unit.partner())
    assert (complaint.state, complaint.outcome) == (desk.COMPLAINT_ANSWERED, desk.UPHELD)
    assert (complaint.text, complaint.answer) == (WRONG, SORRY)


async def test_an_answer_that_it_rejects_is_looked_into_again(unit: Unit) -> None:
    partner = await unit.partner()
    complaint = await answered(unit, partner)
    request = pb.PartnerRejectComplaintAnswerRequest(name=complaint.name, text="还是没有", request_id=request_id())
    assert (await partner.tickets.RejectComplaintAnswer(request)).state == desk.COMPLAINT_OPEN
    seen = await unit.complaints.GetComplaint(desk.GetComplaintRequest(name=complaint.name))
    assert seen.entries[-1].actor == "partners/acme"


async def test_a_partner_lists_its_own_complaints_only(unit: Unit) -> None:
    acme, apex = await unit.partner("acme"), await unit.partner("apex")
    own = await file(acme, (await acme.open()).name)
    await file(apex, (await apex.open()).name)
    page = await acme.tickets.ListComplaints(pb.PartnerListComplaintsRequest())
    assert [complaint.name for complaint in page.complaints] == [own.name]


async def test_what_is_another_partners_is_not_found(unit: Unit) -> None:
    acme, apex = await unit.partner("acme"), await unit.partner("apex")
    ticket = await acme.open()
    complaint = await file(acme, ticket.name)
    rejection = pb.PartnerRejectComplaintAnswerRequest(name=complaint.name, text="?", request_id=request_id())
    for call in (
        lambda: file(apex, ticket.name),
        lambda: got(apex, complaint.name),
        lambda: apex.tickets.RejectComplaintAnswer(rejection),
        lambda: got(apex, complaint.name.replace("shanghai", "munich")),
    ):
        assert (await refused(call)).reason == "RESOURCE_NOT_FOUND"


async def test_a_complaint_that_is_not_answered_has_no_answer_to_reject(unit: Unit) -> None:
    partner = await unit.partner()
    complaint = await file(partner, (await partner.open()).name)
    request = pb.PartnerRejectComplaintAnswerRequest(name=complaint.name, text="?", request_id=request_id())
    error = await refused(lambda: partner.tickets.RejectComplaintAnswer(request))
    assert error.reason == "ILLEGAL_TRANSITION"
    assert "EscalateComplaint" not in error.hint


async def test_a_partner_that_follows_its_events_hears_that_it_is_answered(unit: Unit) -> None:
    partner = await unit.partner()
    complaint = await answered(unit, partner)
    steps = await partner.follow(4)
    assert [(step.ticket, step.complaint) for step in steps] == [(complaint.ticket, "")] + [
        (complaint.ticket, complaint.name)
    ] * 3
    assert (steps[-1].type, steps[-1].text) == ("ComplaintAnswered", SORRY)
