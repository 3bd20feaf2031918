"""What the federation does when others tell it something."""

from hanse.telling.reacting import InboxProvider, event_handler
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

    @event_handler("ticket", "ticket.erased")
    def erased_here(self, message: bytes) -> None:
        """This unit erased a ticket's texts: what others told about it is erased too."""
        self.inbox.receive(message, EFFECTS)

    @event_handler("federation", "ticket.erased")
    def erased_elsewhere(self, message: bytes) -> None:
        """Another unit erased the texts of a ticket that this unit was asked to work on."""
        self.inbox.receive(message, EFFECTS)

    @event_handler("federation", "unit.certificates_revoked")
    def certificates_revoked(self, message: bytes) -> None:
        """Headquarters has made certificates void: peers that show them are refused."""
        self.inbox.receive(message, EFFECTS)
