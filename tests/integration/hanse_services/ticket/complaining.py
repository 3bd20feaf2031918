"""A desk under a policy that promises something to who complains, and who may do what with complaints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hanse.identity import Role
from hanse.policy import load_yaml
from hanse.policy.store import PolicyStore
from hanse_protos.policy.v1.policy_pb2 import HierarchyStep, Policy
from hanse_protos.ticket.v1 import complaint_pb2 as pb
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1.complaint_pb2_grpc import ComplaintServiceStub
from hanse_services.ticket.model import SCHEMA
from tests.integration.hanse_services.ticket.desk import HEADQUARTERS, POLICY_YAML, Desk, new_request_id
from tests.support import record_of

COMPLAINTS = """
complaints:
  - {id: urgent, when: ticket.priority == "P1", first_level: HEADQUARTERS, acknowledge_within: 1h, answer_within: 4h}
  - {id: every, acknowledge_within: 2h, answer_within: 10h, warn_percents: [50]}
"""
LEAD, MANAGER, TOP = HierarchyStep.DESK_LEAD, HierarchyStep.UNIT_MANAGER, HierarchyStep.HEADQUARTERS
WRONG, SORRY, STILL_WRONG = "Nobody called me back", "We are sorry, and call you today", "Still nobody called"
TEXTS: dict[str, dict[str, Any]] = {
    "NoteComplaint": {"text": "The call was never scheduled"},
    "AnswerComplaint": {"text": SORRY, "outcome": pb.UPHELD},
    "RejectComplaintAnswer": {"text": STILL_WRONG},
    "EscalateComplaint": {"text": "Beyond me"},
}


@dataclass
class Complaints:
    """A desk's complaints, as its manager Wang sees them."""

    desk: Desk

    def stub(self, role: Role = Role.LEAD, actor: str = "agents/wang") -> Any:
        roles = (role, Role.MANAGER) if role is Role.LEAD else (role,)
        return ComplaintServiceStub(self.desk.caller.channel(*roles, actor=actor))

    async def file(self, ticket: str, **fields: Any) -> pb.Complaint:
        request = pb.CreateComplaintRequest(parent=ticket, text=WRONG, request_id=new_request_id(), **fields)
        role, actor = (Role.SYSTEM, "services/gateway") if request.partner else (Role.AGENT, "agents/li")
        complaint: pb.Complaint = await self.stub(role, actor).CreateComplaint(request)
        return complaint

    async def do(self, verb: str, name: str, *, actor: str = "agents/wang", **fields: Any) -> pb.Complaint:
        """Take a step of a complaint, as somebody who leads; `verb` is the rpc's name."""
        values = {"name": name, "request_id": new_request_id()} | TEXTS.get(verb, {}) | fields
        complaint: pb.Complaint = await getattr(self.stub(actor=actor), verb)(getattr(pb, f"{verb}Request")(**values))
        return complaint

    async def answered(self, ticket: str) -> pb.Complaint:
        """File a complaint and have it answered."""
        name = (await self.file(ticket)).name
        await self.do("AcknowledgeComplaint", name)
        return await self.do("AnswerComplaint", name)

    async def close(self, name: str) -> pb.Complaint:
        """Close a complaint, as somebody who did not answer it."""
        return await self.do("CloseComplaint", name, actor="agents/zhao")

    async def get(self, name: str) -> pb.Complaint:
        complaint: pb.Complaint = await self.stub(Role.AGENT).GetComplaint(pb.GetComplaintRequest(name=name))
        return complaint

    async def evaluate(self, name: str) -> pb.EvaluateComplaintResponse:
        request = pb.EvaluateComplaintRequest(name=name, request_id=new_request_id())
        response: pb.EvaluateComplaintResponse = await self.stub(Role.SYSTEM, "services/w").EvaluateComplaint(request)
        return response

    async def skip_step(self, name: str) -> str:
        """Skip the step that is due next, as the waiting service does for the manager, and say which."""
        request = pb.SkipComplaintStepRequest(name=name, reason="Agreed", requester="wang", request_id=new_request_id())
        response: pb.SkipComplaintStepResponse = await self.stub(Role.SYSTEM, "services/w").SkipComplaintStep(request)
        return response.step

    async def open_names(self, *names: str) -> list[str]:
        request = pb.ListOpenComplaintsRequest(names=names)
        answer = await self.stub(Role.SYSTEM, "services/w").ListOpenComplaints(request)
        return [each.complaint for each in answer.complaints]

    async def headquarters_says(self, kind: Any, name: str, **summary: Any) -> bool:
        """Let the desk hear that headquarters took a step, at the time that the desk's clock shows."""
        payload = kind(complaint=pb.ComplaintSummary(name=name, **summary))
        sealed = {"text": SORRY} if kind is told.ComplaintDecided else {}
        record = record_of(payload, name, unit=HEADQUARTERS, occur_time=self.desk.clock.now, sealed=sealed)
        return await self.desk.is_told(record)


async def promising(desk: Desk, rules: str = COMPLAINTS) -> Complaints:
    """Return a desk's complaints, under a policy with rules for them."""
    version = Policy(name="policies/2", version=2, document=load_yaml(POLICY_YAML + rules))
    await desk.runtime.database.write(PolicyStore(SCHEMA).enact, version)
    return Complaints(desk)
