"""The witness's reactions. Only the process of reactions may import this: it brings nameko."""

from __future__ import annotations

from hanse.telling.reacting import InboxProvider, event_handler
from tests.faults.witness import EFFECTS, SCHEMA


class WitnessReactions:
    """Writes down what it is told."""

    name = "witness"
    inbox = InboxProvider(SCHEMA)

    @event_handler("ticket", "#")
    def on_own(self, message: bytes) -> None:
        self.inbox.receive(message, EFFECTS)

    @event_handler("federation", "#")
    def on_group(self, message: bytes) -> None:
        self.inbox.receive(message, EFFECTS)
