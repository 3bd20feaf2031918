"""What the policy service does when others tell it something."""

from hanse.telling.reacting import InboxProvider, event_handler
from hanse_services.policy.commands import EFFECTS
from hanse_services.policy.model import SCHEMA


class PolicyReactions:
    """The policy service's reactions."""

    name = "policy"
    inbox = InboxProvider(SCHEMA)

    @event_handler("federation", "policy.*")
    def policy(self, message: bytes) -> None:
        """Headquarters published a version: it comes into force here."""
        self.inbox.receive(message, EFFECTS)
