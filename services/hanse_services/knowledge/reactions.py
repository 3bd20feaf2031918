"""What the knowledge service does when others tell it something."""

from hanse.telling.reacting import InboxProvider, event_handler
from hanse_services.knowledge.effects import EFFECTS
from hanse_services.knowledge.model import SCHEMA


class KnowledgeReactions:
    """The reactions of this service. One method for each kind of thing, so that what is told of it stays in order."""

    name = "knowledge"
    inbox = InboxProvider(SCHEMA)

    @event_handler("ticket", "engagement.delivered")
    def delivery(self, message: bytes) -> None:
        """This unit delivered a solution: it becomes the draft of an article."""
        self.inbox.receive(message, EFFECTS)

    @event_handler("ticket", "ticket.erased")
    def erased_here(self, message: bytes) -> None:
        """This unit erased a ticket's texts."""
        self.inbox.receive(message, EFFECTS)

    @event_handler("federation", "ticket.erased")
    def erased_elsewhere(self, message: bytes) -> None:
        """Another unit erased the texts of a ticket that this unit was asked to work on."""
        self.inbox.receive(message, EFFECTS)

    @event_handler("federation", "article.*")
    def shared_article(self, message: bytes) -> None:
        """Another unit published an article for the group, or retired one."""
        self.inbox.receive(message, EFFECTS)

    @event_handler("policy", "policy.acknowledged")
    def policy(self, message: bytes) -> None:
        """This unit put a policy version in force."""
        self.inbox.receive(message, EFFECTS)
