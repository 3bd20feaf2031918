"""What an event in a ticket log means to the processes: pure functions, one table for each process."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from google.protobuf.message import Message

from hanse.log.events import payload_of, short_type
from hanse.log.follow import StoredRecord
from hanse.names import TicketName, home_of, ticket_in
from hanse_protos.ticket.v1 import events_pb2, ticket_pb2
from hanse_protos.ticket.v1.complaint_pb2 import COMPLAINT_CLOSED
from hanse_workflows.processes import Process, complaint_of, escalation_of, sla_of

COMPLAINTS = "/complaints/"
"""In the name of a complaint, which is inside of its ticket."""

_OWN_DOING = frozenset({"SlaWarned", "SlaBreached", "TicketEscalationRaised"})
"""What the evaluation itself tells, and what moves no deadline."""

_COMPLAINT_DOING = frozenset({"ComplaintWarned", "ComplaintOverdue"})
"""What the evaluation of a complaint tells, and what moves no deadline."""

_OVER = frozenset({ticket_pb2.RESOLVED, ticket_pb2.CLOSED})
"""The states in which a ticket's clocks have stopped: no process is needed."""

_ESCALATION_AWAITED = {
    "EngagementRequested": True,
    "EngagementReassignmentRequested": True,
    "EngagementDeclined": True,
    # In a unit's log these two are of an offer that the unit made itself, to a peer.
    "EngagementOffered": False,
    "EngagementOfferExpired": True,
    "EngagementAccepted": False,
    "EngagementWithdrawn": False,
}
"""The events in a unit's log that concern an escalation, and whether it has to go on after each."""


@dataclass(frozen=True, slots=True)
class Hint:
    """That what a process waits for may have changed."""

    process: Process
    awaited: bool
    """Whether it may be needed from here on, which its service knows; otherwise it is needed no more."""
    traceparent: str
    """The trace of what happened, or empty."""


def sla_hint(record: StoredRecord, unit: str) -> Hint | None:
    """Return what a record of the unit's own log means to a ticket's `sla` process.

    The log also holds what the unit did on other units' tickets, as a provider: their clocks run at home. And it holds
    facts on customers and on itself, which have none.
    """
    if home_of(record.resource) != unit or not ticket_in(record.resource) or short_type(record.type) in _OWN_DOING:
        return None
    event = record.decoded()
    payload = payload_of(event)
    if payload is None:
        return None
    process = sla_of(str(TicketName.parse(record.resource)))
    return Hint(process, _summary_of(payload).state not in _OVER, event.trace_context)


def complaint_hint(record: StoredRecord, unit: str) -> Hint | None:
    """Return what a record of the unit's own log means to a complaint's `complaint` process."""
    if COMPLAINTS not in record.resource or home_of(record.resource) != unit:
        return None
    event = record.decoded()
    payload: Any = payload_of(event)
    if payload is None or short_type(record.type) in _COMPLAINT_DOING:
        return None
    return Hint(complaint_of(record.resource), payload.complaint.state != COMPLAINT_CLOSED, event.trace_context)


def own_hint(record: StoredRecord, unit: str) -> Hint | None:
    """Return what a record of the unit's own ticket log means: to the process of a ticket, or of a complaint."""
    return complaint_hint(record, unit) if COMPLAINTS in record.resource else sla_hint(record, unit)


def escalation_hint(record: StoredRecord) -> Hint | None:
    """Return what a record of any unit's ticket log means to an engagement's `escalation` process."""
    awaited = _ESCALATION_AWAITED.get(short_type(record.type))
    if awaited is None:
        return None
    return Hint(escalation_of(record.resource), awaited, record.decoded().trace_context)


def decision_hint(record: StoredRecord) -> Hint | None:
    """Return what a decision of headquarters' routing means to an engagement's `escalation` process.

    Most decisions are what that process has asked for. It does not know of those that a person asked for: an engagement
    that was taken from its provider has been offered to the next one, and nobody waits for the answer yet; an offer
    that was skipped is waited for in vain.
    """
    kind = short_type(record.type)
    if kind not in ("EngagementReassigned", "EngagementOfferExpired"):
        return None
    event = record.decoded()
    payload = payload_of(event)
    if isinstance(payload, events_pb2.EngagementOfferExpired) and not payload.skipped:
        return None
    return Hint(escalation_of(record.resource), True, event.trace_context)


def merged(hints: Iterable[Hint]) -> list[Hint]:
    """Return one hint for each process, in the order of their first: awaited as in its last.

    A process asks for the present state however many events lie behind it. So an imported ticket, from its opening to
    its end, is told once and starts nothing. The trace is the first one: that of the opening, where it is among them.
    """
    by_process: dict[str, Hint] = {}
    for hint in hints:
        first = by_process.get(hint.process.id, hint)
        by_process[hint.process.id] = replace(hint, traceparent=first.traceparent or hint.traceparent)
    return list(by_process.values())


def _summary_of(payload: Message) -> ticket_pb2.TicketSummary:
    """Return the ticket after an event: every event of the ticket log carries it, those of engagements inside."""
    holder = payload if "ticket" in payload.DESCRIPTOR.fields_by_name else getattr(payload, "engagement", None)
    summary = getattr(holder, "ticket", None)
    return summary if isinstance(summary, ticket_pb2.TicketSummary) else ticket_pb2.TicketSummary()
