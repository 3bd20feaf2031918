"""What the federation does when others tell it something."""

from hanse.inbox import Effect
from hanse.log.events import Fact
from hanse.reacting import InboxProvider, event_handler
from hanse.work import Work
from hanse_federation.model import SCHEMA
from hanse_protos.policy.v1.policy_pb2 import PolicyAcknowledged


def policy_acknowledged(work: Work, fact: Fact) -> None:
    """Put the policy version in force that this unit has acknowledged: it says what may leave the unit."""
    work.policies.enact(work.session, fact.payload.policy)  # type: ignore[attr-defined]


EFFECTS: dict[type, Effect] = {PolicyAcknowledged: policy_acknowledged}


class FederationReactions:
    """The federation's reactions."""

    name = "federation"
    inbox = InboxProvider(SCHEMA)

    @event_handler("policy", "policy.acknowledged")
    def on_policy(self, message: bytes) -> None:
        """This unit put a policy version in force."""
        self.inbox.receive(message, EFFECTS)
