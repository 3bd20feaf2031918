"""What the desk does when others tell it something."""

from hanse.telling.reacting import InboxProvider, event_handler
from hanse_services.ticket.effects import EFFECTS
from hanse_services.ticket.model import SCHEMA


class TicketReactions:
    """The desk's reactions. One method for each kind of thing, so that what is told of it stays in order."""

    name = "ticket"
    inbox = InboxProvider(SCHEMA)

    @event_handler("federation", "engagement.*")
    def on_engagement(self, message: bytes) -> None:
        """Another unit, or headquarters, took a step of an engagement."""
        self.inbox.receive(message, EFFECTS)

    @event_handler("federation", "complaint.*")
    def on_complaint(self, message: bytes) -> None:
        """Headquarters took a step of a complaint that came to it."""
        self.inbox.receive(message, EFFECTS)

    @event_handler("federation", "ticket.*")
    def on_ticket(self, message: bytes) -> None:
        """The home unit told something of a ticket that this unit works on: it is kept for the timeline."""
        self.inbox.receive(message, EFFECTS)

    @event_handler("federation", "sla.*")
    def on_sla(self, message: bytes) -> None:
        """The home unit told that this unit's own agreement runs out, or has: it is kept for the timeline."""
        self.inbox.receive(message, EFFECTS)

    @event_handler("policy", "policy.acknowledged")
    def on_policy(self, message: bytes) -> None:
        """This unit put a policy version in force."""
        self.inbox.receive(message, EFFECTS)

    @event_handler("policy", "policy.tuned")
    def on_tuning(self, message: bytes) -> None:
        """This unit tuned the policy for itself."""
        self.inbox.receive(message, EFFECTS)
