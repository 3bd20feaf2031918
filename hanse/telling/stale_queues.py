"""Queues of reactions that are no more: found at every connection of the relay, and removed.

Who renames a reaction, or gives it another pattern, makes a queue of another name. The one that it had would stay bound
and grow for ever, with nobody to read it. So the relay compares what it has declared with what it declares now:

- A queue that is no longer declared gets nothing new from now on.
- Where only the method's name is new, what still waits goes on to the new queue, before anything newer. A message that
  is moved twice, as the process died in between, is known to the inbox.
- Then it is deleted. One that has messages and no heir is left as it is, and the log says so at every connection: a
  person decides. The facts are in the log of their service all the same.

Valkey is asked for its bindings. RabbitMQ has no such question in AMQP, so the names of the queues that were declared
are kept in a queue of their own, `hanse.queues`, as durable as they are.
"""

import json
import re
from collections.abc import Iterable
from typing import Any, Protocol

import structlog
from kombu import Connection, Queue
from kombu.transport import virtual

from hanse.telling.names import Subscription, event_exchange

REGISTRY = "hanse.queues"
_NAME = re.compile(r"evt-(?P<source>[a-z_]+)-(?P<pattern>.+)--(?P<service>[a-z_]+)\.(?P<method>\w+)")

logger = structlog.get_logger(__name__)


class _Broker(Protocol):
    """What has to be done on each kind of broker."""

    def known(self) -> set[str]:
        """Return the names of the queues that were declared before."""

    def remember(self, names: Iterable[str]) -> None:
        """Keep the names for the next time."""

    def unbind(self, stale: Subscription) -> None:
        """Have a queue get nothing new."""

    def is_read(self, stale: Subscription) -> bool:
        """Return whether somebody still reads it, as older reactions do until they are replaced."""

    def move(self, stale: Subscription, heir: Subscription) -> None:
        """Pass everything in a queue on to another, in order."""

    def waiting(self, stale: Subscription) -> int:
        """Return how many messages are in a queue."""

    def delete(self, stale: Subscription) -> None:
        """Delete an empty queue."""


def remove_stale_queues(connection: Connection, sources: Iterable[str], subscriptions: Iterable[Subscription]) -> None:
    """Remove the queues that were declared before and are not among the subscriptions. Those must be declared."""
    broker: _Broker = (
        _Valkey(connection, sources) if isinstance(connection.transport, virtual.Transport) else _RabbitMQ(connection)
    )
    declared = {subscription.queue.name: subscription for subscription in subscriptions}
    left = [name for name in sorted(broker.known() - declared.keys()) if not _remove(broker, name, declared.values())]
    broker.remember([*declared, *left])


def _remove(broker: _Broker, name: str, declared: Iterable[Subscription]) -> bool:
    """Remove a queue, or stop it from growing; return whether it is gone."""
    parts = _NAME.fullmatch(name)
    if parts is None:
        return True
    stale = Subscription(parts["service"], parts["source"], parts["pattern"], parts["method"])
    broker.unbind(stale)
    if broker.is_read(stale):
        logger.warning("a queue that is no longer declared is still read, and stays", queue=name)
        return False
    for heir in declared:
        if (heir.service, heir.source, heir.pattern) == (stale.service, stale.source, stale.pattern):
            broker.move(stale, heir)
    if waiting := broker.waiting(stale):
        logger.error("a queue that nobody reads holds messages", queue=name, messages=waiting)
        return False
    broker.delete(stale)
    logger.info("a queue that is no longer declared was removed", queue=name)
    return True


class _RabbitMQ:
    """RabbitMQ, or whatever else speaks AMQP."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._channel: Any = connection.channel()
        self._registry = Queue(REGISTRY, durable=True)(self._channel)
        self._registry.declare()
        self._read: list[Any] = []

    def known(self) -> set[str]:
        names: set[str] = set()
        while (message := self._registry.get(accept=["json"])) is not None:
            self._read.append(message)
            names.update(json.loads(message.body))
        return names

    def remember(self, names: Iterable[str]) -> None:
        # First the new list and then the old one's end, on one channel: where it breaks in between, both are there.
        self._publish(REGISTRY, json.dumps(sorted(names)).encode())
        for message in self._read:
            message.ack()

    def _publish(self, queue: str, body: bytes, **properties: Any) -> None:
        properties = {"content_type": "application/json", "content_encoding": "utf-8"} | properties
        message = self._channel.prepare_message(
            body, content_type=properties["content_type"], content_encoding=properties["content_encoding"],
            properties={"delivery_mode": 2},
        )  # fmt: skip
        self._channel.basic_publish(message, exchange="", routing_key=queue)

    def _state(self, stale: Subscription) -> tuple[int, int]:
        """Return how many messages and readers a queue has; none where it is not there."""
        channel: Any = self._connection.channel()
        try:
            declared = channel.queue_declare(queue=stale.queue.name, passive=True)
        except self._connection.channel_errors:
            # The broker has closed the channel, as there is no such queue.
            return 0, 0
        channel.close()
        return declared.message_count, declared.consumer_count

    def unbind(self, stale: Subscription) -> None:
        if any(self._state(stale)):
            self._channel.queue_unbind(stale.queue.name, stale.queue.exchange.name, stale.pattern)

    def is_read(self, stale: Subscription) -> bool:
        return self._state(stale)[1] > 0

    def move(self, stale: Subscription, heir: Subscription) -> None:
        source = stale.queue(self._channel)
        while self._state(stale)[0] and (message := source.get()) is not None:
            kind = {"content_type": message.content_type, "content_encoding": message.content_encoding}
            self._publish(heir.queue.name, bytes(message.body), **kind)
            message.ack()

    def waiting(self, stale: Subscription) -> int:
        return self._state(stale)[0]

    def delete(self, stale: Subscription) -> None:
        self._channel.queue_delete(stale.queue.name, if_unused=True, if_empty=True)


class _Valkey:
    """Valkey, as kombu keeps queues in it: a list for each, and a set of bindings for each exchange."""

    def __init__(self, connection: Connection, sources: Iterable[str]) -> None:
        self._channel: Any = connection.default_channel
        self._exchanges = [event_exchange(source).name for source in sources]

    def known(self) -> set[str]:
        return {binding[-1] for exchange in self._exchanges for binding in self._channel.get_table(exchange)}

    def remember(self, names: Iterable[str]) -> None:
        """Do nothing: the bindings are what is remembered."""

    def unbind(self, stale: Subscription) -> None:
        exchange, channel = stale.queue.exchange.name, self._channel
        bindings = [binding for binding in channel.get_table(exchange) if binding[-1] == stale.queue.name]
        with channel.conn_or_acquire() as client:
            for binding in bindings:
                for key in (channel.keyprefix_queue, channel.keyprefix_binding_permanent):
                    client.srem(key % exchange, channel.sep.join(binding))

    def is_read(self, stale: Subscription) -> bool:
        """Return False: Valkey knows of no readers. Relay and reactions of the embedded default start together."""
        return False

    def move(self, stale: Subscription, heir: Subscription) -> None:
        with self._channel.conn_or_acquire() as client:
            while client.lmove(stale.queue.name, heir.queue.name, "RIGHT", "LEFT") is not None:
                pass

    def waiting(self, stale: Subscription) -> int:
        with self._channel.conn_or_acquire() as client:
            return int(client.llen(stale.queue.name))

    def delete(self, stale: Subscription) -> None:
        """Do nothing: an empty list is none."""
