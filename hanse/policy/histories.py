"""Tickets' histories, read from the events of their homes' logs: what happened and when, free of any policy.

This is the one place that knows what each event *changes* about how a ticket stands. It does not take how the ticket
stood after the event, which every event says too: what another unit tells late, of an earlier time, was written down
after things that it happened before. So a history is put into the order in which things happened, and comes out the
same in whichever order they were heard of.

A correction says that a step happened at another time, did not happen, or happened and was not noted. It counts here;
the events stay as they are.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from google.protobuf.message import DecodeError, Message

from hanse.authority import may_tell
from hanse.log.follow import StoredRecord
from hanse.names import PARTNERS, ticket_in
from hanse.times import instant
from hanse_protos.log.v1.log_pb2 import Event
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_protos.ticket.v1.repair_pb2 import Correction, MissedStep

OTHERS = "other"
"""For whom a ticket waits where nobody said."""
UNTIL_A_REVIEW = "review"
"""What a suspended ticket waits for."""


class Happening(StrEnum):
    """What can happen to a ticket that its clocks, or the conditions on them, see."""

    OPENED = "opened"
    ANSWERED = "answered"
    TAKEN = "taken"
    GIVEN = "given to a team"
    CLIMBED = "climbed"
    ASKED = "the customer wrote"
    ENGAGED = "another unit was asked for"
    DISENGAGED = "its engagement was over"
    PAUSED = "paused"
    RESUMED = "resumed"
    HANDED_OVER = "handed over"
    RESOLVED = "resolved"
    REOPENED = "reopened"
    CLOSED = "closed"
    SUSPENDED = "suspended"
    REVIEW_DUE = "its review was due"
    RECLASSIFIED = "reclassified"


@dataclass(frozen=True, slots=True)
class Classification:
    """What a ticket is taken to be: what its target is chosen by, and can turn out to be otherwise."""

    priority: pb.Priority.ValueType
    category: str
    service: str

    @classmethod
    def of(cls, ticket: pb.TicketSummary) -> Classification:
        """Return that of a ticket as an event describes it."""
        return cls(ticket.priority, sys.intern(ticket.category), sys.intern(ticket.service))


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that happened to a ticket. Instants are aware."""

    what: Happening
    at: datetime
    event_id: str
    actor: str
    unit: str = ""
    """The holder, after a hand-over."""
    tier: int = 0
    """The tier, after a climb."""
    assignee: str = ""
    """Who took it, or was given it, also as it was opened; after a climb nobody has it."""
    waiting_for: str = ""
    """For whom, after a pause."""
    supplier: str = ""
    """The supplier that it waits for by name, after a pause."""
    engagement: str = ""
    """Under which engagement, for a hand-over."""
    review_time: datetime | None = None
    """When it is looked at again, after a suspension."""
    cap_time: datetime | None = None
    """When a suspension ends at the latest."""
    classification: Classification | None = None
    """What it turned out to be, after a reclassification."""
    noted: datetime | None = None
    """When the event has it, where a correction says otherwise; for a step that nobody noted, when that was said."""


@dataclass(frozen=True, slots=True)
class Repair:
    """That a ticket's clocks were computed anew, and under which version of the policy."""

    at: datetime
    version: int
    previous_version: int
    event_id: str
    actor: str
    late_event_id: str = ""
    """The fact that was heard of late, where that was why."""


@dataclass(frozen=True, slots=True)
class Moment:
    """How a ticket stands from an instant on, and what made it so."""

    change: Change
    state: pb.TicketState.ValueType
    holder: str
    tier: int
    assignee: str
    waiting_for: str
    classification: Classification
    supplier: str = ""
    suspended: bool = False

    @property
    def at(self) -> datetime:
        """From when on."""
        return self.change.at


ENDED = frozenset({pb.RESOLVED, pb.CLOSED})
_WORKED_ON = frozenset({pb.NEW, pb.IN_PROGRESS})
_OPEN = _WORKED_ON | {pb.WAITING}

_STEPS: Mapping[Happening, tuple[frozenset[pb.TicketState.ValueType], pb.TicketState.ValueType]] = {
    Happening.PAUSED: (_WORKED_ON, pb.WAITING),
    Happening.SUSPENDED: (_OPEN, pb.WAITING),
    Happening.RESUMED: (frozenset({pb.WAITING}), pb.IN_PROGRESS),
    Happening.RESOLVED: (_OPEN | {pb.CLOSED}, pb.RESOLVED),
    Happening.REOPENED: (ENDED, pb.IN_PROGRESS),
    Happening.CLOSED: (_OPEN | {pb.RESOLVED}, pb.CLOSED),
}
"""What leads from which states to which one. From another state it leads nowhere, and counts as nothing."""


@dataclass(slots=True)
class TicketHistory:
    """A history as it grows, event by event."""

    opened: pb.TicketSummary
    opening: Change
    policy_version: int
    """The version that governs the ticket: the one that it was opened under, or that its clocks were put under since; 0
    where none did."""
    policy_override: int = 0
    """The version of its home's override that governs it with that; 0 for none."""
    imported: bool = False
    opened_under: int = field(init=False)
    """The version that was in force when the ticket was opened; 0 for an imported one, which was opened under none."""
    noted: list[Change] = field(default_factory=list)
    """What happened after the opening, in the order in which it was told."""
    moved: dict[str, tuple[datetime, datetime]] = field(default_factory=dict)
    """By event: when it really happened, and when that was said."""
    voided: set[str] = field(default_factory=set)
    """The events of steps that did not happen."""
    repairs: list[Repair] = field(default_factory=list)
    """When its clocks were repaired, in order."""

    def __post_init__(self) -> None:
        self.opened_under = 0 if self.imported else self.policy_version

    @property
    def open_time(self) -> datetime:
        """When it was opened."""
        return self.opening.at

    @property
    def hold_time(self) -> datetime:
        """Since when its holder has had it: since it last changed hands, or was opened."""
        hand_overs = (change.at for change in self.changes() if change.what == Happening.HANDED_OVER)
        return max(hand_overs, default=self.open_time)

    def note(self, change: Change) -> None:
        """Take what was told next. Who is given a ticket in the command that opens it has it from its opening on."""
        if change.what == Happening.GIVEN and not self.noted and change.at == self.open_time:
            self.opening = replace(self.opening, assignee=change.assignee)
        else:
            self.noted.append(change)

    def correct(self, corrections: Iterable[Correction], event_id: str, actor: str, said: datetime) -> None:
        """Take corrections that were said at an instant. Later ones on the same step replace earlier ones."""
        for correction in corrections:
            match correction.WhichOneof("correction"):
                case "moved":
                    self.moved[correction.moved.event_id] = instant(correction.moved.occur_time), said
                    self.voided.discard(correction.moved.event_id)
                case "voided_event_id":
                    self.voided.add(correction.voided_event_id)
                case "missed":
                    self.noted.append(_missed(correction.missed, event_id, actor, said))

    def changes(self) -> list[Change]:
        """Return what happened after the opening, corrected, in order of time. Nothing happens before the opening."""
        corrected = (self._corrected(change) for change in self.noted if change.event_id not in self.voided)
        return sorted(
            (replace(each, at=self.open_time) if each.at < self.open_time else each for each in corrected),
            key=lambda change: change.at,
        )

    def _corrected(self, change: Change) -> Change:
        if change.event_id not in self.moved:
            return change
        at, _ = self.moved[change.event_id]
        return replace(change, at=at, noted=change.noted or change.at)

    def moments(self) -> Iterator[Moment]:
        """Yield how the ticket stood, from its opening on. A change that leads nowhere from there is left out."""
        opened, assignee = self.opened, self.opening.assignee
        moment = Moment(self.opening, pb.NEW, opened.holder, opened.tier, assignee, "", Classification.of(opened))
        yield moment
        for change in self.changes():
            following = _after(moment, change)
            if following is not None:
                moment = following
                yield moment

    @property
    def resolve_time(self) -> datetime | None:
        """When the solution was found that held."""
        found = None
        for moment in self.moments():
            found = (found or moment.at) if moment.state in ENDED else None
        return found


def _missed(step: MissedStep, event_id: str, actor: str, said: datetime) -> Change:
    what = Happening(MissedStep.Step.Name(step.step).lower())
    waiting_for = (step.waiting_for or OTHERS) if what == Happening.PAUSED else ""
    return Change(what, instant(step.occur_time), event_id, actor, waiting_for=waiting_for, noted=said)


def _after(before: Moment, change: Change) -> Moment | None:
    """Return how a ticket stands after a change; None where the change leads nowhere."""
    if change.what in _STEPS:
        return _stepped(before, change)
    changed: dict[str, Any] = {}
    leads_somewhere = before.state != pb.CLOSED
    match change.what:
        case Happening.HANDED_OVER:
            leads_somewhere, changed["holder"] = change.unit != before.holder, change.unit
        case Happening.TAKEN | Happening.CLIMBED:
            leads_somewhere, changed = True, {"assignee": change.assignee, "tier": change.tier or before.tier}
            changed["state"] = pb.IN_PROGRESS if before.state == pb.NEW else before.state
        case Happening.GIVEN:
            # To be given a ticket is not to have begun with it.
            changed["assignee"] = change.assignee
        case Happening.ENGAGED:
            changed["state"] = pb.IN_PROGRESS if before.state == pb.NEW else before.state
        case Happening.REVIEW_DUE:
            leads_somewhere = before.suspended
        case Happening.RECLASSIFIED:
            leads_somewhere, changed["classification"] = before.state in _OPEN, change.classification
    return replace(before, change=change, **changed) if leads_somewhere else None


def _stepped(before: Moment, change: Change) -> Moment | None:
    """Return how a ticket stands after a step from one state to another."""
    allowed, state = _STEPS[change.what]
    if before.state not in allowed:
        return None
    return replace(
        before,
        change=change,
        state=state,
        waiting_for=change.waiting_for,
        supplier=change.supplier,
        suspended=change.what == Happening.SUSPENDED,
    )


class Histories:
    """The histories of one unit's tickets, read from its stream in order."""

    def __init__(self) -> None:
        self.by_ticket: dict[str, TicketHistory] = {}

    def take_all(self, records: Iterable[StoredRecord]) -> None:
        """Take the next records of the stream."""
        for record in records:
            if record.type in EVENTS:
                self.take(record.decoded())

    def take(self, event: Event) -> None:
        """Take the next event; one that says nothing of how a ticket stands, or can't be read, is passed over."""
        kind = EVENTS.get(event.type)
        if kind is None:
            return
        try:
            fact: Any = kind.FromString(event.payload)
        except DecodeError:
            # Headquarters has set it apart, with an alarm.
            return
        ticket = ticket_in(event.resource)
        if isinstance(fact, told.TicketOpened):
            # A ticket of another unit has no history here, whatever this one's stream says of it.
            if may_tell(event, fact):
                opening = _change(Happening.OPENED, event)
                governing = event.policy_version, fact.ticket.policy_override
                self.by_ticket[ticket] = TicketHistory(fact.ticket, opening, *governing, fact.imported)
            return
        history = self.by_ticket.get(ticket)
        if history is None:
            return
        if isinstance(fact, told.TicketCorrected):
            history.correct(fact.corrections, event.event_id, sys.intern(event.actor), instant(event.occur_time))
        elif isinstance(fact, told.TicketClocksRepaired):
            history.policy_version, history.policy_override = fact.policy_version, fact.ticket.policy_override
            versions = (fact.policy_version, fact.previous_policy_version)
            about = event.event_id, event.actor, fact.late_event_id
            history.repairs.append(Repair(instant(event.occur_time), *versions, *about))
        elif change := _READERS[kind](event, fact):
            history.note(change)


def _change(what: Happening, event: Event, **fields: Any) -> Change:
    return Change(what, instant(event.occur_time), event.event_id, sys.intern(event.actor), **fields)


def _commented(event: Event, fact: told.TicketCommented) -> Change | None:
    """A public comment of the desk is an answer; the customer's own asks for the next one."""
    if event.actor.startswith(PARTNERS):
        return _change(Happening.ASKED, event)
    return _change(Happening.ANSWERED, event) if fact.public else None


def _assigned(event: Event, fact: told.TicketAssigned) -> Change:
    """A team is named where its rules gave the ticket to somebody, or to nobody yet; a person names an agent alone."""
    what = Happening.GIVEN if fact.team else Happening.TAKEN
    return _change(what, event, assignee=sys.intern(fact.assignee))


def _simple(what: Happening) -> Callable[[Event, Any], Change | None]:
    return lambda event, _fact: _change(what, event)


_READERS: dict[type[Message], Callable[[Event, Any], Change | None]] = {
    told.TicketCommented: _commented,
    told.TicketAssigned: _assigned,
    told.EngagementRequested: _simple(Happening.ENGAGED),
    told.EngagementConfirmed: _simple(Happening.DISENGAGED),
    told.EngagementWithdrawn: _simple(Happening.DISENGAGED),
    told.TicketEscalated: lambda event, fact: _change(Happening.CLIMBED, event, tier=fact.ticket.tier),
    told.TicketPaused: lambda event, fact: _change(
        Happening.PAUSED, event, waiting_for=fact.waiting_for, supplier=fact.supplier
    ),
    told.TicketSuspended: lambda event, fact: _change(
        Happening.SUSPENDED,
        event,
        waiting_for=UNTIL_A_REVIEW,
        review_time=instant(fact.review_time),
        cap_time=instant(fact.cap_time),
    ),
    told.TicketReviewDue: _simple(Happening.REVIEW_DUE),
    told.TicketReclassified: lambda event, fact: _change(
        Happening.RECLASSIFIED, event, classification=Classification.of(fact.ticket)
    ),
    told.TicketResumed: _simple(Happening.RESUMED),
    told.TicketHandedOver: lambda event, fact: _change(
        Happening.HANDED_OVER, event, unit=sys.intern(fact.to_unit), engagement=fact.engagement
    ),
    told.TicketResolved: _simple(Happening.RESOLVED),
    told.TicketReopened: _simple(Happening.REOPENED),
    told.TicketClosed: _simple(Happening.CLOSED),
}
"""What each event changes."""

_OTHERS: tuple[type[Message], ...] = (told.TicketOpened, told.TicketCorrected, told.TicketClocksRepaired)

EVENTS: dict[str, type[Message]] = {event.DESCRIPTOR.full_name: event for event in (*_OTHERS, *_READERS)}
"""The events that a history is made of, by their full names."""
