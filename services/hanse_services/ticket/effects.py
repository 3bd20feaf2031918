"""What the desk does about what others tell it: headquarters' offers, the other side's steps, the policy.

Each effect runs once per fact, in the transaction that records it. Facts on one engagement arrive in the order in which
they were written, but a fact may be overtaken by what happened here meanwhile; what no longer applies changes nothing.
"""

from datetime import datetime
from typing import Any

from hanse.log.events import Fact
from hanse.names import HEADQUARTERS, home_of
from hanse.telling.inbox import Effect
from hanse.times import instant
from hanse.work import Work
from hanse_protos.policy.v1.policy_pb2 import PolicyAcknowledged
from hanse_protos.policy.v1.tuning_pb2 import PolicyTuned
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.clocks.repair import hold_time_of, repair_after
from hanse_services.ticket.complaints import effects as complaints
from hanse_services.ticket.erasing import ticket_erased
from hanse_services.ticket.hierarchy import escalation_seen
from hanse_services.ticket.holding import hand_over
from hanse_services.ticket.loading import find_engagement, mirror_of, own_ticket
from hanse_services.ticket.messages import engagement_summary_of
from hanse_services.ticket.model import ENGAGEMENT_TRANSITIONS, Engagement, Ticket
from hanse_services.ticket.peers import withdraw_from_peer


def policy_acknowledged(work: Work, fact: Fact) -> None:
    """Put the policy version in force that this unit has acknowledged."""
    work.policies.enact(work.session, fact.payload.policy)  # type: ignore[attr-defined]


def policy_tuned(work: Work, fact: Fact) -> None:
    """Put an override of this unit in force, for the tickets to come."""
    work.policies.tune(work.session, fact.payload.override)  # type: ignore[attr-defined]


# As the provider: what the home unit tells.


def engagement_requested(work: Work, fact: Fact) -> None:
    """Keep an engagement that is about to be offered to this unit, with what the home unit shares of it."""
    summary = _summary(fact)
    if home_of(summary.name) == work.unit or fact.event.unit != home_of(summary.name):
        return
    if find_engagement(work, summary.name) is None:
        work.session.add(mirror_of(summary, fact.texts))


def engagement_confirmed(work: Work, fact: Fact) -> None:
    """The home unit took the solution."""
    if engagement := _from_home(work, fact, "ConfirmEngagement"):
        engagement.confirm_time = work.time_of(fact)


def engagement_rejected(work: Work, fact: Fact) -> None:
    """The home unit sent the solution back."""
    _from_home(work, fact, "RejectEngagement")


def engagement_withdrawn(work: Work, fact: Fact) -> None:
    """The home unit called the engagement off."""
    _from_home(work, fact, "WithdrawOffer")


def reassignment_requested(work: Work, fact: Fact) -> None:
    """The home unit asked for another provider: it is this unit's no more."""
    if _summary(fact).provider == work.unit:
        _from_home(work, fact, "WithdrawOffer")


def _from_home(work: Work, fact: Fact, verb: str) -> Engagement | None:
    name = _summary(fact).name
    if fact.event.unit != home_of(name) or home_of(name) == work.unit:
        return None
    return _step(work, name, verb)


# As either side: what headquarters tells.


def engagement_offered(work: Work, fact: Fact) -> None:
    """An engagement was offered: to this unit, or on behalf of it."""
    summary = _summary(fact)
    payload: Any = fact.payload
    if not _is_by_its_maker(work, fact) or not _is_next_offer(work, summary):
        return
    engagement = _step(work, summary.name, "OfferEngagement")
    if engagement is None:
        return
    engagement.provider, engagement.desk, engagement.offer = summary.provider, summary.desk, summary.offer
    engagement.peer = summary.peer
    if work.unit in payload.units:
        # A shared desk's: to this unit as to the others of the desk, of whom it need not know.
        engagement.provider = work.unit
    engagement.accept_time, engagement.assignee = None, ""
    engagement.offer_final = payload.final
    engagement.offer_expire_time = instant(payload.expire_time) if payload.HasField("expire_time") else None


def _is_by_its_maker(work: Work, fact: Fact) -> bool:
    """Whether what is told of an offer comes from who made it: headquarters, or the home unit that asks this peer."""
    summary = _summary(fact)
    if fact.event.unit == HEADQUARTERS:
        return True
    home = home_of(summary.name)
    return summary.peer and fact.event.unit == home and home in work.standards.peers_of(work.unit)


def _is_next_offer(work: Work, summary: pb.EngagementSummary) -> bool:
    """Whether an offer is newer than the last one, on an engagement that the home unit has not called off.

    While its own offer to a peer stands, that one counts, and headquarters takes this one back.
    """
    engagement = find_engagement(work, summary.name)
    if engagement is None or summary.offer <= engagement.offer:
        return False
    if home_of(summary.name) != work.unit:
        return True
    return engagement.state != pb.WITHDRAWN and not (engagement.peer and engagement.state == pb.OFFERED)


def offer_expired(work: Work, fact: Fact) -> None:
    """An offer ran out."""
    _from_its_maker(work, fact, "ExpireOffer")


def offer_withdrawn(work: Work, fact: Fact) -> None:
    """An offer was taken back: this unit's acceptance came too late, or another unit was first."""
    if _summary(fact).provider == work.unit:
        _from_its_maker(work, fact, "WithdrawOffer")


def engagement_reassigned(work: Work, fact: Fact) -> None:
    """Headquarters took it from its provider: the ticket and its clocks come back until another one has accepted.

    What this unit has told its provider meanwhile, that it sends the solution back, is void at headquarters too.
    """
    summary = _summary(fact)
    if home_of(summary.name) != work.unit or fact.event.unit != HEADQUARTERS:
        return
    if summary.peer:
        _take_from_peer(work, fact)
    elif engagement := _from_its_maker(work, fact, "ReleaseProvider"):
        engagement.release()
        _hand_over(work, engagement, work.unit, fact)


def _take_from_peer(work: Work, fact: Fact) -> None:
    """End this unit's own offer to a peer that has left the group, and tell it: headquarters looks for another one.

    What the peer has delivered stays, to be confirmed. If it is rejected, headquarters says once more who is gone.
    """
    summary = _summary(fact)
    engagement = find_engagement(work, summary.name)
    if engagement is None or engagement.offer != summary.offer:
        return
    if engagement.state == pb.OFFERED:
        _step(work, engagement.name, "ExpireOffer")
        work.tell(engagement.name, told.EngagementOfferExpired(engagement=engagement_summary_of(engagement)))
    elif engagement.state == pb.ACCEPTED:
        _step(work, engagement.name, "ReassignEngagement")
        asked = told.EngagementReassignmentRequested(engagement=engagement_summary_of(engagement))
        work.tell(engagement.name, asked)
        _hand_over(work, engagement, work.unit, fact)
        engagement.release()


def _from_its_maker(work: Work, fact: Fact, verb: str) -> Engagement | None:
    """Take a step that whoever made the offer tells of, or headquarters; None where that is not the last offer."""
    summary = _summary(fact)
    engagement = find_engagement(work, summary.name) if _is_by_its_maker(work, fact) else None
    if engagement is None or engagement.offer != summary.offer:
        return None
    return _step(work, summary.name, verb)


# As the home unit: what the provider tells.


def engagement_accepted(work: Work, fact: Fact) -> None:
    """The provider works on it: the ticket and its clocks go over to the provider."""
    if engagement := _from_provider(work, fact, "AcceptEngagement"):
        engagement.assignee = fact.payload.assignee  # type: ignore[attr-defined]
        engagement.accept_time = _hand_over(work, engagement, engagement.provider, fact)
    elif _summary(fact).peer and home_of(_summary(fact).name) == work.unit:
        withdraw_from_peer(work, _summary(fact))


def engagement_declined(work: Work, fact: Fact) -> None:
    """The provider declined the offer; headquarters asks the next one."""
    _from_provider(work, fact, "DeclineEngagement")


def engagement_delivered(work: Work, fact: Fact) -> None:
    """The provider has a solution: the ticket and its clocks come back, at the time of the delivery."""
    if engagement := _from_provider(work, fact, "DeliverEngagement"):
        engagement.solution = fact.texts.get("text", "")
        engagement.deliver_time = _hand_over(work, engagement, work.unit, fact)


def _from_provider(work: Work, fact: Fact, verb: str) -> Engagement | None:
    summary = _summary(fact)
    engagement = find_engagement(work, summary.name) if home_of(summary.name) == work.unit else None
    if engagement and verb == "AcceptEngagement" and engagement.desk and not engagement.provider:
        # Of a shared desk's units, headquarters lets the acceptance of one through.
        engagement.provider = fact.event.unit
    if engagement is None or (fact.event.unit, summary.offer) != (engagement.provider, engagement.offer):
        return None
    return _step(work, summary.name, verb)


def _hand_over(work: Work, engagement: Engagement, unit: str, fact: Fact) -> datetime:
    """Hand the ticket over when it happened, and return when that was. What counted otherwise since is repaired."""
    ticket = own_ticket(work, engagement.ticket)
    at = _time_of_hand_over(work, ticket, engagement, fact)
    is_late = at < ticket.update_time
    hand_over(work, ticket, unit, engagement.name, at)
    if is_late:
        repair_after(work, ticket, fact.event.event_id)
    return at


def _time_of_hand_over(work: Work, ticket: Ticket, engagement: Engagement, fact: Fact) -> datetime:
    """Return when the ticket changed hands: never before it last did, nor before the engagement was asked for.

    The clock of who tells it may be behind, or may have gone back. The order in which it was told is the right one.
    """
    at = work.time_of(fact)
    if at >= ticket.update_time:
        return at
    return max(at, engagement.request_time, hold_time_of(work, ticket))


# What the three have in common.


def _summary(fact: Fact) -> pb.EngagementSummary:
    payload: Any = fact.payload
    summary: pb.EngagementSummary = payload.engagement
    return summary


def _step(work: Work, name: str, verb: str) -> Engagement | None:
    """Take a step of an engagement; return None where the engagement is not here, or past it."""
    engagement = find_engagement(work, name)
    if engagement is None or engagement.state not in ENGAGEMENT_TRANSITIONS[verb]:
        return None
    engagement.move(verb)
    engagement.version += 1
    return engagement


EFFECTS: dict[type, Effect] = {
    PolicyAcknowledged: policy_acknowledged,
    PolicyTuned: policy_tuned,
    told.EngagementRequested: engagement_requested,
    told.EngagementConfirmed: engagement_confirmed,
    told.EngagementRejected: engagement_rejected,
    told.EngagementWithdrawn: engagement_withdrawn,
    told.EngagementReassignmentRequested: reassignment_requested,
    told.EngagementOffered: engagement_offered,
    told.EngagementOfferExpired: offer_expired,
    told.EngagementOfferWithdrawn: offer_withdrawn,
    told.EngagementReassigned: engagement_reassigned,
    told.EngagementAccepted: engagement_accepted,
    told.EngagementDeclined: engagement_declined,
    told.EngagementDelivered: engagement_delivered,
    told.TicketErased: ticket_erased,
    told.TicketEscalationSeen: escalation_seen,
    **complaints.EFFECTS,
}
"""Which fact has which effect. Facts that are not here are kept in the inbox, for the timeline."""
