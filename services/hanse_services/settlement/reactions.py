"""What settlement does when others tell it something."""

from hanse.telling.reacting import InboxProvider, event_handler
from hanse_services.settlement.commands import EFFECTS
from hanse_services.settlement.model import SCHEMA


class SettlementReactions:
    """Settlement's reactions. A confirmation comes from the own desk at home, and over the link at the provider."""

    name = "settlement"
    inbox = InboxProvider(SCHEMA)

    @event_handler("ticket", "engagement.confirmed")
    def confirmed_here(self, message: bytes) -> None:
        """This unit confirmed an engagement: it owes."""
        self.inbox.receive(message, EFFECTS)

    @event_handler("federation", "engagement.confirmed")
    def confirmed_elsewhere(self, message: bytes) -> None:
        """Another unit confirmed an engagement that this unit worked on: it earns."""
        self.inbox.receive(message, EFFECTS)

    @event_handler("policy", "policy.acknowledged")
    def policy(self, message: bytes) -> None:
        """This unit put a policy version in force."""
        self.inbox.receive(message, EFFECTS)
