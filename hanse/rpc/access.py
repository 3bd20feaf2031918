"""Who may call what: the one table of roles by rpc. What is not in it is denied.

A test fails when an rpc of the contracts has no row here.
"""

from enum import StrEnum

from hanse.identity import Role

DESK = frozenset({Role.AGENT, Role.LEAD})
LEADS = frozenset({Role.LEAD})
ABOVE_THE_DESK = LEADS | {Role.MANAGER}
"""Who answers for what comes to a level of the unit; which one of them, the level itself says (`ticket.levels`)."""
READERS = DESK | {Role.MANAGER, Role.CONTROLLER, Role.OPERATIONS, Role.STANDARDS, Role.SYSTEM}
WORKERS = frozenset({Role.SYSTEM})
STANDARDS = frozenset({Role.STANDARDS})
ACCOUNTS = frozenset({Role.CONTROLLER, Role.LEAD, Role.OPERATIONS})
OPERATIONS = frozenset({Role.OPERATIONS})
HANDLERS = LEADS | OPERATIONS
"""Who may handle a waiting process by hand: the desk's lead, and whoever runs the unit's systems."""
HEADQUARTERS = frozenset({Role.STANDARDS, Role.CONTROLLER, Role.OPERATIONS, Role.LEAD})


class Otherwise(StrEnum):
    """Ways in that need no token. The servicer knows the caller, or does without."""

    CERTIFICATE = "by the unit's certificate"
    INVITATION = "by the secret of an invitation"
    ANYBODY = "by anybody"


BY_CERTIFICATE = Otherwise.CERTIFICATE
"""The servicer takes the caller from the client's certificate. An empty set of roles is nobody."""
BY_API_KEY = frozenset({Role.PARTNER})
"""Not by token: the gateway turns the API key into a caller with this role."""

_TABLE: dict[str, dict[str, frozenset[Role] | Otherwise]] = {
    "hanse_protos.ticket.v1.TicketService": {
        "CreateTicket": DESK | WORKERS,
        "GetTicket": READERS,
        "GetGovernance": READERS,
        "ListTickets": READERS,
        "CommentTicket": DESK | WORKERS,
        "AssignTicket": DESK,
        "EscalateTicket": DESK,
        "ReclassifyTicket": DESK,
        "PauseTicket": DESK,
        "SuspendTicket": DESK,
        "ResumeTicket": DESK,
        "ResolveTicket": DESK,
        "ReopenTicket": DESK,
        "CloseTicket": DESK,
        "ListTimelineEntries": READERS,
        "ListPartnerEvents": WORKERS,
        "EvaluateClocks": WORKERS,
        "SkipClockStep": WORKERS,
        "ListOpenClocks": WORKERS,
        "ImportTickets": OPERATIONS,
    },
    "hanse_protos.ticket.v1.EngagementService": {
        "RequestEngagement": DESK,
        "GetEngagement": READERS,
        "ListEngagements": READERS,
        "AcceptEngagement": DESK,
        "DeclineEngagement": DESK,
        "NoteEngagementWork": DESK,
        "OfferToPeer": WORKERS,
        "DeliverEngagement": DESK,
        "ConfirmEngagement": DESK,
        "RejectEngagement": DESK,
        "WithdrawEngagement": DESK,
        "RecallEngagement": DESK,
        "ReassignEngagement": DESK,
    },
    "hanse_protos.ticket.v1.TeamService": {
        "SetTeam": LEADS,
        "DeleteTeam": LEADS,
        "ListTeams": READERS,
        "GetNextAssignment": WORKERS,
        "AssignWaitingTickets": WORKERS,
    },
    "hanse_protos.ticket.v1.EscalationService": {
        "ListEscalations": READERS,
        "AcknowledgeEscalation": ABOVE_THE_DESK,
    },
    "hanse_protos.ticket.v1.ComplaintService": {
        "CreateComplaint": DESK | WORKERS,
        "GetComplaint": READERS,
        "ListComplaints": READERS,
        "AcknowledgeComplaint": ABOVE_THE_DESK,
        "NoteComplaint": ABOVE_THE_DESK,
        "AnswerComplaint": ABOVE_THE_DESK,
        "RejectComplaintAnswer": DESK | ABOVE_THE_DESK | WORKERS,
        "EscalateComplaint": DESK | ABOVE_THE_DESK,
        "CloseComplaint": ABOVE_THE_DESK,
        "WithdrawComplaint": DESK | ABOVE_THE_DESK | WORKERS,
        "EvaluateComplaint": WORKERS,
        "SkipComplaintStep": WORKERS,
        "ListOpenComplaints": WORKERS,
    },
    "hanse_protos.ticket.v1.CustomerService": {
        "GetCustomer": DESK,
        "ExportCustomer": LEADS,
        "EraseCustomer": LEADS,
        "ClassifyCustomer": LEADS,
    },
    "hanse_protos.ticket.v1.QueueService": {"ListQueueEntries": READERS},
    "hanse_protos.ticket.v1.AttainmentService": {"GetAttainment": READERS, "GetComplaintAttainment": READERS},
    "hanse_protos.ticket.v1.RepairService": {
        "CorrectTicket": LEADS,
        "RepairTickets": LEADS | STANDARDS,
        "RepairOpenClocks": LEADS | STANDARDS,
        "ExplainClocks": READERS,
    },
    "hanse_protos.knowledge.v1.KnowledgeService": {
        "CreateArticle": DESK,
        "GetArticle": READERS,
        "ListArticles": READERS,
        "UpdateArticle": DESK,
        "SubmitArticle": DESK,
        "PublishArticle": LEADS,
        "ReturnArticle": LEADS,
        "RetireArticle": LEADS,
        "SearchArticles": READERS,
    },
    "hanse_protos.settlement.v1.SettlementService": {
        "GetCharge": ACCOUNTS,
        "ListCharges": ACCOUNTS,
        "ListLedgerEntries": ACCOUNTS,
        "GetStatement": ACCOUNTS,
    },
    "hanse_protos.policy.v1.PolicyService": {
        "LintPolicy": STANDARDS | OPERATIONS,
        "PublishPolicy": STANDARDS,
        "GetPolicy": READERS,
        "ListPolicies": READERS,
    },
    "hanse_protos.policy.v1.PolicyTuningService": {
        "TunePolicy": STANDARDS | LEADS,
        "GetPolicyOverride": READERS,
        "ListPolicyOverrides": READERS,
    },
    "hanse_protos.policy.v1.PolicyDraftService": {
        "CreatePolicyDraft": STANDARDS,
        "UpdatePolicyDraft": STANDARDS,
        "SubmitPolicyDraft": STANDARDS,
        "ApprovePolicyDraft": STANDARDS,
        "ReturnPolicyDraft": STANDARDS,
        "PublishPolicyDraft": STANDARDS,
        "WithdrawPolicyDraft": STANDARDS,
        "GetPolicyDraft": STANDARDS | OPERATIONS,
        "ListPolicyDrafts": STANDARDS | OPERATIONS,
    },
    "hanse_protos.log.v1.LogService": {
        "ListStreams": OPERATIONS,
        "VerifyStream": OPERATIONS,
    },
    "hanse_protos.telling.v1.DeadLetterService": {
        "ListDeadLetters": OPERATIONS,
        "GetDeadLetter": OPERATIONS,
        "RetryDeadLetter": OPERATIONS,
        "DiscardDeadLetter": OPERATIONS,
    },
    "hanse_protos.waiting.v1.ProcessService": {
        "ListProcesses": HANDLERS,
        "GetProcess": HANDLERS,
        "PauseProcess": HANDLERS,
        "ResumeProcess": HANDLERS,
        "SkipProcessStep": HANDLERS,
        "RetryProcess": HANDLERS,
    },
    "hanse_protos.federation.v1.FederationService": {
        "Exchange": BY_CERTIFICATE,
        "CompareStream": BY_CERTIFICATE,
        "FetchRecords": BY_CERTIFICATE,
    },
    "hanse_protos.federation.v1.StreamService": {
        "StartEpoch": OPERATIONS,
        "AcceptEpoch": OPERATIONS,
        "ReseedStream": OPERATIONS,
        "ReleaseStream": OPERATIONS,
        "ListOrphans": OPERATIONS,
    },
    "hanse_protos.federation.v1.PeerService": {
        "GetPeerHead": BY_CERTIFICATE,
        "DeliverPeerRecords": BY_CERTIFICATE,
        "ComparePeerStream": BY_CERTIFICATE,
        "ExchangeRevocations": BY_CERTIFICATE,
    },
    "hanse_protos.federation.v1.GroupService": {
        "ListUnits": HEADQUARTERS,
        "ListGroupTickets": HEADQUARTERS,
        "ListGroupEngagements": HEADQUARTERS,
        "ListMatchedCharges": HEADQUARTERS,
        "ListGroupQueueEntries": HEADQUARTERS,
        "GetGroupAttainment": HEADQUARTERS,
        "GetTrafficReport": HEADQUARTERS,
        "ListGroupEscalations": HEADQUARTERS,
    },
    "hanse_protos.federation.v1.GroupComplaintService": {
        "ListGroupComplaints": HEADQUARTERS,
        "GetGroupComplaint": HEADQUARTERS,
        "AcknowledgeGroupComplaint": LEADS,
        "AnswerGroupComplaint": LEADS,
        "GetGroupComplaintAttainment": HEADQUARTERS,
    },
    "hanse_protos.federation.v1.WhatIfService": {"ComparePolicy": STANDARDS},
    "hanse_protos.federation.v1.MembershipService": {
        "InviteUnit": OPERATIONS,
        "AdmitUnit": OPERATIONS,
        "RevokeUnit": OPERATIONS,
        "RetireUnit": OPERATIONS,
        "PublishRevocations": OPERATIONS,
        "ListMembers": HEADQUARTERS,
    },
    "hanse_protos.federation.v1.EnrolmentService": {
        "GetAuthority": Otherwise.ANYBODY,
        "EnrolUnit": Otherwise.INVITATION,
        "RenewCertificate": BY_CERTIFICATE,
        "LeaveGroup": BY_CERTIFICATE,
    },
    "hanse_protos.federation.v1.RoutingService": {
        "OfferEngagement": WORKERS,
        "ExpireOffer": WORKERS,
        "ReassignEngagement": LEADS | OPERATIONS,
        "SkipOffer": WORKERS,
        "AcknowledgeGroupEscalation": LEADS | OPERATIONS,
        "ListOpenEngagements": WORKERS,
    },
    "hanse_protos.federation.v1.LinkService": {
        "GetLink": OPERATIONS | WORKERS,
        "ListLinks": OPERATIONS,
        "ListAlarms": OPERATIONS,
    },
    "hanse_protos.gateway.v1.PartnerService": {
        "CreateTicket": BY_API_KEY,
        "GetTicket": BY_API_KEY,
        "ListTickets": BY_API_KEY,
        "CommentTicket": BY_API_KEY,
        "CreateComplaint": BY_API_KEY,
        "GetComplaint": BY_API_KEY,
        "ListComplaints": BY_API_KEY,
        "RejectComplaintAnswer": BY_API_KEY,
        "WatchEvents": BY_API_KEY,
    },
    "hanse_protos.gateway.v1.PartnerAdminService": {
        "CreatePartner": OPERATIONS,
        "RotatePartnerKey": OPERATIONS,
    },
}

ROLES_BY_RPC = {f"/{service}/{rpc}": roles for service, rpcs in _TABLE.items() for rpc, roles in rpcs.items()}
"""The roles of which one is needed, by the rpc's full name as gRPC has it."""

PUBLIC_PREFIXES = ("/grpc.health.v1.Health/", "/grpc.reflection.v1alpha.ServerReflection/")
"""What anybody may call: whether the server is well, and what its contract is."""
