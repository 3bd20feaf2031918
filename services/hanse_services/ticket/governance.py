"""What governed a ticket at a minute of its life.

A ticket follows the version of the policy, and of its home unit's override, that it was opened under, wherever it
travels, or that its clocks were put under by a repair since; an engagement is charged by the version that it was asked
for under. What leaves a unit, and who is offered what, follows what was in force in the unit at the time. Who held it,
and under which engagement, is read from the history: the ticket's in its home, the engagement's (`working`) at a
provider. All of that is kept, so the question has an answer for every minute.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from itertools import pairwise

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.errors import HistoryMissing, ResourceNotFound, ValidationFailed
from hanse.names import home_of, override_name, policy_name
from hanse.policy.facts import facts_of
from hanse.policy.histories import Happening, Moment, TicketHistory
from hanse.policy.store import PolicyStore
from hanse.times import instant, instant_in, timestamp
from hanse_protos.policy.v1.policy_pb2 import ClockSituation
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.clocks.repair import history_of
from hanse_services.ticket.clocks.rules import current_of
from hanse_services.ticket.model import Engagement, Ticket
from hanse_services.ticket.working import worked_on


def get_governance(
    session: Session, request: rpc.GetGovernanceRequest, unit: str, policies: PolicyStore, now: datetime
) -> rpc.Governance:
    """Say what governed a ticket of this unit, or one that an engagement shares with it, at an instant.

    Raises ResourceNotFound; ValidationFailed for an instant before the ticket was opened, or to come.
    """
    at = _instant_of(request, now)
    ticket = session.get(Ticket, request.name) if home_of(request.name) == unit else None
    query = select(Engagement).where(Engagement.ticket == request.name).order_by(Engagement.request_time)
    engagements = list(session.scalars(query))
    if ticket is not None:
        governance = _at_home(session, policies, ticket, at, is_now=at == now)
    elif engagements:
        governance = _at_provider(engagements, at)
    else:
        raise ResourceNotFound(resource=request.name)
    _put_engagement(session, governance, engagements, unit, at)
    version, override = policies.in_force_at(session, at)
    governance.ticket = request.name
    governance.time.CopyFrom(timestamp(at))
    governance.policy_in_force = policy_name(version) if version else ""
    governance.override_in_force = override_name(unit, override) if override else ""
    return governance


def _instant_of(request: rpc.GetGovernanceRequest, now: datetime) -> datetime:
    at = instant_in("time", request.time) if request.HasField("time") else now
    if at > now:
        raise ValidationFailed(f"time: {at.isoformat()} is yet to come", fields="time")
    return at


def _check_opened(open_time: datetime, at: datetime) -> None:
    if at < open_time:
        raise ValidationFailed(
            f"time: the ticket was opened at {open_time:%Y-%m-%d %H:%M:%S} UTC, after {at:%Y-%m-%d %H:%M:%S} UTC",
            hint="Name an instant after it was opened.",
            fields="time",
        )


def _at_home(session: Session, policies: PolicyStore, ticket: Ticket, at: datetime, *, is_now: bool) -> rpc.Governance:
    _check_opened(ticket.open_time, at)
    governance = rpc.Governance(
        policy=policy_name(ticket.policy_version) if ticket.policy_version else "",
        override=override_name(home_of(ticket.name), ticket.policy_override) if ticket.policy_override else "",
        holder=home_of(ticket.name),
    )
    for row in ticket.segments:
        if row.start_time <= at and (row.end_time is None or at < row.end_time):
            governance.holder, governance.calendar = row.unit, row.calendar
    # Without its history, what its clocks have kept is all that is known.
    with suppress(HistoryMissing):
        history = history_of(session, ticket.name)
        moments = [moment for moment in history.moments() if moment.at <= at]
        governance.holder = moments[-1].holder
        if governance.holder != home_of(ticket.name):
            governance.engagement = _handed_over_under(moments)
        then = _as_it_was(history, moments)
        governance.former_holders.extend(then.left_units)
        if governance.policy:
            standards = policies.version(session, ticket.policy_version, ticket.policy_override)
            governance.facts.CopyFrom(facts_of(standards, ticket if is_now else then, home_of(ticket.name)))
            governance.current.CopyFrom(current_of(ticket) if is_now else _situation(moments))
    return governance


def _handed_over_under(moments: Sequence[Moment]) -> str:
    """Return the engagement that a ticket was last handed over under."""
    changes = (moment.change for moment in reversed(moments))
    return next((change.engagement for change in changes if change.what == Happening.HANDED_OVER), "")


def _as_it_was(history: TicketHistory, moments: Sequence[Moment]) -> Ticket:
    """Return an example of a ticket as the policy's conditions saw it after some moments of its history.

    No event says so: what was heard of late is told with how the ticket stood by then, not when it happened.
    """
    opened, stands = history.opened, moments[-1]
    ticket = Ticket(
        language=opened.language,
        product=opened.product,
        customer_class=opened.customer_class,
        priority=stands.classification.priority,
        category=stands.classification.category,
        service=stands.classification.service,
        tier=stands.tier,
        holder=opened.holder,
        left_units=[],
        returns=0,
    )
    for before, after in pairwise(moments):
        if before.holder != after.holder:
            ticket.hand_to(after.holder)
    return ticket


def _situation(moments: Sequence[Moment]) -> ClockSituation:
    """Return how a ticket stood after the last of some moments."""
    stands = moments[-1]
    return ClockSituation(
        state=pb.TicketState.Name(stands.state),
        waiting_for=stands.waiting_for,
        holder=stands.holder,
        assigned=bool(stands.assignee),
        responded=any(moment.change.what in (Happening.ANSWERED, Happening.RESOLVED) for moment in moments),
        supplier=stands.supplier,
        suspended=stands.suspended,
    )


def _at_provider(engagements: list[Engagement], at: datetime) -> rpc.Governance:
    """Say what a provider knows: the newest engagement's version, and the override that the ticket's summary names."""
    summary = pb.TicketSummary.FromString(engagements[0].ticket_summary)
    _check_opened(instant(summary.open_time), at)
    begun = [each for each in engagements if each.request_time <= at] or engagements[:1]
    newest = begun[-1]
    summary = pb.TicketSummary.FromString(newest.ticket_summary)
    home = home_of(newest.ticket)
    return rpc.Governance(
        policy=policy_name(newest.policy_version),
        override=override_name(home, summary.policy_override) if summary.policy_override else "",
    )


def _put_engagement(
    session: Session, governance: rpc.Governance, engagements: Sequence[Engagement], unit: str, at: datetime
) -> None:
    """Say which engagement was worked on: what the ticket was handed over under, or what this unit had taken itself.

    The latter is so at a provider, and at home where the home unit is the final owner of its own request.
    """
    for engagement in engagements:
        if not governance.engagement and worked_on(session, engagement.name, unit, at):
            governance.holder, governance.engagement = unit, engagement.name
        if engagement.name == governance.engagement:
            governance.engagement_policy = policy_name(engagement.policy_version)
