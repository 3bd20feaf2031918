"""Who may tell which fact: the one place that knows it, for every payload that goes from unit to unit.

A link proves who wrote an event, and no more: a unit can write that another unit's ticket was closed. Such an event is
in that unit's log for ever, and every copy of the log has it. But it is no fact. Whoever makes something of what others
tell asks here first: headquarters before its views, its engagements and what it passes on, every unit's inbox before
an effect, and whoever reads a copy of a log later.

| About | who tells it |
|---|---|
| a ticket, an escalation of it, a complaint about it | the ticket's home |
| that headquarters has seen or decided one of them | headquarters |
| an engagement: requested, confirmed, rejected, called off | the ticket's home |
| an engagement: accepted, declined, noted, delivered | the provider that it names |
| an offer | headquarters; the home of an engagement that it offers to a peer itself |
| a charge | the home its payable leg, the provider its receivable one |
| an article | the unit that it belongs to |
| a version of the policy | headquarters; of its own, an independent unit |
| what a unit has put in force, or has tuned | that unit |
| members and their certificates | headquarters |

An event is about what its resource says, so what its payload is about has to be the same. Whether a provider was asked,
or an offer still stands, is another question, which whoever keeps engagements answers. A payload that is not here goes
to no other unit, and what another unit tells of the kind is no fact.
"""

from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message

from hanse.names import HEADQUARTERS, home_of
from hanse_protos.federation.v1 import membership_pb2 as membership
from hanse_protos.knowledge.v1 import knowledge_pb2 as knowledge
from hanse_protos.log.v1.log_pb2 import Event
from hanse_protos.policy.v1 import policy_pb2 as policy
from hanse_protos.policy.v1 import tuning_pb2 as tuning
from hanse_protos.settlement.v1 import settlement_pb2 as settlement
from hanse_protos.ticket.v1 import events_pb2 as told

Teller = Callable[[Event, Any], bool]
"""Says whether the writer of an event is who may tell its payload. A catch-up asks it of a fifth of all events."""

CHARGES = "charges/"


def may_tell(event: Event, payload: Message) -> bool:
    """Return whether the unit that wrote an event may tell what the event says."""
    teller = TELLERS.get(type(payload))
    return teller is not None and teller(event, payload)


def charge_home(charge: str) -> str:
    """Return the unit that owes a charge, from the charge's name: "units/shanghai" of "charges/shanghai.t1.e1"."""
    return f"units/{charge.removeprefix(CHARGES).split('.', 1)[0]}"


def _is_own(event: Event, name: str) -> bool:
    """Whether an event is about a resource that belongs to its writer."""
    return name == event.resource and name.startswith(f"{event.unit}/")


def home_of_the_ticket(event: Event, payload: Any) -> bool:
    """The ticket's home."""
    return _is_own(event, payload.ticket.name)


def home_of_the_escalation(event: Event, payload: Any) -> bool:
    """The home of the ticket that was escalated."""
    name: str = payload.escalation.name
    return _is_own(event, name) and name.startswith(f"{payload.ticket.name}/")


def home_of_the_complaint(event: Event, payload: Any) -> bool:
    """The home of the ticket that is complained about."""
    return _is_own(event, payload.complaint.name)


def home_of_the_engagement(event: Event, payload: Any) -> bool:
    """The home of the ticket that the engagement is for."""
    return _is_own(event, payload.engagement.name) and bool(payload.engagement.home == event.unit)


def provider_of_the_engagement(event: Event, payload: Any) -> bool:
    """The provider that the payload names."""
    return bool(payload.engagement.provider == event.unit) and _is_consistent(event, payload.engagement)


def maker_of_the_offer(event: Event, payload: Any) -> bool:
    """Headquarters, or the home unit that has asked a peer itself."""
    is_maker = event.unit == HEADQUARTERS or (payload.engagement.peer and payload.engagement.home == event.unit)
    return is_maker and _is_consistent(event, payload.engagement)


def _is_consistent(event: Event, engagement: Any) -> bool:
    """Whether an engagement is the one that the event is about, and belongs to the unit that it says."""
    return bool(engagement.name == event.resource and engagement.home == home_of(engagement.name))


def side_of_the_charge(event: Event, payload: Any) -> bool:
    """The unit whose leg it is: the home owes, the provider earns. The charge's name says whose the engagement is."""
    charge = payload.charge
    side = {settlement.PAYABLE: charge.home, settlement.RECEIVABLE: charge.provider}.get(charge.leg)
    return bool(side == event.unit and charge.name == event.resource and charge.home == charge_home(charge.name))


def owner_of_the_article(event: Event, payload: Any) -> bool:
    """The unit that the article belongs to."""
    return _is_own(event, payload.article.name)


def publisher_of_the_policy(event: Event, payload: Any) -> bool:
    """Headquarters; for itself, an independent unit, whose own versions count below the group's first one."""
    return event.unit == HEADQUARTERS or payload.policy.version < 0


def unit_that_acknowledges(_event: Event, _payload: Any) -> bool:
    """Any unit: it speaks of itself."""
    return True


def unit_that_tunes(event: Event, payload: Any) -> bool:
    """The unit whose override it is."""
    return _is_own(event, payload.override.name) and bool(payload.override.unit == event.unit)


def headquarters(event: Event, _payload: Any) -> bool:
    """Headquarters."""
    return event.unit == HEADQUARTERS


TELLERS: dict[type[Message], Teller] = {
    told.TicketOpened: home_of_the_ticket,
    told.TicketCommented: home_of_the_ticket,
    told.TicketAssigned: home_of_the_ticket,
    told.TicketEscalated: home_of_the_ticket,
    told.TicketReclassified: home_of_the_ticket,
    told.TicketPaused: home_of_the_ticket,
    told.TicketSuspended: home_of_the_ticket,
    told.TicketReviewDue: home_of_the_ticket,
    told.TicketResumed: home_of_the_ticket,
    told.TicketResolved: home_of_the_ticket,
    told.TicketReopened: home_of_the_ticket,
    told.TicketClosed: home_of_the_ticket,
    told.TicketErased: home_of_the_ticket,
    told.TicketHandedOver: home_of_the_ticket,
    told.TicketCorrected: home_of_the_ticket,
    told.TicketClocksRepaired: home_of_the_ticket,
    told.ClockRuleApplied: home_of_the_ticket,
    told.SlaWarned: home_of_the_ticket,
    told.SlaBreached: home_of_the_ticket,
    told.SlaBreachWithdrawn: home_of_the_ticket,
    told.SlaStepSkipped: home_of_the_ticket,
    told.TicketEscalationRaised: home_of_the_escalation,
    told.TicketEscalationAcknowledged: home_of_the_escalation,
    told.TicketEscalationSeen: headquarters,
    told.ComplaintOpened: home_of_the_complaint,
    told.ComplaintAcknowledged: home_of_the_complaint,
    told.ComplaintNoted: home_of_the_complaint,
    told.ComplaintAnswered: home_of_the_complaint,
    told.ComplaintEscalated: home_of_the_complaint,
    told.ComplaintWarned: home_of_the_complaint,
    told.ComplaintOverdue: home_of_the_complaint,
    told.ComplaintStepSkipped: home_of_the_complaint,
    told.ComplaintClosed: home_of_the_complaint,
    told.ComplaintSeen: headquarters,
    told.ComplaintDecided: headquarters,
    told.EngagementRequested: home_of_the_engagement,
    told.EngagementImported: home_of_the_engagement,
    told.EngagementConfirmed: home_of_the_engagement,
    told.EngagementRejected: home_of_the_engagement,
    told.EngagementWithdrawn: home_of_the_engagement,
    told.EngagementReassignmentRequested: home_of_the_engagement,
    told.EngagementAccepted: provider_of_the_engagement,
    told.EngagementDeclined: provider_of_the_engagement,
    told.EngagementWorkNoted: provider_of_the_engagement,
    told.EngagementDelivered: provider_of_the_engagement,
    told.EngagementOffered: maker_of_the_offer,
    told.EngagementOfferExpired: maker_of_the_offer,
    told.EngagementOfferWithdrawn: maker_of_the_offer,
    told.EngagementReassigned: headquarters,
    settlement.ChargePosted: side_of_the_charge,
    knowledge.ArticlePublished: owner_of_the_article,
    knowledge.ArticleRetired: owner_of_the_article,
    policy.PolicyPublished: publisher_of_the_policy,
    policy.PolicyAcknowledged: unit_that_acknowledges,
    tuning.PolicyTuned: unit_that_tunes,
    membership.UnitCertificatesRevoked: headquarters,
}
"""Who may tell each payload."""
