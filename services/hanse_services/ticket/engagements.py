"""What the desk may do with engagements: as the home unit that asks, and as the provider that works."""

from sqlalchemy import select

from hanse.engagement_states import OVER, SEEKING
from hanse.enums import name_of
from hanse.errors import IllegalTransition, NobodyToAsk, TicketReturnedTooOften
from hanse.policy.routing import knowing
from hanse.work import Work
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.holding import hand_over, settle_clocks
from hanse_services.ticket.loading import check_agent, home_engagement, kept_engagement, own_ticket, provided_engagement
from hanse_services.ticket.messages import engagement_summary_of, engagement_to_proto, summary_of
from hanse_services.ticket.model import Engagement, Ticket

# As the home unit.


def request_engagement(work: Work, request: rpc.RequestEngagementRequest) -> pb.Engagement:
    """Ask headquarters for a provider.

    Raises IllegalTransition while another engagement is not over; NobodyToAsk where the policy lists no other unit.
    """
    if not work.standards.lists_others(work.unit):
        raise NobodyToAsk(unit=work.unit)
    ticket = own_ticket(work, request.parent)
    if active := active_engagement(work, ticket.name):
        raise IllegalTransition(
            f"{active.name} is not over yet",
            hint="Withdraw it first, or wait for it.",
            resource=active.name,
            verb="RequestEngagement",
        )
    return engagement_to_proto(ask_for_engagement(work, ticket, request.reason))


def active_engagement(work: Work, ticket: str) -> Engagement | None:
    """Return the engagement of a ticket that is not over, if there is one."""
    query = select(Engagement).where(Engagement.ticket == ticket, Engagement.state.not_in(OVER))
    return work.session.scalar(query)


def ask_for_engagement(work: Work, ticket: Ticket, reason: str) -> Engagement:
    """Ask headquarters for a provider for a ticket that has no active engagement."""
    ticket.move("RequestEngagement")
    ticket.engagement_count += 1
    ticket.version += 1
    ticket.update_time = work.now
    engagement = Engagement(
        name=f"{ticket.name}/engagements/e{ticket.engagement_count}",
        version=1,
        ticket=ticket.name,
        state=pb.REQUESTED,
        provider="",
        desk="",
        peer=False,
        offer=0,
        offer_final=False,
        ticket_summary=summary_of(ticket).SerializeToString(),
        title=ticket.title,
        description=ticket.description,
        reason=reason,
        solution="",
        assignee="",
        request_time=work.now,
        policy_version=_version_for(work, ticket),
    )
    work.session.add(engagement)
    settle_clocks(work, ticket, work.now)
    requested = told.EngagementRequested(engagement=engagement_summary_of(engagement))
    work.tell(engagement.name, requested, title=ticket.title, description=ticket.description, reason=reason)
    return engagement


def _version_for(work: Work, ticket: Ticket) -> int:
    """Return the version that an engagement goes by: the one in force, or the ticket's where only that knows it.

    A version of the unit's own, from before it joined the group, is of no use: nobody else has it.
    """
    in_force, own = work.standards, ticket.policy_version
    known = knowing(in_force, lambda: work.standards_of(own), ticket, work.unit) if own > 0 else None
    return known.standards.version if known else in_force.version


def confirm_engagement(work: Work, request: rpc.ConfirmEngagementRequest) -> pb.Engagement:
    """Take the provider's solution: the provider has earned its charge."""
    engagement = home_engagement(work, request.name, request.etag)
    engagement.move("ConfirmEngagement")
    engagement.confirm_time = work.now
    work.tell(engagement.name, told.EngagementConfirmed(engagement=engagement_summary_of(engagement)))
    return kept_engagement(engagement)


def reject_engagement(work: Work, request: rpc.RejectEngagementRequest) -> pb.Engagement:
    """Send the provider's solution back: the provider holds the ticket again.

    Raises TicketReturnedTooOften where the policy stops a ticket that goes to and fro.
    """
    engagement = home_engagement(work, request.name, request.etag)
    engagement.move("RejectEngagement")
    ticket = own_ticket(work, engagement.ticket)
    if work.standards.is_stopped(ticket.returns):
        raise TicketReturnedTooOften(resource=ticket.name, returns=str(ticket.returns))
    rejected = told.EngagementRejected(engagement=engagement_summary_of(engagement))
    work.tell(engagement.name, rejected, text=request.reason)
    hand_over(work, ticket, engagement.provider, engagement.name, work.now)
    return kept_engagement(engagement)


def withdraw_engagement(work: Work, request: rpc.WithdrawEngagementRequest) -> pb.Engagement:
    """Call an engagement off: the home unit holds the ticket again."""
    engagement = home_engagement(work, request.name, request.etag)
    _withdraw(work, engagement)
    hand_over(work, own_ticket(work, engagement.ticket), work.unit, engagement.name, work.now)
    return kept_engagement(engagement)


def recall_engagement(work: Work, request: rpc.RecallEngagementRequest) -> pb.Engagement:
    """Take the ticket back from the provider that has it, for good: the engagement is over and earns nothing."""
    engagement = home_engagement(work, request.name, request.etag)
    engagement.move("RecallEngagement")
    withdrawn = told.EngagementWithdrawn(engagement=engagement_summary_of(engagement), recalled=True)
    work.tell(engagement.name, withdrawn, text=request.reason)
    hand_over(work, own_ticket(work, engagement.ticket), work.unit, engagement.name, work.now)
    return kept_engagement(engagement)


def reassign_engagement(work: Work, request: rpc.ReassignEngagementRequest) -> pb.Engagement:
    """Ask for another provider than the one that has it. The home unit holds the ticket until one has accepted.

    Raises IllegalTransition where the final owner has it: there is nobody else.
    """
    engagement = home_engagement(work, request.name, request.etag)
    if engagement.offer_final:
        raise IllegalTransition(
            f"{engagement.provider} is the final owner of {engagement.name}: there is nobody else",
            hint="Recall it, and solve the ticket yourself or ask anew later.",
            resource=engagement.name,
            verb="ReassignEngagement",
        )
    engagement.move("ReassignEngagement")
    # Told before the provider is let go of: it says from whom.
    asked = told.EngagementReassignmentRequested(engagement=engagement_summary_of(engagement))
    work.tell(engagement.name, asked, text=request.reason)
    hand_over(work, own_ticket(work, engagement.ticket), work.unit, engagement.name, work.now)
    engagement.release()
    return kept_engagement(engagement)


def _withdraw(work: Work, engagement: Engagement) -> None:
    engagement.move("WithdrawEngagement")
    work.tell(engagement.name, told.EngagementWithdrawn(engagement=engagement_summary_of(engagement)))


def withdraw_seeking(work: Work, ticket: Ticket) -> None:
    """Call an engagement off that still looks for a provider: the ticket is solved without one.

    Raises IllegalTransition while a provider works on the ticket.
    """
    engagement = active_engagement(work, ticket.name)
    if engagement is None:
        return
    if engagement.state not in SEEKING:
        raise IllegalTransition(
            f"{engagement.provider} works on {ticket.name}",
            hint="Confirm the engagement when it is delivered, or withdraw it.",
            resource=engagement.name,
            verb="ResolveTicket",
            from_=name_of(pb.EngagementState, engagement.state),
        )
    _withdraw(work, engagement)
    engagement.version += 1


# As the provider.


def accept_engagement(work: Work, request: rpc.AcceptEngagementRequest) -> pb.Engagement:
    """Take an offer. Raises IllegalTransition where it has run out; ValidationFailed where the assignee has no name."""
    if request.assignee:
        check_agent(request.assignee)
    engagement = provided_engagement(work, request.name, request.etag)
    engagement.move("AcceptEngagement")
    if engagement.offer_expire_time and engagement.offer_expire_time <= work.now and not engagement.offer_final:
        raise IllegalTransition(
            f"the offer of {engagement.name} has run out",
            hint="Headquarters asks the next candidate; it may ask this unit again.",
            resource=engagement.name,
            verb="AcceptEngagement",
        )
    engagement.accept_time, engagement.assignee = work.now, request.assignee
    accepted = told.EngagementAccepted(engagement=engagement_summary_of(engagement), assignee=request.assignee)
    work.tell(engagement.name, accepted)
    return kept_engagement(engagement)


def decline_engagement(work: Work, request: rpc.DeclineEngagementRequest) -> pb.Engagement:
    """Decline an offer. Raises IllegalTransition for the final owner, who can't."""
    engagement = provided_engagement(work, request.name, request.etag)
    if engagement.offer_final:
        raise IllegalTransition(
            f"{work.unit} is the final owner of {engagement.name}",
            hint="Accept it: nothing is ever nobody's.",
            resource=engagement.name,
            verb="DeclineEngagement",
        )
    engagement.move("DeclineEngagement")
    declined = told.EngagementDeclined(engagement=engagement_summary_of(engagement))
    work.tell(engagement.name, declined, text=request.reason)
    return kept_engagement(engagement)


def note_engagement_work(work: Work, request: rpc.NoteEngagementWorkRequest) -> pb.Engagement:
    """Note what was done."""
    engagement = provided_engagement(work, request.name, request.etag)
    engagement.move("NoteEngagementWork")
    noted = told.EngagementWorkNoted(engagement=engagement_summary_of(engagement))
    work.tell(engagement.name, noted, text=request.text)
    return kept_engagement(engagement)


def deliver_engagement(work: Work, request: rpc.DeliverEngagementRequest) -> pb.Engagement:
    """Say the solution."""
    engagement = provided_engagement(work, request.name, request.etag)
    engagement.move("DeliverEngagement")
    engagement.solution, engagement.deliver_time = request.solution, work.now
    delivered = told.EngagementDelivered(engagement=engagement_summary_of(engagement))
    work.tell(engagement.name, delivered, title=engagement.title, text=request.solution)
    return kept_engagement(engagement)
