"""Loading the row that a command is about, locked, and keeping what it changed."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy import select

from hanse.erasing import erased_among
from hanse.errors import IllegalTransition, ResourceNotFound, ValidationFailed
from hanse.etags import check_etag
from hanse.names import home_of, ticket_of
from hanse.times import instant
from hanse.work import Work
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.holding import settle_clocks
from hanse_services.ticket.messages import engagement_to_proto, ticket_to_proto
from hanse_services.ticket.model import SCHEMA, Engagement, Ticket, etag_of

AGENT_NAME = re.compile(r"units/[a-z][a-z0-9-]{0,38}/agents/[a-z0-9][a-z0-9._-]{0,62}")
"""The name of a unit's agent. It travels with events, so nothing else may be written there."""


def check_agent(name: str) -> None:
    """Raise ValidationFailed unless this is an agent's name."""
    if not AGENT_NAME.fullmatch(name):
        raise ValidationFailed(
            "assignee is not the name of an agent",
            hint="Name an agent, units/shanghai/agents/li: it leaves the unit with the event, and words don't.",
            fields="assignee",
        )


def own_ticket(work: Work, name: str, etag: str = "") -> Ticket:
    """Load and lock a ticket of this unit. Raises ResourceNotFound for others', EtagMismatch.

    A ticket's time never goes back: where the machine's clock has, the command runs at the time of the last change.
    """
    ticket = find_ticket(work, name) if home_of(name) == work.unit else None
    if ticket is None:
        raise ResourceNotFound(resource=name)
    check_etag(ticket.name, etag_of(ticket), etag)
    work.now = max(work.now, ticket.update_time)
    return ticket


@contextmanager
def own_time(work: Work) -> Iterator[None]:
    """Let what a command does with one ticket of many run at that ticket's time, and the next one at its own again."""
    now = work.now
    try:
        yield
    finally:
        work.now = now


def find_ticket(work: Work, name: str) -> Ticket | None:
    """Load and lock a ticket, if it is here."""
    work.session.flush()
    query = select(Ticket).where(Ticket.name == name).with_for_update()
    return work.session.scalar(query.execution_options(populate_existing=True))


def home_engagement(work: Work, name: str, etag: str = "") -> Engagement:
    """Load and lock an engagement that this unit asked for. Raises ResourceNotFound, EtagMismatch."""
    engagement = find_engagement(work, name) if home_of(name) == work.unit else None
    return _checked(work, engagement, name, etag)


def provided_engagement(work: Work, name: str, etag: str = "") -> Engagement:
    """Load and lock an engagement that is offered to this unit, or was.

    Raises ResourceNotFound; EtagMismatch; IllegalTransition where the ticket was erased: it is over at home, which this
    unit may not have heard yet, and whatever was written about it now would stay.
    """
    engagement = find_engagement(work, name)
    if engagement is not None and engagement.provider != work.unit:
        engagement = None
    checked = _checked(work, engagement, name, etag)
    if erased_among(work.session, SCHEMA, [checked.ticket]):
        raise IllegalTransition(
            f"the texts of {checked.ticket} were erased: there is nothing left to work on",
            hint="Leave it: its home unit has closed the ticket, and the withdrawal is on its way.",
            resource=checked.name,
        )
    return checked


def _checked(work: Work, engagement: Engagement | None, name: str, etag: str) -> Engagement:
    """Return an engagement that is here. Its time never goes back, as a ticket's does not."""
    if engagement is None:
        raise ResourceNotFound(resource=name)
    check_etag(engagement.name, etag_of(engagement), etag)
    work.now = max(filter(None, (work.now, engagement.accept_time, engagement.deliver_time)))
    return engagement


def find_engagement(work: Work, name: str) -> Engagement | None:
    """Load and lock an engagement, if this unit takes part in it."""
    work.session.flush()
    query = select(Engagement).where(Engagement.name == name).with_for_update()
    return work.session.scalar(query.execution_options(populate_existing=True))


def kept(work: Work, ticket: Ticket) -> pb.Ticket:
    """Let the clocks of a ticket follow its change, count it, and return the answer of the command that made it."""
    settle_clocks(work, ticket, work.now)
    ticket.version += 1
    ticket.update_time = work.now
    standards = work.standards_of(ticket.policy_version, ticket.policy_override) if ticket.policy_version else None
    return ticket_to_proto(ticket, standards, work.now)


def kept_engagement(engagement: Engagement) -> pb.Engagement:
    """Count the change of an engagement, and return the answer of the command that made it."""
    engagement.version += 1
    return engagement_to_proto(engagement)


def mirror_of(summary: pb.EngagementSummary, texts: Mapping[str, str]) -> Engagement:
    """Return an engagement that is about to begin here, as an event tells of it, with the texts that came along."""
    return Engagement(
        name=summary.name,
        version=1,
        ticket=ticket_of(summary.name),
        state=pb.REQUESTED,
        provider="",
        desk="",
        peer=False,
        offer=0,
        offer_final=False,
        ticket_summary=summary.ticket.SerializeToString(),
        title=texts.get("title", ""),
        description=texts.get("description", ""),
        reason=texts.get("reason", ""),
        solution="",
        assignee="",
        request_time=instant(summary.request_time),
        policy_version=summary.policy_version,
    )
