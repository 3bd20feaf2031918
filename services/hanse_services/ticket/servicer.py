"""gRPC in, domain out."""

from typing import Any

from hanse.names import stream_name
from hanse.rpc.call import cause_of, current_caller
from hanse.rpc.server import Served
from hanse.runtime import Runtime
from hanse.work import Command, CommandExecutor
from hanse_protos.ticket.v1 import (
    attainment_pb2,
    attainment_pb2_grpc,
    queue_pb2,
    queue_pb2_grpc,
    repair_pb2,
    repair_pb2_grpc,
)
from hanse_protos.ticket.v1 import escalation_pb2 as escalation_rpc
from hanse_protos.ticket.v1 import escalation_pb2_grpc as escalation_stubs
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import service_pb2_grpc as stubs
from hanse_protos.ticket.v1 import team_pb2 as team_rpc
from hanse_protos.ticket.v1 import team_pb2_grpc as team_stubs
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket import (
    commands,
    customers,
    engagements,
    erasing,
    hierarchy,
    imports,
    peers,
    reclassifying,
    shifts,
    staffing,
    suspending,
)
from hanse_services.ticket.clocks import attainment, bulk_repair, correcting, evaluation, explaining, repair, skipping
from hanse_services.ticket.clocks.queue import Queue
from hanse_services.ticket.complaints import servicer as complaints
from hanse_services.ticket.complaints.attainment import get_complaint_attainment
from hanse_services.ticket.partner_events import list_partner_events
from hanse_services.ticket.partners import check_partner
from hanse_services.ticket.queries import TicketQueries, list_escalations, list_teams

Context = Any


class _Desk:
    """What both servicers stand on."""

    def __init__(self, runtime: Runtime, executor: CommandExecutor) -> None:
        self._unit = runtime.unit
        self._database = runtime.database
        self._executor = executor
        self._queries = TicketQueries(runtime.unit, executor.policies, executor.now)

    async def _change(self, command: Command[Any, pb.Ticket], request: Any) -> pb.Ticket:
        return await self._executor.execute(command, request, cause_of(request), pb.Ticket)

    async def _engage(self, command: Command[Any, pb.Engagement], request: Any) -> pb.Engagement:
        return await self._executor.execute(command, request, cause_of(request), pb.Engagement)


class TicketServicer(_Desk, stubs.TicketServiceServicer):
    """The tickets of a unit."""

    async def CreateTicket(self, request: rpc.CreateTicketRequest, context: Context) -> pb.Ticket:
        check_partner(request.partner)
        return await self._change(commands.create_ticket, request)

    async def GetTicket(self, request: rpc.GetTicketRequest, context: Context) -> pb.Ticket:
        return await self._database.read(self._queries.get_ticket, request)

    async def GetGovernance(self, request: rpc.GetGovernanceRequest, context: Context) -> rpc.Governance:
        return await self._database.read(self._queries.get_governance, request)

    async def ListTickets(self, request: rpc.ListTicketsRequest, context: Context) -> rpc.ListTicketsResponse:
        return await self._database.read(self._queries.list_tickets, request)

    async def CommentTicket(self, request: rpc.CommentTicketRequest, context: Context) -> pb.Ticket:
        check_partner(request.partner)
        return await self._change(commands.comment_ticket, request)

    async def AssignTicket(self, request: rpc.AssignTicketRequest, context: Context) -> pb.Ticket:
        return await self._change(commands.assign_ticket, request)

    async def EscalateTicket(self, request: rpc.EscalateTicketRequest, context: Context) -> pb.Ticket:
        return await self._change(commands.escalate_ticket, request)

    async def ReclassifyTicket(self, request: rpc.ReclassifyTicketRequest, context: Context) -> pb.Ticket:
        return await self._change(reclassifying.reclassify_ticket, request)

    async def PauseTicket(self, request: rpc.PauseTicketRequest, context: Context) -> pb.Ticket:
        return await self._change(commands.pause_ticket, request)

    async def SuspendTicket(self, request: rpc.SuspendTicketRequest, context: Context) -> pb.Ticket:
        return await self._change(suspending.suspend_ticket, request)

    async def ResumeTicket(self, request: rpc.ResumeTicketRequest, context: Context) -> pb.Ticket:
        return await self._change(commands.resume_ticket, request)

    async def ResolveTicket(self, request: rpc.ResolveTicketRequest, context: Context) -> pb.Ticket:
        return await self._change(commands.resolve_ticket, request)

    async def ReopenTicket(self, request: rpc.ReopenTicketRequest, context: Context) -> pb.Ticket:
        return await self._change(commands.reopen_ticket, request)

    async def CloseTicket(self, request: rpc.CloseTicketRequest, context: Context) -> pb.Ticket:
        return await self._change(commands.close_ticket, request)

    async def ListTimelineEntries(
        self, request: rpc.ListTimelineEntriesRequest, context: Context
    ) -> rpc.ListTimelineEntriesResponse:
        return await self._database.read(self._queries.list_timeline_entries, request)

    async def ListPartnerEvents(
        self, request: rpc.ListPartnerEventsRequest, context: Context
    ) -> rpc.ListPartnerEventsResponse:
        stream = stream_name(self._unit, self._executor.schema.name)
        return await self._database.read(list_partner_events, stream, request)

    async def EvaluateClocks(self, request: rpc.EvaluateClocksRequest, context: Context) -> rpc.EvaluateClocksResponse:
        cause = cause_of(request)
        return await self._executor.execute(evaluation.evaluate_clocks, request, cause, rpc.EvaluateClocksResponse)

    async def SkipClockStep(self, request: rpc.SkipClockStepRequest, context: Context) -> rpc.SkipClockStepResponse:
        cause = cause_of(request)
        return await self._executor.execute(skipping.skip_clock_step, request, cause, rpc.SkipClockStepResponse)

    async def ListOpenClocks(self, request: rpc.ListOpenClocksRequest, context: Context) -> rpc.ListOpenClocksResponse:
        return await self._database.read(self._queries.list_open_clocks, request)

    async def ImportTickets(self, request: rpc.ImportTicketsRequest, context: Context) -> rpc.ImportTicketsResponse:
        cause = cause_of(request)
        return await self._executor.execute(imports.import_tickets, request, cause, rpc.ImportTicketsResponse)


class CustomerServicer(_Desk, stubs.CustomerServiceServicer):
    """The persons that a unit keeps."""

    async def GetCustomer(self, request: rpc.GetCustomerRequest, context: Context) -> pb.Customer:
        return await self._database.read(self._queries.get_customer, request)

    async def ExportCustomer(self, request: rpc.ExportCustomerRequest, context: Context) -> rpc.ExportCustomerResponse:
        return await self._database.read(self._queries.export_customer, request)

    async def EraseCustomer(self, request: rpc.EraseCustomerRequest, context: Context) -> pb.Customer:
        return await self._executor.execute(erasing.erase_customer, request, cause_of(request), pb.Customer)

    async def ClassifyCustomer(self, request: rpc.ClassifyCustomerRequest, context: Context) -> pb.Customer:
        return await self._executor.execute(customers.classify_customer, request, cause_of(request), pb.Customer)


class EngagementServicer(_Desk, stubs.EngagementServiceServicer):
    """The engagements that a unit takes part in."""

    async def RequestEngagement(self, request: rpc.RequestEngagementRequest, context: Context) -> pb.Engagement:
        return await self._engage(engagements.request_engagement, request)

    async def GetEngagement(self, request: rpc.GetEngagementRequest, context: Context) -> pb.Engagement:
        return await self._database.read(self._queries.get_engagement, request)

    async def ListEngagements(
        self, request: rpc.ListEngagementsRequest, context: Context
    ) -> rpc.ListEngagementsResponse:
        return await self._database.read(self._queries.list_engagements, request)

    async def AcceptEngagement(self, request: rpc.AcceptEngagementRequest, context: Context) -> pb.Engagement:
        return await self._engage(engagements.accept_engagement, request)

    async def DeclineEngagement(self, request: rpc.DeclineEngagementRequest, context: Context) -> pb.Engagement:
        return await self._engage(engagements.decline_engagement, request)

    async def NoteEngagementWork(self, request: rpc.NoteEngagementWorkRequest, context: Context) -> pb.Engagement:
        return await self._engage(engagements.note_engagement_work, request)

    async def DeliverEngagement(self, request: rpc.DeliverEngagementRequest, context: Context) -> pb.Engagement:
        return await self._engage(engagements.deliver_engagement, request)

    async def ConfirmEngagement(self, request: rpc.ConfirmEngagementRequest, context: Context) -> pb.Engagement:
        return await self._engage(engagements.confirm_engagement, request)

    async def RejectEngagement(self, request: rpc.RejectEngagementRequest, context: Context) -> pb.Engagement:
        return await self._engage(engagements.reject_engagement, request)

    async def OfferToPeer(self, request: rpc.OfferToPeerRequest, context: Context) -> pb.Engagement:
        return await self._engage(peers.offer_to_peer, request)

    async def WithdrawEngagement(self, request: rpc.WithdrawEngagementRequest, context: Context) -> pb.Engagement:
        return await self._engage(engagements.withdraw_engagement, request)

    async def RecallEngagement(self, request: rpc.RecallEngagementRequest, context: Context) -> pb.Engagement:
        return await self._engage(engagements.recall_engagement, request)

    async def ReassignEngagement(self, request: rpc.ReassignEngagementRequest, context: Context) -> pb.Engagement:
        return await self._engage(engagements.reassign_engagement, request)


class TeamServicer(_Desk, team_stubs.TeamServiceServicer):
    """The teams of a unit's desk."""

    def __init__(self, runtime: Runtime, executor: CommandExecutor) -> None:
        super().__init__(runtime, executor)
        self._shifts = shifts.Shifts(runtime.unit, executor.policies, executor.now)

    async def SetTeam(self, request: team_rpc.SetTeamRequest, context: Context) -> team_rpc.Team:
        return await self._executor.execute(staffing.set_team, request, cause_of(request), team_rpc.Team)

    async def DeleteTeam(self, request: team_rpc.DeleteTeamRequest, context: Context) -> team_rpc.DeleteTeamResponse:
        return await self._executor.execute(
            staffing.delete_team, request, cause_of(request), team_rpc.DeleteTeamResponse
        )

    async def ListTeams(self, request: team_rpc.ListTeamsRequest, context: Context) -> team_rpc.ListTeamsResponse:
        return await self._database.read(list_teams, request)

    async def GetNextAssignment(
        self, request: team_rpc.GetNextAssignmentRequest, context: Context
    ) -> team_rpc.NextAssignment:
        return await self._database.read(self._shifts.next_assignment, request)

    async def AssignWaitingTickets(
        self, request: team_rpc.AssignWaitingTicketsRequest, context: Context
    ) -> team_rpc.AssignWaitingTicketsResponse:
        return await self._executor.execute(
            shifts.assign_waiting_tickets, request, cause_of(request), team_rpc.AssignWaitingTicketsResponse
        )


class EscalationServicer(_Desk, escalation_stubs.EscalationServiceServicer):
    """Who above the desk was told of what."""

    async def ListEscalations(
        self, request: escalation_rpc.ListEscalationsRequest, context: Context
    ) -> escalation_rpc.ListEscalationsResponse:
        return await self._database.read(list_escalations, request)

    async def AcknowledgeEscalation(
        self, request: escalation_rpc.AcknowledgeEscalationRequest, context: Context
    ) -> escalation_rpc.Escalation:
        return await self._executor.execute(
            hierarchy.acknowledge_escalation, request, cause_of(request), escalation_rpc.Escalation
        )


class QueueServicer(queue_pb2_grpc.QueueServiceServicer):
    """The live queue."""

    def __init__(self, runtime: Runtime, executor: CommandExecutor) -> None:
        self._database = runtime.database
        self._queue = Queue(runtime.unit, executor.policies, executor.now)

    async def ListQueueEntries(
        self, request: queue_pb2.ListQueueEntriesRequest, context: Context
    ) -> queue_pb2.ListQueueEntriesResponse:
        return await self._database.read(self._queue.list_entries, request)


class AttainmentServicer(attainment_pb2_grpc.AttainmentServiceServicer):
    """How promises were kept."""

    def __init__(self, runtime: Runtime) -> None:
        self._unit = runtime.unit
        self._database = runtime.database

    async def GetAttainment(
        self, request: attainment_pb2.GetAttainmentRequest, context: Context
    ) -> attainment_pb2.AttainmentReport:
        return await self._database.read(attainment.get_attainment, self._unit, request)

    async def GetComplaintAttainment(
        self, request: attainment_pb2.GetComplaintAttainmentRequest, context: Context
    ) -> attainment_pb2.ComplaintAttainmentReport:
        return await self._database.read(get_complaint_attainment, self._unit, request)


class RepairServicer(repair_pb2_grpc.RepairServiceServicer):
    """Clocks computed anew from what happened."""

    def __init__(self, runtime: Runtime, executor: CommandExecutor) -> None:
        self._unit = runtime.unit
        self._database = runtime.database
        self._executor = executor

    async def CorrectTicket(
        self, request: repair_pb2.CorrectTicketRequest, context: Context
    ) -> repair_pb2.RepairedTicket:
        cause = cause_of(request)
        return await self._executor.execute(correcting.correct_ticket, request, cause, repair_pb2.RepairedTicket)

    async def RepairTickets(
        self, request: repair_pb2.RepairTicketsRequest, context: Context
    ) -> repair_pb2.RepairTicketsResponse:
        if request.validate_only:
            here = (self._unit, self._executor.policies, self._executor.clock())
            return await self._database.read(repair.preview_repairs, *here, request, roles=current_caller().roles)
        cause = cause_of(request)
        return await self._executor.execute(repair.repair_tickets, request, cause, repair_pb2.RepairTicketsResponse)

    async def RepairOpenClocks(
        self, request: repair_pb2.RepairOpenClocksRequest, context: Context
    ) -> repair_pb2.RepairOpenClocksResponse:
        if request.validate_only:
            here = (self._unit, self._executor.policies, self._executor.clock())
            roles = current_caller().roles
            return await self._database.read(bulk_repair.preview_open_clocks, *here, request, roles=roles)
        cause, answer = cause_of(request), repair_pb2.RepairOpenClocksResponse
        return await self._executor.execute(bulk_repair.repair_open_clocks, request, cause, answer)

    async def ExplainClocks(
        self, request: repair_pb2.ExplainClocksRequest, context: Context
    ) -> repair_pb2.ClockExplanation:
        here = (self._executor.policies, self._executor.clock())
        return await self._database.read(explaining.explain_clocks, *here, request)


def served(runtime: Runtime, executor: CommandExecutor) -> list[Served]:
    """Return the servicers of the desk."""
    here = runtime, executor
    servicers: list[tuple[str, Any, Any]] = [
        ("TicketService", stubs.add_TicketServiceServicer_to_server, TicketServicer(*here)),
        ("EngagementService", stubs.add_EngagementServiceServicer_to_server, EngagementServicer(*here)),
        ("TeamService", team_stubs.add_TeamServiceServicer_to_server, TeamServicer(*here)),
        ("EscalationService", escalation_stubs.add_EscalationServiceServicer_to_server, EscalationServicer(*here)),
        ("CustomerService", stubs.add_CustomerServiceServicer_to_server, CustomerServicer(*here)),
        ("QueueService", queue_pb2_grpc.add_QueueServiceServicer_to_server, QueueServicer(*here)),
        ("AttainmentService", attainment_pb2_grpc.add_AttainmentServiceServicer_to_server, AttainmentServicer(runtime)),
        ("RepairService", repair_pb2_grpc.add_RepairServiceServicer_to_server, RepairServicer(*here)),
    ]
    own = [Served(f"hanse_protos.ticket.v1.{name}", add, servicer) for name, add, servicer in servicers]
    return [*own, *complaints.served(runtime, executor)]
