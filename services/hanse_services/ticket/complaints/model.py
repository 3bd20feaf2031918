"""The tables of complaints, their states, and which transitions are allowed."""

from datetime import datetime, timedelta

from sqlalchemy import BigInteger, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from hanse.columns import ProtoEnum
from hanse.transitions import next_state
from hanse_protos.policy.v1.policy_pb2 import HierarchyStep
from hanse_protos.ticket.v1 import complaint_pb2 as pb
from hanse_services.ticket.model import Base, Stepped

UNDER_WAY = (pb.COMPLAINT_OPEN, pb.COMPLAINT_ACKNOWLEDGED)
"""The states in which a level owes an answer."""

TRANSITIONS: dict[str, dict[pb.ComplaintState.ValueType, pb.ComplaintState.ValueType]] = {
    "AcknowledgeComplaint": {pb.COMPLAINT_OPEN: pb.COMPLAINT_ACKNOWLEDGED},
    "NoteComplaint": {pb.COMPLAINT_ACKNOWLEDGED: pb.COMPLAINT_ACKNOWLEDGED},
    "AnswerComplaint": {pb.COMPLAINT_ACKNOWLEDGED: pb.COMPLAINT_ANSWERED},
    "RejectComplaintAnswer": {pb.COMPLAINT_ANSWERED: pb.COMPLAINT_OPEN},
    "EscalateComplaint": dict.fromkeys(UNDER_WAY, pb.COMPLAINT_OPEN),
    "CloseComplaint": {pb.COMPLAINT_ANSWERED: pb.COMPLAINT_CLOSED},
    "WithdrawComplaint": dict.fromkeys((*UNDER_WAY, pb.COMPLAINT_ANSWERED), pb.COMPLAINT_CLOSED),
}
"""For each verb: from which state it leads to which. Escalated and rejected, it is open at the next level."""


class Complaint(Base):
    """A complaint, in the unit whose ticket it is about."""

    __tablename__ = "complaint"
    __table_args__ = (
        Index("complaint_by_ticket", "ticket"),
        Index("complaint_by_open_time", "open_time", "name"),
        Index("complaint_by_partner", "partner", "open_time", postgresql_where="partner <> ''"),
    )

    name: Mapped[str] = mapped_column(primary_key=True)
    ticket: Mapped[str] = mapped_column(ForeignKey("ticket.ticket.name"))
    version: Mapped[int]
    state: Mapped[pb.ComplaintState.ValueType] = mapped_column(ProtoEnum(pb.ComplaintState))
    level: Mapped[HierarchyStep.Level.ValueType] = mapped_column(ProtoEnum(HierarchyStep.Level))
    stage: Mapped[int]
    """How many levels have had it, this one included."""
    outcome: Mapped[pb.ComplaintOutcome.ValueType] = mapped_column(ProtoEnum(pb.ComplaintOutcome))
    customer: Mapped[str]
    """A pseudonym, or empty."""
    partner: Mapped[str]
    handler: Mapped[str]
    text: Mapped[str]
    answer: Mapped[str]
    open_time: Mapped[datetime]
    level_time: Mapped[datetime]
    acknowledge_time: Mapped[datetime | None]
    answer_time: Mapped[datetime | None]
    close_time: Mapped[datetime | None]
    update_time: Mapped[datetime]
    accepted_by_silence: Mapped[bool]
    """Whether it closed by itself, since the customer said nothing against the answer in time."""
    rule: Mapped[str]
    """The id of the policy's rule, or empty where the policy promises nothing."""
    policy_version: Mapped[int]
    policy_override: Mapped[int] = mapped_column(BigInteger)

    clocks: Mapped[list["ComplaintClock"]] = relationship(
        order_by="ComplaintClock.stage, ComplaintClock.kind", lazy="select", cascade="all, delete-orphan"
    )

    def move(self, verb: str) -> None:
        """Go into the state that a verb leads to. Raises IllegalTransition where it leads nowhere from here."""
        self.state = next_state(TRANSITIONS, pb.ComplaintState, self.name, self.state, verb)

    def running(self) -> list["ComplaintClock"]:
        """Return the clocks that have not stopped: those of the level that has it."""
        return [clock for clock in self.clocks if clock.stop_time is None]


class ComplaintClock(Stepped, Base):
    """What is promised at one level: a row with its deadline and what is due on the way."""

    __tablename__ = "complaint_clock"
    __table_args__ = (Index("complaint_clock_open", "complaint", postgresql_where="stop_time IS NULL"),)

    complaint: Mapped[str] = mapped_column(ForeignKey("ticket.complaint.name"), primary_key=True)
    stage: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[pb.ComplaintClock.Kind.ValueType] = mapped_column(ProtoEnum(pb.ComplaintClock.Kind), primary_key=True)
    level: Mapped[HierarchyStep.Level.ValueType] = mapped_column(ProtoEnum(HierarchyStep.Level))
    target_duration: Mapped[timedelta]
    calendar: Mapped[str]
    start_time: Mapped[datetime]
    due_time: Mapped[datetime]
    breach_time: Mapped[datetime | None]
    stop_time: Mapped[datetime | None]
    cancelled: Mapped[bool]
    """Whether it stopped without having been met or missed: the complaint went on, or was taken back."""
