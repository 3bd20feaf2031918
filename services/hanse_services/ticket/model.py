"""The tables of the service desk, the states, and which transitions are allowed."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from sqlalchemy import ARRAY, BigInteger, ForeignKey, Index, Interval, SmallInteger, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from hanse.columns import ProtoEnum
from hanse.log.tables import Time
from hanse.policy.levels import LEVELS
from hanse.schema import ServiceSchema
from hanse.transitions import next_state
from hanse_protos.policy.v1.policy_pb2 import HierarchyStep
from hanse_protos.ticket.v1 import ticket_pb2 as pb

SCHEMA = ServiceSchema("ticket", tuned=True)

TICKET_TRANSITIONS: dict[str, dict[pb.TicketState.ValueType, pb.TicketState.ValueType]] = {
    "AssignTicket": {pb.NEW: pb.IN_PROGRESS, pb.IN_PROGRESS: pb.IN_PROGRESS, pb.WAITING: pb.WAITING},
    "EscalateTicket": {pb.NEW: pb.IN_PROGRESS, pb.IN_PROGRESS: pb.IN_PROGRESS, pb.WAITING: pb.WAITING},
    "RequestEngagement": {pb.NEW: pb.IN_PROGRESS, pb.IN_PROGRESS: pb.IN_PROGRESS, pb.WAITING: pb.WAITING},
    "ReclassifyTicket": {state: state for state in (pb.NEW, pb.IN_PROGRESS, pb.WAITING)},
    "CommentTicket": {state: state for state in (pb.NEW, pb.IN_PROGRESS, pb.WAITING, pb.RESOLVED)},
    "PauseTicket": {pb.NEW: pb.WAITING, pb.IN_PROGRESS: pb.WAITING},
    # After a review, a ticket that is suspended is suspended further.
    "SuspendTicket": {pb.NEW: pb.WAITING, pb.IN_PROGRESS: pb.WAITING, pb.WAITING: pb.WAITING},
    "ResumeTicket": {pb.WAITING: pb.IN_PROGRESS},
    "ResolveTicket": {pb.NEW: pb.RESOLVED, pb.IN_PROGRESS: pb.RESOLVED, pb.WAITING: pb.RESOLVED},
    "ReopenTicket": {pb.RESOLVED: pb.IN_PROGRESS},
    "CloseTicket": {pb.RESOLVED: pb.CLOSED},
}
"""For each verb: from which state it leads to which."""

ENGAGEMENT_TRANSITIONS: dict[str, dict[pb.EngagementState.ValueType, pb.EngagementState.ValueType]] = {
    # Headquarters offers it to one candidate after the other.
    "OfferEngagement": {
        pb.REQUESTED: pb.OFFERED,
        pb.OFFERED: pb.OFFERED,
        pb.DECLINED: pb.OFFERED,
        pb.EXPIRED: pb.OFFERED,
        pb.WITHDRAWN: pb.OFFERED,
    },
    "AcceptEngagement": {pb.OFFERED: pb.ACCEPTED},
    "DeclineEngagement": {pb.OFFERED: pb.DECLINED},
    "ExpireOffer": {pb.OFFERED: pb.EXPIRED},
    "NoteEngagementWork": {pb.ACCEPTED: pb.ACCEPTED},
    "DeliverEngagement": {pb.ACCEPTED: pb.DELIVERED},
    "ConfirmEngagement": {pb.DELIVERED: pb.CONFIRMED},
    # A solution that the home unit rejects goes back to the provider.
    "RejectEngagement": {pb.DELIVERED: pb.ACCEPTED},
    "WithdrawEngagement": dict.fromkeys((pb.REQUESTED, pb.OFFERED, pb.DECLINED, pb.EXPIRED, pb.ACCEPTED), pb.WITHDRAWN),
    # Whoever has it is to have it no more.
    "RecallEngagement": dict.fromkeys((pb.ACCEPTED, pb.DELIVERED), pb.WITHDRAWN),
    "ReassignEngagement": dict.fromkeys((pb.ACCEPTED, pb.DELIVERED), pb.REQUESTED),
    # The provider has left the group, or headquarters takes it from it: it looks for another one.
    "ReleaseProvider": dict.fromkeys((pb.OFFERED, pb.ACCEPTED, pb.DELIVERED, pb.DECLINED, pb.EXPIRED), pb.REQUESTED),
    # What the provider learns of a withdrawal, or of an acceptance that came too late; it may have delivered meanwhile.
    "WithdrawOffer": dict.fromkeys(
        (pb.REQUESTED, pb.OFFERED, pb.DECLINED, pb.EXPIRED, pb.ACCEPTED, pb.DELIVERED), pb.WITHDRAWN
    ),
}
"""For each verb: from which state it leads to which."""

HEADQUARTERS_STEPS = frozenset({"OfferEngagement", "ExpireOffer", "WithdrawOffer", "ReleaseProvider"})
"""The steps that headquarters takes: a desk has no such verb."""

OPEN = frozenset({pb.NEW, pb.IN_PROGRESS, pb.WAITING})
"""The states in which a ticket's clocks can run."""


class Base(DeclarativeBase):
    """The tables of this service."""

    metadata = SCHEMA.metadata
    type_annotation_map = {datetime: Time, str: Text, timedelta: Interval}  # noqa: RUF012


class Customer(Base):
    """A person. Personal data is here and nowhere else; events name a customer by the pseudonymous name."""

    __tablename__ = "customer"

    name: Mapped[str] = mapped_column(primary_key=True)
    reference: Mapped[str | None] = mapped_column(unique=True)
    """The partner and the customer's id in the partner's system."""
    display_name: Mapped[str]
    email: Mapped[str]
    phone: Mapped[str]
    customer_class: Mapped[pb.CustomerClass.ValueType] = mapped_column(ProtoEnum(pb.CustomerClass))
    create_time: Mapped[datetime]
    erase_time: Mapped[datetime | None]
    """When the person was erased: from then on the row holds nobody."""
    eraser: Mapped[str | None]
    erasure_ground: Mapped[pb.ErasureGround.ValueType | None] = mapped_column(ProtoEnum(pb.ErasureGround))


class Ticket(Base):
    """A ticket, in its home unit."""

    __tablename__ = "ticket"
    __table_args__ = (
        Index("ticket_by_open_time", "open_time", "name"),
        Index("ticket_by_customer", "customer", postgresql_where="customer IS NOT NULL"),
        # For the load of the agents: few tickets are assigned and open at a time.
        Index("ticket_by_assignee", "assignee", postgresql_where="assignee <> '' AND close_time IS NULL"),
        # For what waits for an agent: nobody was there when it came, or no team suited it.
        Index("ticket_without_agent", "name", postgresql_where="assignee = '' AND close_time IS NULL"),
        Index("ticket_by_partner", "partner", "open_time", postgresql_where="partner <> ''"),
    )

    name: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int]
    state: Mapped[pb.TicketState.ValueType] = mapped_column(ProtoEnum(pb.TicketState))
    title: Mapped[str]
    description: Mapped[str]
    language: Mapped[str]
    category: Mapped[str]
    product: Mapped[str]
    priority: Mapped[pb.Priority.ValueType] = mapped_column(ProtoEnum(pb.Priority))
    tier: Mapped[int] = mapped_column(SmallInteger)
    customer: Mapped[str | None] = mapped_column(ForeignKey("ticket.customer.name"))
    customer_class: Mapped[pb.CustomerClass.ValueType] = mapped_column(ProtoEnum(pb.CustomerClass))
    """As it was when the ticket was opened."""
    service: Mapped[str]
    """The id in the policy's catalogue, or empty."""
    partner: Mapped[str]
    assignee: Mapped[str]
    holder: Mapped[str]
    solution: Mapped[str]
    imported: Mapped[bool]
    """Whether it is part of another desk's past. Then it waits for nobody, unless a team has been given it here."""
    open_time: Mapped[datetime]
    update_time: Mapped[datetime]
    resolve_time: Mapped[datetime | None]
    close_time: Mapped[datetime | None]
    policy_version: Mapped[int]
    policy_override: Mapped[int] = mapped_column(BigInteger)
    """The version of this unit's override that is laid over the policy; 0 for none."""
    target: Mapped[str]
    """The id of the service target that applies; empty where none does, as for an imported ticket: it has no clocks."""
    respond_time: Mapped[datetime | None]
    """When the customer was first answered."""
    waiting_for: Mapped[str]
    supplier: Mapped[str]
    """The supplier that it waits for, where an agreement names one; otherwise empty."""
    waiting_since: Mapped[datetime | None]
    suspend_reason: Mapped[str]
    """Why its work is suspended, since it can't have a deadline; empty while it is not."""
    suspend_time: Mapped[datetime | None]
    review_time: Mapped[datetime | None]
    cap_time: Mapped[datetime | None]
    """When the suspension ends at the latest."""
    suspended_duration: Mapped[timedelta]
    """How long it was suspended before, in all: elapsed time, which counts towards the cap."""
    waiting_duration: Mapped[timedelta]
    breached: Mapped[bool]
    engagement_count: Mapped[int]
    left_units: Mapped[list[str]] = mapped_column(ARRAY(Text))
    """The units that have had it and gave it away."""
    team: Mapped[str]
    """The team that it was given to, or empty."""
    returns: Mapped[int]
    """How often it came to one of those."""

    clocks: Mapped[list["Clock"]] = relationship(order_by="Clock.kind, Clock.number", lazy="select")
    segments: Mapped[list["ClockSegment"]] = relationship(order_by="ClockSegment.number", lazy="select")

    def move(self, verb: str) -> None:
        """Go into the state that a verb leads to. Raises IllegalTransition where it leads nowhere from here."""
        self.state = next_state(TICKET_TRANSITIONS, pb.TicketState, self.name, self.state, verb)

    def hand_to(self, unit: str) -> str:
        """Give it to another unit, count a return to one that it had left, and return who had it until now."""
        before, self.holder = self.holder, unit
        self.left_units = sorted({*self.left_units, before})
        self.returns += unit in self.left_units
        return before


class ClockSegment(Base):
    """A stretch in which one unit held the ticket and the same clocks stood. All clocks of a ticket share them."""

    __tablename__ = "clock_segment"

    ticket: Mapped[str] = mapped_column(ForeignKey("ticket.ticket.name"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    unit: Mapped[str]
    calendar: Mapped[str]
    standing: Mapped[list[str]] = mapped_column(ARRAY(Text))
    """The kinds of clocks that stand in it, by their names; those of all others run."""
    start_time: Mapped[datetime]
    end_time: Mapped[datetime | None]


class StepAction(StrEnum):
    """What happens on a clock when a part of its target is used up."""

    WARN = "WARN"
    BREACH = "BREACH"
    CLIMB = "CLIMB"
    REQUEST_ENGAGEMENT = "REQUEST_ENGAGEMENT"
    REVIEW = "REVIEW"
    CLOSE = "CLOSE"
    """On a complaint's clock only: the answered complaint closes by itself."""
    TELL_DESK_LEAD = "TELL_DESK_LEAD"
    TELL_UNIT_MANAGER = "TELL_UNIT_MANAGER"
    TELL_HEADQUARTERS = "TELL_HEADQUARTERS"


TOLD = {StepAction(f"TELL_{HierarchyStep.Level.Name(level)}"): level for level in LEVELS}
"""Whom the actions tell that tell somebody above the desk."""
TELLING = {level: action for action, level in TOLD.items()}
"""The action that tells a level."""

FULL_PERCENT = 100
"""The part of its target at which a clock runs out."""


@dataclass(slots=True)
class Step:
    """One thing that is due on a clock: when, and whether it was done. Instants are ISO 8601, to be kept as JSON."""

    action: str
    percent: int
    due_time: str | None = None
    done_time: str | None = None
    fixed: bool = False
    """Whether it is due at an instant of its own, whatever of the target is used up by then."""

    def on(self, kind: str) -> str:
        """Describe it to people, on a clock of a kind: "WARN on RESOLUTION at 50 %"."""
        return f"{self.action} on {kind} at {self.percent} %"

    def is_due(self, now: datetime) -> bool:
        """Whether it is time, and it has not been done."""
        return self.done_time is None and self.due_time is not None and datetime.fromisoformat(self.due_time) <= now

    def was_done_early(self) -> bool:
        """Whether it was done before it was due: only what a person has skipped is."""
        done, due = self.done_time, self.due_time
        return done is not None and due is not None and datetime.fromisoformat(done) < datetime.fromisoformat(due)

    def as_json(self) -> dict[str, Any]:
        """Return the step as it is kept. `asdict` copies deeply, which took a quarter of opening a ticket."""
        return {
            "action": self.action,
            "percent": self.percent,
            "due_time": self.due_time,
            "done_time": self.done_time,
            **({"fixed": True} if self.fixed else {}),
        }


class Stepped:
    """A clock on which steps are due."""

    steps: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)

    def open_steps(self) -> list[Step]:
        """Return the steps, as a copy: store them again with `keep_steps`."""
        return [Step(**step) for step in self.steps]

    def keep_steps(self, steps: list[Step]) -> None:
        """Store the steps."""
        self.steps = [step.as_json() for step in steps]

    def skip_again(self, kind: str, described: str, at: datetime) -> None:
        """Mark a step as done that a person had skipped at an instant, as the event describes it."""
        steps = self.open_steps()
        skipped = next((step for step in steps if step.done_time is None and step.on(kind) == described), None)
        if skipped is not None:
            skipped.done_time = at.isoformat()
            self.keep_steps(steps)


class Clock(Stepped, Base):
    """A promise: a row with its deadline. What is used up follows from the ticket's segments."""

    __tablename__ = "clock"
    __table_args__ = (
        Index("clock_open", "ticket", postgresql_where="stop_time IS NULL"),
        # For the queue: what runs out next. Clocks that stand have no time and come last.
        Index("clock_open_by_due_time", "due_time", "ticket", postgresql_where="stop_time IS NULL"),
        Index(
            "clock_by_outcome",
            text("coalesce(breach_time, stop_time)"),
            postgresql_where="breach_time IS NOT NULL OR stop_time IS NOT NULL",
        ),
    )

    ticket: Mapped[str] = mapped_column(ForeignKey("ticket.ticket.name"), primary_key=True)
    kind: Mapped[pb.Clock.Kind.ValueType] = mapped_column(ProtoEnum(pb.Clock.Kind), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    """Which one of its kind, from 1: some are promised again and again."""
    towards: Mapped[pb.Clock.Towards.ValueType] = mapped_column(ProtoEnum(pb.Clock.Towards))
    party: Mapped[str]
    """Who promises it, where that is not the unit to its customer: a tier, a unit, a supplier."""
    engagement: Mapped[str]
    """The engagement that it belongs to, or empty."""
    target: Mapped[str]
    target_duration: Mapped[timedelta]
    elapsed: Mapped[bool]
    """Whether every hour counts; otherwise working time."""
    policy_version: Mapped[int]
    start_time: Mapped[datetime]
    """What lies before it does not count."""
    cancelled: Mapped[bool]
    """Whether a condition of the policy ended it: then it was neither met nor has it to be."""
    reset_holds: Mapped[bool]
    """Whether the condition that lets it begin anew held when it was last asked: it acts when it begins to hold."""
    due_time: Mapped[datetime | None]
    breach_time: Mapped[datetime | None]
    stop_time: Mapped[datetime | None]
    used_duration: Mapped[timedelta | None]
    """What was used up when it stopped: the sum of its segments until then, kept for reports over many clocks."""
    stop_tier: Mapped[int | None] = mapped_column(SmallInteger)
    """The tier at which it stopped."""


class TeamRow(Base):
    """A team of the unit's desk, as its contract's message: there are few, and they are only ever read together."""

    __tablename__ = "team"

    name: Mapped[str] = mapped_column(primary_key=True)
    team: Mapped[bytes]


class Escalation(Base):
    """A level of the hierarchy that was told of a ticket, in the ticket's home unit."""

    __tablename__ = "escalation"
    __table_args__ = (
        Index("escalation_by_ticket", "ticket"),
        Index("escalation_by_raise_time", "raise_time", "name"),
    )

    name: Mapped[str] = mapped_column(primary_key=True)
    ticket: Mapped[str] = mapped_column(ForeignKey("ticket.ticket.name"))
    level: Mapped[HierarchyStep.Level.ValueType] = mapped_column(ProtoEnum(HierarchyStep.Level))
    kind: Mapped[pb.Clock.Kind.ValueType] = mapped_column(ProtoEnum(pb.Clock.Kind))
    number: Mapped[int]
    """With `kind`: the clock that it is about."""
    percent: Mapped[int]
    unanswered_below: Mapped[bool]
    raise_time: Mapped[datetime]
    acknowledge_due_time: Mapped[datetime | None]
    acknowledge_time: Mapped[datetime | None]
    acknowledger: Mapped[str]


class Engagement(Base):
    """An engagement, as this unit knows it: in the home unit and in the provider's."""

    __tablename__ = "engagement"
    __table_args__ = (
        Index("engagement_by_ticket", "ticket"),
        Index("engagement_by_request_time", "request_time", "name"),
    )

    name: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int]
    ticket: Mapped[str]
    state: Mapped[pb.EngagementState.ValueType] = mapped_column(ProtoEnum(pb.EngagementState))
    provider: Mapped[str]
    desk: Mapped[str]
    peer: Mapped[bool]
    """Whether the home unit made the last offer itself, to a peer."""
    peers_asked: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list)
    """In the home unit: the peers that it has asked."""
    offer: Mapped[int]
    offer_expire_time: Mapped[datetime | None]
    offer_final: Mapped[bool]
    ticket_summary: Mapped[bytes]
    title: Mapped[str]
    description: Mapped[str]
    reason: Mapped[str]
    solution: Mapped[str]
    assignee: Mapped[str]
    request_time: Mapped[datetime]
    accept_time: Mapped[datetime | None]
    deliver_time: Mapped[datetime | None]
    confirm_time: Mapped[datetime | None]
    policy_version: Mapped[int]

    def release(self) -> None:
        """Let go of the provider: it is not the provider's any more, and nobody's offer yet."""
        self.provider, self.desk, self.assignee, self.solution = "", "", "", ""
        self.accept_time = self.deliver_time = None

    def move(self, verb: str) -> None:
        """Go into the state that a verb leads to. Raises IllegalTransition where it leads nowhere from here."""
        self.state = next_state(
            ENGAGEMENT_TRANSITIONS, pb.EngagementState, self.name, self.state, verb, untold=HEADQUARTERS_STEPS
        )


class _Versioned(Protocol):
    @property
    def version(self) -> int: ...


def etag_of(row: _Versioned) -> str:
    """Return the etag of a row: it changes with every change (AIP-154)."""
    return f"v{row.version}"
