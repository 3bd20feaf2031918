"""The federation over gRPC, beside the link itself: how it is doing, what headquarters sees, what it decides."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

from hanse.identity import fingerprint_of
from hanse.names import HEADQUARTERS
from hanse.policy.what_if import Judge
from hanse.rpc.call import cause_of
from hanse.rpc.interceptor import Context
from hanse.rpc.server import Served
from hanse.runtime import Runtime
from hanse.work import CommandExecutor
from hanse_federation.headquarters import complaints, escalations, promises, routing
from hanse_federation.headquarters import views as group
from hanse_federation.headquarters.forwarding import forward_decisions
from hanse_federation.headquarters.what_if import compare_policy
from hanse_federation.link import showing as linking
from hanse_federation.membership import register as membership
from hanse_federation.membership import retirement
from hanse_federation.membership import servicer as enrolment_servicer
from hanse_federation.membership.counter import Signing, invitation_digest, inviting
from hanse_federation.membership.invitations import InvitationToken, digest_of, new_secret
from hanse_federation.membership.listing import listing_revocations, publishing
from hanse_federation.recovery import servicer as recovery_servicer
from hanse_federation.recovery.reseeding import Restores
from hanse_protos.federation.v1 import complaints_pb2 as complaints_pb
from hanse_protos.federation.v1 import complaints_pb2_grpc as complaints_rpc
from hanse_protos.federation.v1 import group_pb2 as pb
from hanse_protos.federation.v1 import group_pb2_grpc as rpc
from hanse_protos.federation.v1 import membership_pb2 as members
from hanse_protos.federation.v1 import membership_pb2_grpc as members_rpc
from hanse_protos.federation.v1 import what_if_pb2 as what_if_pb
from hanse_protos.federation.v1 import what_if_pb2_grpc as what_if_rpc
from hanse_protos.ticket.v1 import attainment_pb2
from hanse_protos.ticket.v1.escalation_pb2 import Escalation

WHAT_IF_SERVICE = what_if_pb.DESCRIPTOR.services_by_name["WhatIfService"].full_name
COMPLAINT_SERVICE = complaints_pb.DESCRIPTOR.services_by_name["GroupComplaintService"].full_name
_SERVICES = {**pb.DESCRIPTOR.services_by_name, **members.DESCRIPTOR.services_by_name}


class LinkServicer(rpc.LinkServiceServicer):
    """A unit's view of its link."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def GetLink(self, request: pb.GetLinkRequest, context: Context) -> pb.Link:
        return await self._runtime.database.read(linking.get_link, self._runtime.unit)

    async def ListLinks(self, request: pb.ListLinksRequest, context: Context) -> pb.ListLinksResponse:
        return await self._runtime.database.read(linking.list_links, self._runtime.unit)

    async def ListAlarms(self, request: pb.ListAlarmsRequest, context: Context) -> pb.ListAlarmsResponse:
        return await self._runtime.database.read(linking.list_alarms, request)


class GroupServicer(rpc.GroupServiceServicer):
    """Headquarters' views of the group."""

    def __init__(self, runtime: Runtime) -> None:
        self._database = runtime.database

    async def ListUnits(self, request: pb.ListUnitsRequest, context: Context) -> pb.ListUnitsResponse:
        return await self._database.read(group.list_units, request)

    async def ListGroupTickets(
        self, request: pb.ListGroupTicketsRequest, context: Context
    ) -> pb.ListGroupTicketsResponse:
        return await self._database.read(group.list_group_tickets, request)

    async def ListGroupEngagements(
        self, request: pb.ListGroupEngagementsRequest, context: Context
    ) -> pb.ListGroupEngagementsResponse:
        return await self._database.read(group.list_group_engagements, request)

    async def ListMatchedCharges(
        self, request: pb.ListMatchedChargesRequest, context: Context
    ) -> pb.ListMatchedChargesResponse:
        return await self._database.read(group.list_matched_charges, request)

    async def ListGroupQueueEntries(
        self, request: pb.ListGroupQueueEntriesRequest, context: Context
    ) -> pb.ListGroupQueueEntriesResponse:
        return await self._database.read(promises.list_group_queue_entries, request)

    async def GetGroupAttainment(
        self, request: pb.GetGroupAttainmentRequest, context: Context
    ) -> attainment_pb2.AttainmentReport:
        return await self._database.read(promises.get_group_attainment, request)

    async def GetTrafficReport(self, request: pb.GetTrafficReportRequest, context: Context) -> pb.TrafficReport:
        return await self._database.read(group.get_traffic_report, request)

    async def ListGroupEscalations(
        self, request: pb.ListGroupEscalationsRequest, context: Context
    ) -> pb.ListGroupEscalationsResponse:
        return await self._database.read(escalations.list_group_escalations, request)


class GroupComplaintServicer(complaints_rpc.GroupComplaintServiceServicer):
    """Complaints of the group, and headquarters' answers."""

    def __init__(self, runtime: Runtime, executor: CommandExecutor) -> None:
        self._database = runtime.database
        self._executor = executor

    async def ListGroupComplaints(
        self, request: complaints_pb.ListGroupComplaintsRequest, context: Context
    ) -> complaints_pb.ListGroupComplaintsResponse:
        return await self._database.read(complaints.list_group_complaints, request)

    async def GetGroupComplaint(
        self, request: complaints_pb.GetGroupComplaintRequest, context: Context
    ) -> complaints_pb.GroupComplaint:
        return await self._database.read(complaints.get_group_complaint, request)

    async def GetGroupComplaintAttainment(
        self, request: complaints_pb.GetGroupComplaintAttainmentRequest, context: Context
    ) -> attainment_pb2.ComplaintAttainmentReport:
        return await self._database.read(complaints.get_group_complaint_attainment, request)

    async def AcknowledgeGroupComplaint(
        self, request: complaints_pb.AcknowledgeGroupComplaintRequest, context: Context
    ) -> complaints_pb.GroupComplaint:
        return await self._executor.execute(
            complaints.acknowledge_group_complaint, request, cause_of(request), complaints_pb.GroupComplaint
        )

    async def AnswerGroupComplaint(
        self, request: complaints_pb.AnswerGroupComplaintRequest, context: Context
    ) -> complaints_pb.GroupComplaint:
        return await self._executor.execute(
            complaints.answer_group_complaint, request, cause_of(request), complaints_pb.GroupComplaint
        )


class RoutingServicer(rpc.RoutingServiceServicer):
    """Headquarters' routing decisions."""

    def __init__(self, runtime: Runtime, executor: CommandExecutor) -> None:
        self._database = runtime.database
        self._executor = executor

    async def OfferEngagement(self, request: pb.OfferEngagementRequest, context: Context) -> pb.OfferEngagementResponse:
        return await self._executor.execute(
            routing.offer_engagement, request, cause_of(request), pb.OfferEngagementResponse
        )

    async def ExpireOffer(self, request: pb.ExpireOfferRequest, context: Context) -> pb.ExpireOfferResponse:
        return await self._executor.execute(routing.expire_offer, request, cause_of(request), pb.ExpireOfferResponse)

    async def AcknowledgeGroupEscalation(
        self, request: pb.AcknowledgeGroupEscalationRequest, context: Context
    ) -> Escalation:
        return await self._executor.execute(
            escalations.acknowledge_group_escalation, request, cause_of(request), Escalation
        )

    async def ReassignEngagement(
        self, request: pb.ReassignEngagementRequest, context: Context
    ) -> pb.ReassignEngagementResponse:
        return await self._executor.execute(
            routing.reassign_engagement, request, cause_of(request), pb.ReassignEngagementResponse
        )

    async def SkipOffer(self, request: pb.SkipOfferRequest, context: Context) -> pb.SkipOfferResponse:
        return await self._executor.execute(routing.skip_offer, request, cause_of(request), pb.SkipOfferResponse)

    async def ListOpenEngagements(
        self, request: pb.ListOpenEngagementsRequest, context: Context
    ) -> pb.ListOpenEngagementsResponse:
        return await self._database.read(routing.list_open_engagements, request)


class WhatIfServicer(what_if_rpc.WhatIfServiceServicer):
    """Lays a policy over the group's history."""

    def __init__(self, runtime: Runtime, judge: Judge) -> None:
        self._database = runtime.database
        self._judge = judge

    async def ComparePolicy(
        self, request: what_if_pb.ComparePolicyRequest, context: Context
    ) -> AsyncIterator[what_if_pb.ComparePolicyResponse]:
        async for news in compare_policy(self._database, request, self._judge):
            yield news


class MembershipServicer(members_rpc.MembershipServiceServicer):
    """Headquarters' register of the units."""

    def __init__(self, runtime: Runtime, executor: CommandExecutor) -> None:
        self._settings = runtime.settings
        self._signing = Signing(runtime.settings)
        self._database = runtime.database
        self._executor = executor

    async def InviteUnit(self, request: members.InviteUnitRequest, context: Context) -> members.Invitation:
        authority = self._signing.authority
        secret, lifetime = new_secret(), timedelta(hours=self._settings.invitation_lifetime_hours)
        command = inviting(digest_of(secret), lifetime)
        member = await self._executor.execute(command, request, cause_of(request), members.Member)
        invitation = members.Invitation(member=member)
        # After a repeat the secret is not the one that stands; it was shown, and nobody can show it again.
        if await self._database.read(invitation_digest, member.unit) == digest_of(secret):
            invitation.token = str(
                InvitationToken(
                    unit=member.unit,
                    address=self._settings.enrolment_address or self._settings.serve_address,
                    authority=fingerprint_of(authority.certificate_path.read_bytes()),
                    secret=secret,
                )
            )
        return invitation

    async def AdmitUnit(self, request: members.AdmitUnitRequest, context: Context) -> members.Member:
        return await self._executor.execute(membership.admit_unit, request, cause_of(request), members.Member)

    async def RevokeUnit(self, request: members.RevokeUnitRequest, context: Context) -> members.Member:
        command = listing_revocations(membership.revoke_unit, self._signing)
        return await self._executor.execute(command, request, cause_of(request), members.Member)

    async def RetireUnit(self, request: members.RetireUnitRequest, context: Context) -> members.RetireUnitResponse:
        command = listing_revocations(retirement.retire_unit, self._signing)
        return await self._executor.execute(command, request, cause_of(request), members.RetireUnitResponse)

    async def PublishRevocations(
        self, request: members.PublishRevocationsRequest, context: Context
    ) -> members.PublishRevocationsResponse:
        command = publishing(self._settings.tls.authority.read_bytes())
        return await self._executor.execute(command, request, cause_of(request), members.PublishRevocationsResponse)

    async def ListMembers(self, request: members.ListMembersRequest, context: Context) -> members.ListMembersResponse:
        return await self._database.read(membership.list_members, request)


def served(
    runtime: Runtime, executor: CommandExecutor, restores: Restores | None = None, judge: Judge | None = None
) -> list[Served]:
    """Return what a unit's server serves of the federation; headquarters' serves the group and the routing too.

    `executor` runs the commands of the schema "federation"; what they tell is passed on to the units they concern.
    `restores` says what each service restores from events that come back from headquarters. `judge` is the desk's,
    which headquarters asks what another policy would have made of tickets; without it, that is not served.
    """
    link = Served(_SERVICES["LinkService"].full_name, rpc.add_LinkServiceServicer_to_server, LinkServicer(runtime))
    streams = recovery_servicer.served(runtime, executor, restores or {})
    if runtime.unit != HEADQUARTERS:
        return [link, streams]
    executor.after_append = forward_decisions
    return [
        link,
        streams,
        Served(_SERVICES["GroupService"].full_name, rpc.add_GroupServiceServicer_to_server, GroupServicer(runtime)),
        Served(
            _SERVICES["RoutingService"].full_name,
            rpc.add_RoutingServiceServicer_to_server,
            RoutingServicer(runtime, executor),
        ),
        Served(
            COMPLAINT_SERVICE,
            complaints_rpc.add_GroupComplaintServiceServicer_to_server,
            GroupComplaintServicer(runtime, executor),
        ),
        *_what_if(runtime, judge),
        Served(
            _SERVICES["MembershipService"].full_name,
            members_rpc.add_MembershipServiceServicer_to_server,
            MembershipServicer(runtime, executor),
        ),
        enrolment_servicer.served(runtime, executor),
    ]


def _what_if(runtime: Runtime, judge: Judge | None) -> Iterator[Served]:
    if judge:
        servicer = WhatIfServicer(runtime, judge)
        yield Served(WHAT_IF_SERVICE, what_if_rpc.add_WhatIfServiceServicer_to_server, servicer)
