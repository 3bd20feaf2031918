"""A payload of every kind that goes from unit to unit, and who may tell it."""

from google.protobuf.message import Message

from hanse.names import HEADQUARTERS
from hanse_protos.federation.v1 import membership_pb2 as membership
from hanse_protos.knowledge.v1 import knowledge_pb2 as knowledge
from hanse_protos.policy.v1.policy_pb2 import Policy, PolicyAcknowledged, PolicyPublished
from hanse_protos.policy.v1.tuning_pb2 import PolicyOverride, PolicyTuned
from hanse_protos.settlement.v1.settlement_pb2 import Charge, ChargePosted
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1.complaint_pb2 import ComplaintSummary
from hanse_protos.ticket.v1.escalation_pb2 import Escalation
from hanse_protos.ticket.v1.ticket_pb2 import EngagementSummary, TicketSummary

HOME, PROVIDER, STRANGER = "units/shanghai", "units/munich", "units/vienna"
EVERYBODY = {HOME, PROVIDER, STRANGER, HEADQUARTERS}
TICKET = TicketSummary(name=f"{HOME}/tickets/t1", holder=PROVIDER)
ESCALATION = Escalation(name=f"{TICKET.name}/escalations/1", ticket=TICKET.name)
COMPLAINT = ComplaintSummary(name=f"{TICKET.name}/complaints/c1")
ENGAGEMENT = EngagementSummary(name=f"{TICKET.name}/engagements/e1", home=HOME, provider=PROVIDER, ticket=TICKET)
ARTICLE = knowledge.ArticleSummary(name=f"{HOME}/articles/a1", scope=knowledge.GROUP)
OVERRIDE = PolicyOverride(name=f"{HOME}/policyOverrides/1", unit=HOME, version=1)
CHARGE = Charge(name="charges/shanghai.t1.e1", engagement=ENGAGEMENT.name, home=HOME, provider=PROVIDER)


def of_engagement(payload: type[Message], *tellers: str) -> tuple[Message, str, set[str]]:
    """Return a fact about the engagement with who may tell it."""
    return payload(engagement=ENGAGEMENT), ENGAGEMENT.name, set(tellers)


TOLD: list[tuple[Message, str, set[str]]] = [
    *(
        (payload(ticket=TICKET), TICKET.name, {HOME})
        for payload in (
            told.TicketOpened, told.TicketCommented, told.TicketAssigned, told.TicketEscalated, told.TicketReclassified,
            told.TicketPaused, told.TicketSuspended, told.TicketReviewDue, told.TicketResumed, told.TicketResolved,
            told.TicketReopened, told.TicketClosed, told.TicketErased, told.TicketHandedOver, told.TicketCorrected,
            told.TicketClocksRepaired, told.ClockRuleApplied, told.SlaWarned, told.SlaBreached,
            told.SlaBreachWithdrawn, told.SlaStepSkipped,
        )
    ),
    (told.TicketEscalationRaised(ticket=TICKET, escalation=ESCALATION), ESCALATION.name, {HOME}),
    (told.TicketEscalationAcknowledged(ticket=TICKET, escalation=ESCALATION), ESCALATION.name, {HOME}),
    (told.TicketEscalationSeen(ticket=TICKET, escalation=ESCALATION), ESCALATION.name, {HEADQUARTERS}),
    *(
        (payload(complaint=COMPLAINT), COMPLAINT.name, {HOME})
        for payload in (
            told.ComplaintOpened, told.ComplaintAcknowledged, told.ComplaintNoted, told.ComplaintAnswered,
            told.ComplaintEscalated, told.ComplaintWarned, told.ComplaintOverdue, told.ComplaintStepSkipped,
            told.ComplaintClosed,
        )
    ),
    (told.ComplaintSeen(complaint=COMPLAINT), COMPLAINT.name, {HEADQUARTERS}),
    (told.ComplaintDecided(complaint=COMPLAINT), COMPLAINT.name, {HEADQUARTERS}),
    of_engagement(told.EngagementRequested, HOME),
    of_engagement(told.EngagementImported, HOME),
    of_engagement(told.EngagementConfirmed, HOME),
    of_engagement(told.EngagementRejected, HOME),
    of_engagement(told.EngagementWithdrawn, HOME),
    of_engagement(told.EngagementReassignmentRequested, HOME),
    of_engagement(told.EngagementAccepted, PROVIDER),
    of_engagement(told.EngagementDeclined, PROVIDER),
    of_engagement(told.EngagementWorkNoted, PROVIDER),
    of_engagement(told.EngagementDelivered, PROVIDER),
    of_engagement(told.EngagementOffered, HEADQUARTERS),
    of_engagement(told.EngagementOfferExpired, HEADQUARTERS),
    of_engagement(told.EngagementOfferWithdrawn, HEADQUARTERS),
    of_engagement(told.EngagementReassigned, HEADQUARTERS),
    (ChargePosted(charge=CHARGE), CHARGE.name, set()),
    (knowledge.ArticlePublished(article=ARTICLE), ARTICLE.name, {HOME}),
    (knowledge.ArticleRetired(article=ARTICLE), ARTICLE.name, {HOME}),
    (PolicyPublished(policy=Policy(name="policies/1", version=1)), "policies/1", {HEADQUARTERS}),
    (PolicyAcknowledged(policy=Policy(name="policies/1", version=1)), "policies/1", EVERYBODY),
    (PolicyTuned(override=OVERRIDE), OVERRIDE.name, {HOME}),
    (membership.UnitCertificatesRevoked(unit=STRANGER), STRANGER, {HEADQUARTERS}),
]  # fmt: skip
"""A payload of every kind, the resource that it is about, and who may tell it."""
