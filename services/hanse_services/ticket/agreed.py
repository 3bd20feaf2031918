"""What a provider has promised for an engagement, as each side sees it.

The clock is the home unit's, since it owns the ticket and knows when it waits. The provider computes the same from
what it knows: when it accepted and delivered, its own calendar, the policy that the engagement was asked for under.
"""

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy.orm import Session

from hanse.errors import PolicyMissing
from hanse.names import home_of
from hanse.policy.errors import CategoryUnknown, UnitUnknown
from hanse.policy.facts import facts_of
from hanse.policy.standards import Standards
from hanse.policy.store import PolicyStore
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.clocks.rows import clocks_to_proto, overrun, stop_clock
from hanse_services.ticket.clocks.rules import Ruling
from hanse_services.ticket.model import Engagement, Ticket


def engagement_clocks(
    session: Session, policies: PolicyStore, engagement: Engagement, unit: str, now: datetime
) -> Iterator[pb.Clock]:
    """Yield the clocks of an engagement; none where its policy is not here or knows no such ticket."""
    try:
        ticket = _ticket_at_home(session, engagement) if home_of(engagement.name) == unit else None
        governing = (ticket.policy_version, ticket.policy_override) if ticket else (engagement.policy_version,)
        standards = policies.version(session, *governing)
        seen = ticket or _ticket_at_provider(standards, engagement, now)
        clocks = list(clocks_to_proto(standards, seen, now)) if seen else []
    except (PolicyMissing, CategoryUnknown, UnitUnknown):
        return
    yield from (clock for clock in clocks if clock.engagement == engagement.name)


def _ticket_at_home(session: Session, engagement: Engagement) -> Ticket | None:
    ticket = session.get(Ticket, engagement.ticket)
    return ticket if ticket and ticket.target else None


def _ticket_at_provider(standards: Standards, engagement: Engagement, now: datetime) -> Ticket | None:
    """Return the ticket as the provider knows it: in its hands from the acceptance on, until the delivery."""
    if engagement.accept_time is None:
        return None
    summary = pb.TicketSummary.FromString(engagement.ticket_summary)
    seen = Ticket(
        name=engagement.ticket,
        state=pb.IN_PROGRESS,
        tier=summary.tier,
        holder=engagement.provider,
        assignee=engagement.assignee,
        engagement_count=int(engagement.name.rsplit("/e", 1)[-1]),
        target="",
    )
    facts = facts_of(standards, summary, home_of(engagement.name))
    Ruling(standards, seen, engagement.accept_time, facts).settle()
    is_over = engagement.state not in (pb.ACCEPTED, pb.OFFERED) and engagement.deliver_time is not None
    until = engagement.deliver_time if is_over and engagement.deliver_time else now
    for row in seen.clocks:
        overrun(row, until)
        if is_over:
            stop_clock(standards, seen, row, until)
    return seen
