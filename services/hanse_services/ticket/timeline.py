"""The timeline of a ticket: every step in every unit, with who, when, and under which policy version.

Nothing is stored for it. The steps of this unit are in its log, those of other units in its inbox; both are found by
the ticket's name, which every resource inside the ticket begins with.

Of what others told it shows what they may tell (`hanse.authority`): the home unit and headquarters, and of a step of an
engagement a unit that was asked for one on this ticket. What a stranger says of it is not shown, and neither are words.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import Text, cast, literal, select, tuple_, union_all
from sqlalchemy.orm import Session

from hanse.authority import may_tell
from hanse.enums import in_words, name_of
from hanse.log.events import payload_of, short_type
from hanse.log.sealing import texts_of
from hanse.names import HEADQUARTERS, home_of, short_unit
from hanse.policy.levels import level_in_words
from hanse.rpc.paging import decode_token, encode_token, page_size
from hanse_protos.log.v1.log_pb2 import Event
from hanse_protos.policy.v1.policy_pb2 import HierarchyStep
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_protos.ticket.v1.complaint_pb2 import ComplaintClock, ComplaintOutcome
from hanse_services.ticket.model import SCHEMA

AFTER_ANY_NAME = "0"
"""The character after "/": what sorts between `name/` and `name0` is inside `name`."""


def list_timeline_entries(session: Session, request: rpc.ListTimelineEntriesRequest) -> rpc.ListTimelineEntriesResponse:
    """Return a page of a ticket's steps, in order of time."""
    size = page_size(request.page_size)
    steps = _steps(request.parent)
    place = (steps.c.occur_time, steps.c.sequence, steps.c.event_id)
    query = select(steps).order_by(*place).limit(size + 1)
    if after := decode_token(request.page_token, [datetime, int, str]):
        query = query.where(tuple_(*place) > tuple_(*after))
    rows = session.execute(query).all()
    response = rpc.ListTimelineEntriesResponse(entries=_entries(session, request.parent, rows[:size]))
    if len(rows) > size:
        last = rows[size - 1]
        response.next_page_token = encode_token(last.occur_time, last.sequence, last.event_id)
    return response


def all_entries(session: Session, ticket: str) -> list[pb.TimelineEntry]:
    """Return every step of a ticket, in order of time."""
    steps = _steps(ticket)
    query = select(steps).order_by(steps.c.occur_time, steps.c.sequence, steps.c.event_id)
    return list(_entries(session, ticket, session.execute(query).all()))


def _entries(session: Session, ticket: str, rows: Sequence[Any]) -> Iterator[pb.TimelineEntry]:
    """Yield rows as steps of the timeline, but for what is not for its writer to tell."""
    speakers = _speakers(session, ticket) if any(row.heard for row in rows) else frozenset()
    for row in rows:
        if not row.heard or _may_be_shown(Event.FromString(row.event), speakers):
            yield entry_of(row.event, row.sealed)


def _may_be_shown(event: Event, speakers: frozenset[str]) -> bool:
    """Whether an event of another unit is a step of the ticket: also a newer version's, by who has a say in it."""
    payload = payload_of(event)
    return event.unit in speakers and (payload is None or may_tell(event, payload))


def _speakers(session: Session, ticket: str) -> frozenset[str]:
    """Return the units that have a say in a ticket: its home, headquarters, and who was ever asked to work on it."""
    steps = _steps(ticket)
    offers = select(steps.c.event).where(steps.c.type == told.EngagementOffered.DESCRIPTOR.full_name)
    speakers = {home_of(ticket), HEADQUARTERS}
    for event_bytes in session.scalars(offers):
        event = Event.FromString(event_bytes)
        offered: Any = payload_of(event)
        if may_tell(event, offered):
            speakers |= {offered.engagement.provider, *offered.units}
    return frozenset(speakers)


def _steps(ticket: str) -> Any:
    """Return every step of a ticket here. At one instant what others told comes first, as it caused what followed."""
    record, inbox = SCHEMA.log.record.c, SCHEMA.inbox.c
    selects = [
        select(
            columns.occur_time, sequence.label("sequence"), cast(columns.event_id, Text).label("event_id"),
            columns.type, columns.event, columns.sealed, literal(heard).label("heard"),
        ).where(
            (columns.resource == ticket)
            | ((columns.resource >= f"{ticket}/") & (columns.resource < f"{ticket}{AFTER_ANY_NAME}"))
        )
        for columns, sequence, heard in ((record, record.sequence, False), (inbox, literal(0), True))
    ]  # fmt: skip
    return union_all(*selects).subquery()


def entry_of(event_bytes: bytes, sealed: bytes | None) -> pb.TimelineEntry:
    """Return a stored event as a step of the timeline."""
    event = Event.FromString(event_bytes)
    payload, kind = payload_of(event), short_type(event.type)
    describe = _SUMMARIES.get(kind)
    texts = texts_of(sealed)
    return pb.TimelineEntry(
        occur_time=event.occur_time,
        unit=event.unit,
        actor=event.actor,
        type=kind,
        resource=event.resource,
        summary=describe(payload) if describe and payload is not None else kind,
        text=texts.get("text") or texts.get("reason") or texts.get("description") or "",
        policy_version=event.policy_version,
        trace_context=event.trace_context,
        event_id=event.event_id,
    )


INSIDE_COMMENT = "commented inside"
WAITS_FOR_CUSTOMER = "waits for customer"


def _opened(payload: Any) -> str:
    ticket = payload.ticket
    return f"opened, {name_of(pb.Priority, ticket.priority)}, {ticket.category}"


def _offered(payload: Any) -> str:
    final = ", who is the final owner" if payload.final else ""
    desk = payload.engagement.desk
    asked = f"the shared desk {desk}" if desk else short_unit(payload.engagement.provider)
    if payload.engagement.peer:
        return f"offer to its peer {asked}, without headquarters"
    return f"offer {payload.engagement.offer} to {asked}{final}"


def _offer_ended(payload: Any) -> str:
    return f"offer {payload.engagement.offer} " + ("was ended by headquarters" if payload.skipped else "ran out")


def _clock(payload: Any) -> str:
    return in_words(pb.Clock.Kind, payload.kind)


def _utc(time: Timestamp) -> str:
    return f"{time.ToDatetime():%Y-%m-%d %H:%M} UTC"


def _by_party(payload: Any) -> str:
    return f" of {short_unit(payload.party)}" if payload.party else ""


def _paused(payload: Any) -> str:
    return f"waits for {payload.waiting_for}" + (f", {payload.supplier}" if payload.supplier else "")


def _reclassified(payload: Any) -> str:
    ticket = payload.ticket
    before = f"{name_of(pb.Priority, payload.from_priority)}, {payload.from_category}"
    now = f"{name_of(pb.Priority, ticket.priority)}, {ticket.category}"
    if payload.from_target == payload.target:
        return f"{now} instead of {before}; the target stays {payload.target or 'none'}"
    targets = f"target {payload.target or 'none'} instead of {payload.from_target or 'none'}"
    return f"{now} instead of {before}; {targets}, counted from the opening"


def _ruled(payload: Any) -> str:
    effect = in_words(told.ClockRuleApplied.Effect, payload.effect)
    return f"{_clock(payload)} clock was {effect}, by {payload.rule}"


def _resumed(payload: Any) -> str:
    waited: timedelta = payload.ticket.waiting_duration.ToTimedelta()
    if payload.at_cap:
        return "went on by itself: the policy's cap for suspended work is reached"
    return f"went on, waited {waited.total_seconds():.0f} s in all"


def _assigned(payload: Any) -> str:
    if not payload.team:
        return f"assigned to {payload.assignee}"
    team = payload.team.rsplit("/", 1)[-1]
    return f"given to {payload.assignee} of the team {team}" if payload.assignee else f"given to the team {team}"


def _handed_over(payload: Any) -> str:
    returns = payload.ticket.returns
    noticed = f"; it has come back {returns} times by now" if returns > 1 else ""
    return f"went from {short_unit(payload.from_unit)} to {short_unit(payload.to_unit)}{noticed}"


def _level(payload: Any) -> str:
    return in_words(HierarchyStep.Level, payload.escalation.level)


def _raised(payload: Any) -> str:
    escalation = payload.escalation
    why = ", since nobody below answered" if escalation.unanswered_below else ""
    clock = in_words(pb.Clock.Kind, escalation.kind)
    return f"told the {_level(payload)}: {clock} clock at {escalation.percent} %{why}"


def _seen(payload: Any) -> str:
    return f"the {_level(payload)} has seen it"


def _reassigned(payload: Any) -> str:
    provider = short_unit(payload.from_unit)
    why = f"it was stuck with {provider}" if payload.stuck else f"{provider} left the group"
    return f"{why}: another one is asked"


def _withdrawn(payload: Any) -> str:
    if payload.recalled:
        return f"took the ticket back from {short_unit(payload.engagement.provider)}"
    return "called the engagement off"


def _complaint_clock(payload: Any) -> str:
    return f"time for the {in_words(ComplaintClock.Kind, payload.kind)} of the complaint"


_CAUSES = {
    told.ComplaintEscalated.ANSWER_REJECTED: ", since the customer is not content with the answer",
    told.ComplaintEscalated.OVERDUE: ", since the time ran out",
}


def _taken_further(payload: Any) -> str:
    return f"complaint went to {level_in_words(payload.complaint.level)}{_CAUSES.get(payload.cause, '')}"


def _complaint_answered(payload: Any) -> str:
    return f"complaint was answered: {in_words(ComplaintOutcome, payload.complaint.outcome)}"


def _complaint_closed(payload: Any) -> str:
    if payload.complaint.accepted_by_silence:
        return "complaint closed by itself: nothing was said against the answer in time"
    taken_back = payload.complaint.outcome == ComplaintOutcome.TAKEN_BACK
    return "complaint was taken back" if taken_back else "complaint was closed"


_COMPLAINTS: dict[str, Callable[[Any], str]] = {
    "ComplaintOpened": lambda payload: f"complaint, with {level_in_words(payload.complaint.level)}",
    "ComplaintAcknowledged": lambda payload: f"complaint was taken up by {payload.complaint.handler}",
    "ComplaintNoted": lambda _payload: "noted something on the complaint",
    "ComplaintAnswered": _complaint_answered,
    "ComplaintEscalated": _taken_further,
    "ComplaintWarned": lambda payload: f"{_complaint_clock(payload)}: {payload.percent} % is used up",
    "ComplaintOverdue": lambda payload: f"{_complaint_clock(payload)} ran out",
    "ComplaintStepSkipped": lambda payload: f"{payload.requester} had {payload.step} skipped",
    "ComplaintClosed": _complaint_closed,
    "ComplaintSeen": lambda _payload: "headquarters took the complaint up",
    "ComplaintDecided": lambda _payload: "headquarters answered the complaint",
}

_SUMMARIES: dict[str, Callable[[Any], str]] = {
    "TicketOpened": _opened,
    "TicketCommented": lambda payload: "commented, for the customer to see" if payload.public else INSIDE_COMMENT,
    "TicketAssigned": _assigned,
    "TicketEscalated": lambda payload: f"climbed from tier {payload.from_tier} to tier {payload.ticket.tier}",
    "TicketReclassified": _reclassified,
    "TicketSuspended": lambda payload: f"suspended until a review on {_utc(payload.review_time)}",
    "TicketReviewDue": lambda payload: f"review is due; goes on by itself on {_utc(payload.cap_time)}",
    "TicketPaused": _paused,
    "TicketResumed": _resumed,
    "TicketResolved": lambda _payload: "resolved",
    "TicketReopened": lambda _payload: "reopened",
    "TicketClosed": lambda _payload: "closed",
    "TicketErased": lambda _payload: "all texts were erased",
    "TicketHandedOver": _handed_over,
    "SlaWarned": lambda payload: f"{_clock(payload)} clock{_by_party(payload)}: {payload.percent} % is used up",
    "SlaBreached": lambda payload: f"{_clock(payload)} clock{_by_party(payload)} ran out",
    "ClockRuleApplied": _ruled,
    "TicketEscalationRaised": _raised,
    "TicketEscalationAcknowledged": _seen,
    "TicketEscalationSeen": _seen,
    "SlaBreachWithdrawn": lambda payload: f"{_clock(payload)} clock had not run out after all",
    "TicketCorrected": lambda payload: f"corrected what had happened, {len(payload.corrections)} step(s)",
    "TicketClocksRepaired": lambda payload: f"clocks repaired under policy version {payload.policy_version}",
    "EngagementRequested": lambda _payload: "asked headquarters for a provider",
    "EngagementOffered": _offered,
    "EngagementOfferExpired": _offer_ended,
    "EngagementReassigned": _reassigned,
    "EngagementReassignmentRequested": lambda payload: (
        f"asked for another provider than {short_unit(payload.engagement.provider)}"
    ),
    "SlaStepSkipped": lambda payload: f"{payload.requester} had {payload.step} skipped",
    "EngagementOfferWithdrawn": lambda payload: f"offer {payload.engagement.offer} was taken back",
    "EngagementAccepted": lambda payload: f"accepted by {short_unit(payload.engagement.provider)}",
    "EngagementDeclined": lambda payload: f"declined by {short_unit(payload.engagement.provider)}",
    "EngagementWorkNoted": lambda _payload: "noted work",
    "EngagementDelivered": lambda _payload: "delivered a solution",
    "EngagementConfirmed": lambda _payload: "confirmed the solution",
    "EngagementRejected": lambda _payload: "sent the solution back",
    "EngagementWithdrawn": _withdrawn,
    **_COMPLAINTS,
    "EngagementImported": lambda payload: f"was worked on by {short_unit(payload.engagement.provider)}",
}
