"""Telling inside a unit: the names on the broker, known in one place to who publishes and to who listens.

The relay (`hanse.telling.relay`) publishes every record of the unit's logs to the topic exchange of its source, and
nameko (`hanse.telling.reacting`) listens with one durable queue for each reaction. Both take exchanges, queues and
routing keys from here. The relay declares every queue before it publishes: what is told before a reaction has ever run
waits for it.

Order holds within one queue: among all that one pattern of one source matches. Two patterns are two queues, and
nothing is promised between them.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from kombu import Connection, Exchange, Queue

from hanse.log.events import short_type

CONTENT_TYPE = "application/data"
CONTENT_ENCODING = "binary"
"""How a body travels: a serialized LogRecord, as it is."""

# A second process of reactions, as during a rolling update, stands by until the first has gone: two at once would
# take turns at one queue and overtake each other.
QUEUE_ARGUMENTS = {"x-single-active-consumer": True}

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass(frozen=True, slots=True)
class Subscription:
    """One reaction: what a method of a service is told."""

    service: str
    """The nameko service, "settlement"."""
    source: str
    """Who tells, "ticket" or "federation"."""
    pattern: str
    """Which routing keys, "engagement.*"."""
    method: str
    """The method that is called."""

    @property
    def queue(self) -> Queue:
        """The queue of this reaction, under the name that nameko gives it."""
        return Queue(
            f"evt-{self.source}-{self.pattern}--{self.service}.{self.method}",
            exchange=event_exchange(self.source),
            routing_key=self.pattern,
            durable=True,
            queue_arguments=QUEUE_ARGUMENTS,
        )

    def matches(self, source: str, key: str) -> bool:
        """Return whether it is told what a source tells under a routing key."""
        return self.source == source and _pattern_expression(self.pattern).fullmatch(key) is not None


def event_exchange(source: str) -> Exchange:
    """Return the exchange on which a source tells, as nameko's event handlers declare it."""
    return Exchange(f"{source}.events", type="topic", durable=True, delivery_mode="persistent")


def routing_key(event_type: str) -> str:
    """Return "engagement.work_noted" for "hanse_protos.ticket.v1.EngagementWorkNoted": the noun, and what it did."""
    noun, *verb = _WORD_START.sub(" ", short_type(event_type)).lower().split()
    return f"{noun}.{'_'.join(verb)}" if verb else noun


def declare(connection: Connection, sources: Iterable[str], subscriptions: Iterable[Subscription]) -> None:
    """Declare the exchanges of the sources, and the queues of the subscriptions with their bindings. Idempotent."""
    channel = connection.default_channel
    for source in sources:
        event_exchange(source)(channel).declare()
    for subscription in subscriptions:
        subscription.queue(channel).declare()


def _pattern_expression(pattern: str) -> re.Pattern[str]:
    """Translate a topic pattern: "*" stands for one word, "#" for any number of them."""
    words = [{"*": r"[^.]+", "#": r".*"}.get(word) or re.escape(word) for word in pattern.split(".")]
    return re.compile(r"\.".join(words))
