"""The tables of the federation, at both ends of a link: in a unit, and at headquarters.

The schema's log tables hold, in a unit: its copy of headquarters' stream to it. At headquarters: the copies of every
unit's streams, the stream to each unit, and headquarters' own routing decisions (`units/hq/streams/federation`).
Headquarters' own desk is a unit too, so its copy of `units/hq/streams/to-hq` and the stream itself are the same rows:
what its agent receives, it has already.
"""

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from hanse.columns import ProtoEnum
from hanse.log.tables import LogTables, Time
from hanse.names import HEADQUARTERS, stream_name
from hanse.schema import ServiceSchema
from hanse_protos.federation.v1 import group_pb2
from hanse_protos.federation.v1 import membership_pb2 as pb
from hanse_protos.policy.v1.policy_pb2 import HierarchyStep
from hanse_protos.ticket.v1 import complaint_pb2, ticket_pb2

SCHEMA = ServiceSchema("federation")
LOG: LogTables = SCHEMA.log
MIGRATIONS = Path(__file__).parent / "migrations"

UPSTREAM_SERVICES = ("policy", "ticket", "settlement", "knowledge")
"""The services whose streams a unit sends. Its other schemas have logs too, which never leave it."""

ROUTING_STREAM = stream_name(HEADQUARTERS, SCHEMA.name)
"""Headquarters' own decisions: the stream of this schema's commands, so it is named after the schema."""

LINK_FOLLOWER = "link"
"""In the log's cursor table: how far the other end has acknowledged a stream. It is kept to be shown; a link always
resumes from what the receiver says."""


class Base(DeclarativeBase):
    """The tables of the federation."""

    metadata = SCHEMA.metadata


class End(StrEnum):
    """The two ends of a link. At headquarters one database holds both, since its own desk has an agent too.

    A line to a peer has an end of its own in each of the two units: its row names the peer.
    """

    AGENT = "AGENT"
    HUB = "HUB"
    PEER = "PEER"


class LinkState(Base):
    """A link as one of its ends knows it."""

    __tablename__ = "link"

    end: Mapped[str] = mapped_column(Text, primary_key=True)
    unit: Mapped[str] = mapped_column(Text, primary_key=True)
    connected: Mapped[bool] = mapped_column(Boolean)
    change_time: Mapped[datetime] = mapped_column(Time)
    contact_time: Mapped[datetime | None] = mapped_column(Time)
    last_error: Mapped[str] = mapped_column(Text, default="")
    connections: Mapped[int] = mapped_column(BigInteger, default=0)
    credit: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """How many more records this end might have sent, at the last heartbeat."""


class KnownHead(Base):
    """How far the other end said that a stream goes which this end receives.

    The mark is the first heartbeat that named more than was here: until that is here, the time since then is the lag.
    """

    __tablename__ = "known_head"

    stream: Mapped[str] = mapped_column(Text, primary_key=True)
    unit: Mapped[str] = mapped_column(Text, index=True)
    sequence: Mapped[int] = mapped_column(BigInteger)
    mark_sequence: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    mark_time: Mapped[datetime | None] = mapped_column(Time)


class Quarantine(Base):
    """A stream whose two holders disagree. Nothing of it is sent or taken until a person has decided (`recovery`)."""

    __tablename__ = "quarantine"

    stream: Mapped[str] = mapped_column(Text, primary_key=True)
    problem: Mapped[str] = mapped_column(Text)
    create_time: Mapped[datetime] = mapped_column(Time, server_default=func.now())
    reason: Mapped[str] = mapped_column(Text, server_default="LOG_FORK")
    found_here: Mapped[bool] = mapped_column(Boolean, server_default="true")
    """Whether this end found it out. One that the other end found out ends when the other end ends it."""
    epoch: Mapped[int | None] = mapped_column(Integer)
    """With `sequence`: the place that the two disagree about, where it is known."""
    sequence: Mapped[int | None] = mapped_column(BigInteger)
    common_epoch: Mapped[int | None] = mapped_column(Integer)
    """With the next two: the last record that both have, once they have compared their logs."""
    common_sequence: Mapped[int | None] = mapped_column(BigInteger)
    common_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    new_epoch: Mapped[int] = mapped_column(Integer, server_default="0")
    """The epoch that the stream's writer has started after the last common record; 0 where it has not."""


class Orphan(Base):
    """A record that one holder of a stream had and its writer has lost: kept, and no longer a part of the stream."""

    __tablename__ = "orphan"

    stream: Mapped[str] = mapped_column(Text, primary_key=True)
    epoch: Mapped[int] = mapped_column(Integer, primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    event_id: Mapped[UUID] = mapped_column(Uuid)
    resource: Mapped[str] = mapped_column(Text)
    type: Mapped[str] = mapped_column(Text)
    occur_time: Mapped[datetime] = mapped_column(Time)
    event: Mapped[bytes] = mapped_column(LargeBinary)
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    append_time: Mapped[datetime] = mapped_column(Time)
    orphan_time: Mapped[datetime] = mapped_column(Time, server_default=func.now())


class RevocationList(Base):
    """The newest list of void certificates that this unit has; there is one row, or none."""

    __tablename__ = "revocation_list"

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    content: Mapped[bytes] = mapped_column(LargeBinary)
    """DER. It was checked before it came here: headquarters made it, or the authority's signature is on it."""


# From here on headquarters only.

MEMBER_TRANSITIONS: dict[str, dict[int, int]] = {
    # A member whose certificate expired or whose key was lost is invited too; it stays a member meanwhile.
    "InviteUnit": {
        pb.MEMBER_STATE_UNSPECIFIED: pb.INVITED,
        pb.INVITED: pb.INVITED,
        pb.ACTIVE: pb.ACTIVE,
        pb.REVOKED: pb.INVITED,
        pb.RETIRED: pb.INVITED,
    },
    "EnrolUnit": {pb.INVITED: pb.ACTIVE, pb.ACTIVE: pb.ACTIVE},
    # Also where the certificate comes from the group's own PKI. A member that is admitted again stays one.
    "AdmitUnit": {
        pb.MEMBER_STATE_UNSPECIFIED: pb.ACTIVE,
        pb.INVITED: pb.ACTIVE,
        pb.ACTIVE: pb.ACTIVE,
        pb.REVOKED: pb.ACTIVE,
        pb.RETIRED: pb.ACTIVE,
    },
    "RevokeUnit": {pb.INVITED: pb.REVOKED, pb.ACTIVE: pb.REVOKED},
    "LeaveGroup": {pb.ACTIVE: pb.RETIRED},
    # Also after it has left by itself: then its work goes to others.
    "RetireUnit": {pb.ACTIVE: pb.RETIRED, pb.REVOKED: pb.RETIRED, pb.RETIRED: pb.RETIRED},
}
"""For each verb: from which state of a unit's membership it leads to which. A unit that headquarters has never heard of
is in the state MEMBER_STATE_UNSPECIFIED. Headquarters itself belongs to its group without a row."""


class Member(Base):
    """A unit that is, was or is about to be a member of the group."""

    __tablename__ = "member"

    unit: Mapped[str] = mapped_column(Text, primary_key=True)
    state: Mapped[int] = mapped_column(ProtoEnum(pb.MemberState))
    create_time: Mapped[datetime] = mapped_column(Time)
    change_time: Mapped[datetime] = mapped_column(Time)
    actor: Mapped[str] = mapped_column(Text)
    """Who decided the state."""
    reason: Mapped[str] = mapped_column(Text, default="")
    invitation_digest: Mapped[bytes | None] = mapped_column(LargeBinary)
    """SHA-256 of the secret in the invitation that stands; the secret itself is stored nowhere."""
    invitation_expire_time: Mapped[datetime | None] = mapped_column(Time)


class Certificate(Base):
    """A certificate of a unit that headquarters signed or has seen. Several are good at a time, while a new one takes
    over from the one before."""

    __tablename__ = "certificate"

    serial: Mapped[str] = mapped_column(Text, primary_key=True)
    unit: Mapped[str] = mapped_column(Text, index=True)
    start_time: Mapped[datetime] = mapped_column(Time)
    expire_time: Mapped[datetime] = mapped_column(Time)
    revoke_time: Mapped[datetime | None] = mapped_column(Time)


class GroupTicket(Base):
    """A ticket of any unit, as its last event left it."""

    __tablename__ = "group_ticket"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    home: Mapped[str] = mapped_column(Text)
    open_time: Mapped[datetime] = mapped_column(Time)
    update_time: Mapped[datetime] = mapped_column(Time)
    waiting_microseconds: Mapped[int] = mapped_column(BigInteger)
    summary: Mapped[bytes] = mapped_column(LargeBinary)

    # One index more would cost a catch-up a tenth of its rate: the tickets of one home are picked out of this one.
    __table_args__ = (Index("group_ticket_by_open_time", open_time, name),)


class GroupClock(Base):
    """A promise on a ticket of any unit, as the ticket's last event left it."""

    __tablename__ = "group_clock"

    ticket: Mapped[str] = mapped_column(Text, primary_key=True)
    kind: Mapped[int] = mapped_column(ProtoEnum(ticket_pb2.Clock.Kind), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    state: Mapped[int] = mapped_column(ProtoEnum(ticket_pb2.Clock.State))
    towards: Mapped[int] = mapped_column(ProtoEnum(ticket_pb2.Clock.Towards))
    home: Mapped[str] = mapped_column(Text)
    holder: Mapped[str] = mapped_column(Text)
    tier: Mapped[int] = mapped_column(SmallInteger)
    """Where it stopped; before that, where its ticket is."""
    priority: Mapped[int] = mapped_column(ProtoEnum(ticket_pb2.Priority))
    category: Mapped[str] = mapped_column(Text)
    service: Mapped[str] = mapped_column(Text)
    target: Mapped[str] = mapped_column(Text)
    policy_version: Mapped[int] = mapped_column(BigInteger)
    due_time: Mapped[datetime | None] = mapped_column(Time)
    breach_time: Mapped[datetime | None] = mapped_column(Time)
    stop_time: Mapped[datetime | None] = mapped_column(Time)
    target_microseconds: Mapped[int] = mapped_column(BigInteger)
    used_microseconds: Mapped[int | None] = mapped_column(BigInteger)
    """Once it has stopped."""
    summary: Mapped[bytes] = mapped_column(LargeBinary)

    __table_args__ = (
        Index("group_clock_by_due_time", due_time, ticket, kind, number, postgresql_where="due_time IS NOT NULL"),
        Index(
            "group_clock_standing",
            ticket,
            kind,
            number,
            postgresql_where="due_time IS NULL AND stop_time IS NULL",
        ),
        Index(
            "group_clock_by_outcome",
            text("coalesce(breach_time, stop_time)"),
            postgresql_where="breach_time IS NOT NULL OR stop_time IS NOT NULL",
        ),
    )


class HandOver(Base):
    """One change of the unit that works on a ticket. The place in the log of the ticket's home orders them."""

    __tablename__ = "hand_over"

    ticket: Mapped[str] = mapped_column(Text, primary_key=True)
    home: Mapped[str] = mapped_column(Text, primary_key=True)
    """Whose log the place is in."""
    epoch: Mapped[int] = mapped_column(Integer, primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    from_unit: Mapped[str] = mapped_column(Text)
    to_unit: Mapped[str] = mapped_column(Text)


class GroupEscalation(Base):
    """What headquarters was told as the highest level of the hierarchy."""

    __tablename__ = "group_escalation"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    raise_time: Mapped[datetime] = mapped_column(Time)
    acknowledge_time: Mapped[datetime | None] = mapped_column(Time)
    ticket: Mapped[bytes] = mapped_column(LargeBinary)
    """The ticket's summary."""
    escalation: Mapped[bytes] = mapped_column(LargeBinary)

    __table_args__ = (Index("group_escalation_by_raise_time", raise_time, name),)


class GroupComplaint(Base):
    """A complaint of a unit's, as headquarters knows it."""

    __tablename__ = "group_complaint"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    home: Mapped[str] = mapped_column(Text)
    state: Mapped[complaint_pb2.ComplaintState.ValueType] = mapped_column(ProtoEnum(complaint_pb2.ComplaintState))
    """With what headquarters has done since its home told of it last."""
    level: Mapped[HierarchyStep.Level.ValueType] = mapped_column(ProtoEnum(HierarchyStep.Level))
    open_time: Mapped[datetime] = mapped_column(Time)
    due_time: Mapped[datetime | None] = mapped_column(Time)
    """When the level that has it owes the next step."""
    summary: Mapped[bytes] = mapped_column(LargeBinary)
    """What its home said last."""
    stages: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    """How each level that it has come to dealt with it, to be counted."""

    __table_args__ = (Index("group_complaint_by_open_time", open_time, name),)


class ComplaintDecision(Base):
    """What headquarters has done with a complaint that came to it. It stays, whatever its home tells or loses."""

    __tablename__ = "complaint_decision"

    complaint: Mapped[str] = mapped_column(Text, primary_key=True)
    handler: Mapped[str] = mapped_column(Text)
    acknowledge_time: Mapped[datetime | None] = mapped_column(Time)
    answer_time: Mapped[datetime | None] = mapped_column(Time)
    outcome: Mapped[complaint_pb2.ComplaintOutcome.ValueType] = mapped_column(ProtoEnum(complaint_pb2.ComplaintOutcome))


class GroupCharge(Base):
    """A charge with the legs that were posted so far; each is a serialized google.type.Money.

    Its home says to whom it owes, and whoever earns says so itself: where the two name different units, each has a row
    of its own, and neither matches.
    """

    __tablename__ = "group_charge"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    provider: Mapped[str] = mapped_column(Text, primary_key=True)
    home: Mapped[str] = mapped_column(Text)
    confirm_time: Mapped[datetime] = mapped_column(Time)
    payable: Mapped[bytes | None] = mapped_column(LargeBinary)
    receivable: Mapped[bytes | None] = mapped_column(LargeBinary)

    __table_args__ = (Index("group_charge_by_confirm_time", confirm_time, name),)


class ForeignFacts(Base):
    """How often a unit has told what is another's to tell, and what it was last.

    Only what headquarters opens is counted: of events that a later one overtakes in the same batch, the later one.
    """

    __tablename__ = "foreign_facts"

    unit: Mapped[str] = mapped_column(Text, primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)
    first_time: Mapped[datetime] = mapped_column(Time)
    last_time: Mapped[datetime] = mapped_column(Time)
    event_id: Mapped[UUID] = mapped_column(Uuid)
    """With the next two: the last one."""
    resource: Mapped[str] = mapped_column(Text)
    type: Mapped[str] = mapped_column(Text)
    """Without its package."""


class PolicyAcknowledgement(Base):
    """A unit has put a version of the policy in force."""

    __tablename__ = "policy_acknowledgement"

    unit: Mapped[str] = mapped_column(Text, primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    acknowledge_time: Mapped[datetime] = mapped_column(Time)


class UnitOverride(Base):
    """What a unit has tuned for itself: every version, since each may govern a ticket. The newest is in force."""

    __tablename__ = "unit_override"

    unit: Mapped[str] = mapped_column(Text, primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    override: Mapped[bytes] = mapped_column(LargeBinary)


class GroupEngagement(Base):
    """An engagement as headquarters' routing knows it. `summary` is what its home said last, the ticket among it."""

    __tablename__ = "group_engagement"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    ticket: Mapped[str] = mapped_column(Text, index=True)
    home: Mapped[str] = mapped_column(Text)
    state: Mapped[int] = mapped_column(ProtoEnum(ticket_pb2.EngagementState))
    provider: Mapped[str] = mapped_column(Text)
    offer: Mapped[int] = mapped_column(Integer, default=0)
    request_time: Mapped[datetime] = mapped_column(Time)
    update_time: Mapped[datetime] = mapped_column(Time)
    summary: Mapped[bytes] = mapped_column(LargeBinary)

    __table_args__ = (Index("group_engagement_by_request_time", request_time, name),)


class Offer(Base):
    """One offer of an engagement, to a provider or to all units of a shared desk at once."""

    __tablename__ = "offer"

    engagement: Mapped[str] = mapped_column(ForeignKey(GroupEngagement.name), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    provider: Mapped[str] = mapped_column(Text)
    """For a shared desk the unit whose acceptance counts; until then empty."""
    desk: Mapped[str] = mapped_column(Text, default="")
    units: Mapped[list[str]] = mapped_column(ARRAY(Text))
    """Whom it was made to."""
    declined: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list)
    """Who of them has declined."""
    peer: Mapped[bool] = mapped_column(Boolean, default=False)
    """Whether the home unit made it, to a peer, and so rules on it too."""
    reassigned: Mapped[bool] = mapped_column(Boolean, default=False)
    """Whether the engagement was taken from its provider for another one to have it."""
    round: Mapped[int] = mapped_column(Integer)
    final: Mapped[bool] = mapped_column(Boolean)
    state: Mapped[int] = mapped_column(ProtoEnum(group_pb2.OfferState))
    offer_time: Mapped[datetime] = mapped_column(Time)
    expire_time: Mapped[datetime] = mapped_column(Time)

    def asked(self) -> set[str]:
        """Return the units that may still answer."""
        return set(self.units) - set(self.declined)


STANDING = frozenset({group_pb2.OPEN, group_pb2.ACCEPTED})
"""The states in which an offer binds its provider: what that provider tells is forwarded, and it is told."""
