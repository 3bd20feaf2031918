"""Taking messages from Valkey without ever taking them away before they are done.

kombu pops a message, and only then notes that it is being worked on: a process that dies in between has lost it. What
it did note comes back after an hour, behind later messages, and into the queues of other readers too. None of that
is good enough for facts, so this transport consumes in another way:

- It waits for a queue's head with `BLMOVE queue queue RIGHT RIGHT`, which returns the head and leaves it in its place.
- It acknowledges with `LREM queue -1 message`, which removes just that message.

A message is in its queue until it is acknowledged, so there is nothing to restore: whoever comes next, at once or after
a crash, is given the same head, in the same order. Each channel reads one queue, one message at a time. Publishing and
declaring are kombu's own; everybody else may go on using `redis://`.
"""

from time import monotonic
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis, virtual
from kombu.transport.virtual.base import Empty
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads

SCHEME = "valkey"
"""The scheme of URLs that use this transport."""

PUBLISHING_SCHEME = "redis"


class QoS(virtual.QoS):
    """Acknowledges by removing the head of the queue."""

    # What was not acknowledged is still where it was.
    restore_at_shutdown = False

    def ack(self, delivery_tag: str) -> None:
        """Remove the message from its queue, and ask for the next."""
        self.channel.remove_head()
        super().ack(delivery_tag)
        self.channel.ask_ahead()

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Remove the message, or leave it where it is."""
        if not requeue:
            self.channel.remove_head()
        super().ack(delivery_tag)


class Channel(redis.Channel):
    """Reads one queue, one message at a time."""

    QoS = QoS
    _head: tuple[str, bytes] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The base class takes the emulation's own class where that is on, and a plain one where it is off.
        self.QoS = QoS

    def basic_qos(self, prefetch_size: int = 0, prefetch_count: int = 0, apply_global: bool = False) -> None:
        """Take one message at a time, whatever is asked for: a second look would see the same head."""
        super().basic_qos(prefetch_size, 1, apply_global)

    def _brpop_start(self, timeout: float | None = None) -> None:
        """Ask for the head of the queue. The name is the base class's; its poller knows this command by it."""
        [queue] = self.active_queues
        self._ask("BLMOVE", queue, queue, "RIGHT", "RIGHT", timeout or self.brpop_timeout)

    def _ask(self, *command: str | float) -> None:
        connection = self.client.connection
        self._in_poll = connection
        self._brpop_sent_at = monotonic()
        connection.send_command(*command)

    def _brpop_read(self, **options: Any) -> bool:
        """Deliver the head of the queue, or raise Empty."""
        connection = self.client.connection
        try:
            message = self.client.parse_response(connection, "BLMOVE", **options)
        except self.connection_errors:
            # Disconnected, it is connected anew at the next iteration.
            connection.disconnect()
            raise
        finally:
            self._in_poll = None
        if not message or not self.active_queues:
            raise Empty
        [queue] = self.active_queues
        self._head = (queue, message)
        self.connection._deliver(loads(bytes_to_str(message)), queue)
        return True

    def remove_head(self) -> None:
        """Remove the message that was delivered last; nothing happens where somebody else has done so."""
        if self._head is not None:
            queue, message = self._head
            with self.conn_or_acquire() as client:
                client.lrem(queue, -1, message)
            self._head = None

    def ask_ahead(self) -> None:
        """Ask for the next head now: the poller asks when it wakes, and with nothing asked it sleeps for a second.

        Without waiting for one, so that a backlog costs no writes: `BLMOVE` goes to the append-only file, `LINDEX` not.
        """
        connection = self.client.connection
        if self.active_queues and not self._in_poll and connection is not None and connection._sock is not None:
            self._ask("LINDEX", self.active_queues[0], -1)

    def close(self) -> None:
        """Close without waiting for an answer: what it would bring is in the queue."""
        self._in_poll = None
        super().close()


class Transport(redis.Transport):
    """kombu's transport to Valkey, with these channels."""

    Channel = Channel


TRANSPORT_ALIASES[SCHEME] = f"{__name__}:{Transport.__qualname__}"


def consuming_url(broker_url: str) -> str:
    """Return the URL by which to consume from a broker; that of RabbitMQ stays as it is."""
    scheme, separator, rest = broker_url.partition("://")
    return f"{SCHEME if scheme == PUBLISHING_SCHEME else scheme}{separator}{rest}"
