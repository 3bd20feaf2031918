"""Headquarters' views of the group, kept up to date in the transaction that stores what they are made of.

A view is never behind the log that it is made of, and never ahead: a batch of records, what it changes in the views,
and the new head of the stream are one transaction. So an acknowledged event is in every view.

A projection says which payloads it is made of, and takes those of whole batches at once, in order: it folds them in
memory and writes one statement. Where only the last fact on a resource counts, the ones that it overtakes within a
batch are never opened, and neither is an event that concerns no projection.

| Projection | made of | answers |
|---|---|---|
| `group_ticket` | every event on a ticket | which tickets there are, and how long they waited |
| `group_clock` | every event on a ticket | what is due in the group, and how promises were kept |
| `hand_over` | TicketHandedOver | who gave what to whom, and what came back |
| `group_escalation` | TicketEscalationRaised to headquarters | what headquarters has to see to |
| `group_complaint` | every event on a complaint | which complaints there are, and what has come to headquarters |
| `group_charge` | ChargePosted | whether the legs of a charge match |
| `policy_acknowledgement` | PolicyAcknowledged | which unit works under which version |
| `unit_override` | PolicyTuned | what each unit has tuned for itself |

Each gets facts only: what a unit tells that is another's to tell never comes here (`headquarters.foreign`).

What routing needs is not a projection, since it decides something: see `hanse_federation.headquarters.engagements`.

A unit that has lost a part of its log tells other things from then on. Its lost facts are taken out (`forget`), and
what remains of the same resources in the log is projected again.

When a projection fails the transaction fails, and is done again without the facts over which it does: they are set
apart (`hanse_federation.headquarters.setting_apart`).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from google.protobuf.message import Message
from sqlalchemy.orm import Session

from hanse_federation.headquarters.projections import (
    group_charge,
    group_clock,
    group_complaint,
    group_escalation,
    group_ticket,
    hand_over,
    policy_acknowledgement,
    unit_override,
)
from hanse_federation.link.receiving import Arrival


class Projection(NamedTuple):
    """A view, by the payloads that it is made of."""

    payloads: frozenset[type[Message]]
    project: Callable[[Session, Sequence[Arrival]], None]
    forget: Callable[[Session, Sequence[Arrival]], None]
    """Takes facts out of the view that its writer has lost, so that what remains about the same resources can be
    projected again."""
    every_one: bool = True
    """Whether it needs every fact, or of each resource only the last one."""


def _project_tickets(session: Session, facts: Sequence[Arrival]) -> None:
    last = group_ticket.last_on_each(facts)
    group_ticket.project(session, last)
    group_clock.project(session, [ticket for _, ticket in last.values()])


def _forget_tickets(session: Session, facts: Sequence[Arrival]) -> None:
    group_ticket.forget(session, facts)
    group_clock.forget(session, facts)


PROJECTIONS = (
    Projection(group_clock.REPAIRS, group_clock.begin_anew, group_clock.forget),
    Projection(group_ticket.PAYLOADS, _project_tickets, _forget_tickets, every_one=False),
    Projection(hand_over.PAYLOADS, hand_over.project, hand_over.forget),
    Projection(group_escalation.PAYLOADS, group_escalation.project, group_escalation.forget),
    Projection(group_complaint.PAYLOADS, group_complaint.project, group_complaint.forget, every_one=False),
    Projection(group_charge.PAYLOADS, group_charge.project, group_charge.forget),
    Projection(policy_acknowledgement.PAYLOADS, policy_acknowledgement.project, policy_acknowledgement.forget),
    Projection(unit_override.PAYLOADS, unit_override.project, unit_override.forget),
)

PROJECTED = frozenset[type[Message]]().union(*(projection.payloads for projection in PROJECTIONS))
"""Every payload that some projection is made of."""
_NUMBERS = {
    payload: [number for number, projection in enumerate(PROJECTIONS) if payload in projection.payloads]
    for payload in PROJECTED
}
"""Which projections a payload concerns: that is asked of hundreds of facts in a transaction."""
EVERY_ONE = frozenset[type[Message]]().union(*(each.payloads for each in PROJECTIONS if each.every_one))
"""The payloads of which some projection needs every one."""


def project(session: Session, facts: Iterable[Arrival]) -> None:
    """Bring every view up to date with facts that arrived, in their order."""
    for projection, concerned in _concerned(facts):
        projection.project(session, concerned)


def forget(session: Session, facts: Iterable[Arrival]) -> None:
    """Take facts out of every view."""
    for projection, concerned in _concerned(facts):
        projection.forget(session, concerned)


def _concerned(facts: Iterable[Arrival]) -> list[tuple[Projection, list[Arrival]]]:
    """Return the projections that facts concern, each with its own, in order."""
    concerned: list[list[Arrival]] = [[] for _ in PROJECTIONS]
    for fact in facts:
        for number in _NUMBERS.get(type(fact.payload), ()):
            concerned[number].append(fact)
    return [(projection, own) for projection, own in zip(PROJECTIONS, concerned, strict=True) if own]
