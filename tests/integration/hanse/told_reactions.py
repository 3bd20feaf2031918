"""The reactions of the small service. Only the process of reactions may import this: it brings nameko."""

from __future__ import annotations

from hanse.telling.reacting import InboxProvider, event_handler
from tests.integration.hanse.told import EFFECTS, SCHEMA


class ToldReactions:
    """Writes down what it is told."""

    name = "told"
    inbox = InboxProvider(SCHEMA)

    @event_handler("ticket", "ticket.*")
    def on_ticket(self, message: bytes) -> None:
        self.inbox.receive(message, EFFECTS)

    @event_handler("federation", "engagement.*")
    def on_engagement(self, message: bytes) -> None:
        self.inbox.receive(message, EFFECTS)
