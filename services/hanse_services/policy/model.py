"""The tables of the policy service. What is in force in this unit is in the kernel's own table, `SCHEMA.policy`."""

from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from sqlalchemy import BigInteger, LargeBinary, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from hanse.columns import ProtoEnum
from hanse.log.tables import Time
from hanse.schema import ServiceSchema
from hanse.transitions import next_state
from hanse_protos.policy.v1.draft_pb2 import PolicyDraft

if TYPE_CHECKING:
    # The types of enum values are in the contracts' stubs only.
    State: TypeAlias = PolicyDraft.State.ValueType
else:
    State = int

SCHEMA = ServiceSchema("policy", tuned=True)

TRANSITIONS: dict[str, dict[State, State]] = {
    # What was approved of is approved of as it is: writing on it begins the review anew.
    "UpdatePolicyDraft": {PolicyDraft.DRAFT: PolicyDraft.DRAFT, PolicyDraft.APPROVED: PolicyDraft.DRAFT},
    "SubmitPolicyDraft": {PolicyDraft.DRAFT: PolicyDraft.IN_REVIEW},
    "ApprovePolicyDraft": {PolicyDraft.IN_REVIEW: PolicyDraft.APPROVED},
    "ReturnPolicyDraft": {PolicyDraft.IN_REVIEW: PolicyDraft.DRAFT, PolicyDraft.APPROVED: PolicyDraft.DRAFT},
    "PublishPolicyDraft": {PolicyDraft.APPROVED: PolicyDraft.PUBLISHED},
    "WithdrawPolicyDraft": {
        PolicyDraft.DRAFT: PolicyDraft.WITHDRAWN,
        PolicyDraft.IN_REVIEW: PolicyDraft.WITHDRAWN,
        PolicyDraft.APPROVED: PolicyDraft.WITHDRAWN,
    },
}
"""For each verb: from which state of a draft it leads to which."""


class Base(DeclarativeBase):
    """The tables of this service."""

    metadata = SCHEMA.metadata
    type_annotation_map = {datetime: Time, int: BigInteger, bytes: LargeBinary, str: Text}  # noqa: RUF012


class PublishedPolicy(Base):
    """A version that was published here: at headquarters, where publishing puts nothing in force, or in an independent
    unit."""

    __tablename__ = "published_policy"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    policy: Mapped[bytes]
    publish_time: Mapped[datetime]


class Draft(Base):
    """A version that is being written, at headquarters only."""

    __tablename__ = "draft"

    name: Mapped[str] = mapped_column(primary_key=True)
    revision: Mapped[int]
    """Counts the changes of this row: the etag."""
    state: Mapped[State] = mapped_column(ProtoEnum(PolicyDraft.State))
    document: Mapped[bytes]
    base_version: Mapped[int]
    author: Mapped[str]
    writers: Mapped[list[str]] = mapped_column(ARRAY(Text))
    reviewer: Mapped[str] = mapped_column(default="")
    review_note: Mapped[str] = mapped_column(default="")
    create_time: Mapped[datetime]
    update_time: Mapped[datetime]
    policy: Mapped[str] = mapped_column(default="")

    @property
    def etag(self) -> str:
        """It changes with every change (AIP-154)."""
        return f"v{self.revision}"

    def move(self, verb: str) -> None:
        """Go into the state that a verb leads to. Raises IllegalTransition where it leads nowhere from here."""
        self.state = next_state(TRANSITIONS, PolicyDraft.State, self.name, self.state, verb)
