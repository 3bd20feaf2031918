"""What the federation does about what others tell it: its reactions, and whoever retries one, do the same."""

from hanse.inbox import Effect
from hanse.log.events import Fact
from hanse.work import Work
from hanse_protos.policy.v1.policy_pb2 import PolicyAcknowledged


def policy_acknowledged(work: Work, fact: Fact) -> None:
    """Put the policy version in force that this unit has acknowledged: it says what may leave the unit."""
    work.policies.enact(work.session, fact.payload.policy)  # type: ignore[attr-defined]


EFFECTS: dict[type, Effect] = {PolicyAcknowledged: policy_acknowledged}
"""Which fact has which effect."""
