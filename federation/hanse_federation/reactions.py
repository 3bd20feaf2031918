"""What the federation does when others tell it something."""

from hanse.reacting import InboxProvider, event_handler
from hanse_federation.effects import EFFECTS
from hanse_federation.model import SCHEMA


class FederationReactions:
    """The federation's reactions."""

    name = "federation"
    inbox = InboxProvider(SCHEMA)

    @event_handler("policy", "policy.acknowledged")
    def on_policy(self, message: bytes) -> None:
        """This unit put a policy version in force."""
        self.inbox.receive(message, EFFECTS)
