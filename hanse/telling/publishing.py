"""Publishing to the unit's broker, in order and confirmed: the blocking side of the relay."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kombu import Connection, Producer
from kombu.exceptions import KombuError

from hanse.errors import BrokerUnavailable
from hanse.telling.names import CONTENT_ENCODING, CONTENT_TYPE, Subscription, declare, event_exchange
from hanse.telling.stale_queues import remove_stale_queues

CONNECT_TIMEOUT_SECONDS = 5
CONFIRM_TIMEOUT_SECONDS = 30.0
"""How long a broker may take to confirm a batch, or to take or send anything; then the batch is sent again."""

AMQP_OPTIONS = {"read_timeout": CONFIRM_TIMEOUT_SECONDS, "write_timeout": CONFIRM_TIMEOUT_SECONDS}
VALKEY_OPTIONS = {"socket_timeout": CONFIRM_TIMEOUT_SECONDS, "socket_connect_timeout": CONNECT_TIMEOUT_SECONDS}


@dataclass(frozen=True, slots=True)
class Telling:
    """A message that is ready to be published."""

    source: str
    key: str
    body: bytes


class Publisher:
    """Publishes batches over one connection, which it opens when needed. Use it from one thread at a time."""

    def __init__(self, broker_url: str, sources: Sequence[str], subscriptions: Sequence[Subscription]) -> None:
        self._url = broker_url
        self._sources = sources
        self._subscriptions = subscriptions
        self._connection: Connection | None = None
        self._publish_batch: Callable[[Sequence[Telling]], None] | None = None

    def publish(self, batch: Sequence[Telling]) -> None:
        """Publish the messages in order, and return once the broker has all of them on disk.

        Raises BrokerUnavailable where that isn't certain: publish the whole batch again.
        """
        connection = self._connection or Connection(
            self._url,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            transport_options=AMQP_OPTIONS if self._url.startswith("amqp") else VALKEY_OPTIONS,
        )
        errors = (*connection.connection_errors, *connection.channel_errors, KombuError, OSError)
        try:
            if self._publish_batch is None:
                self._publish_batch = self._open(connection)
            self._publish_batch(batch)
        except errors as error:
            self.close()
            raise BrokerUnavailable(f"The broker did not take a batch: {error}") from error
        except BrokerUnavailable:
            self.close()
            raise

    def _open(self, connection: Connection) -> Callable[[Sequence[Telling]], None]:
        self._connection = connection
        connection.connect()
        # At every connection, not only at the first: the broker may have come back empty.
        declare(connection, self._sources, self._subscriptions)
        remove_stale_queues(connection, self._sources, self._subscriptions)
        if self._url.startswith("amqp"):
            return _ConfirmedChannel(connection, self._has_reader).publish
        return _PipelinedChannel(connection).publish

    def _has_reader(self, message: Telling) -> bool:
        return any(subscription.matches(message.source, message.key) for subscription in self._subscriptions)

    def close(self) -> None:
        """Drop the connection; the next batch opens another."""
        connection, self._connection, self._publish_batch = self._connection, None, None
        if connection is not None:
            # Not `release`, which talks to the broker: it may be the one that does not answer.
            connection.collect(socket_timeout=1)


class _ConfirmedChannel:
    """RabbitMQ: a batch goes out without waiting, then every message's confirm is waited for.

    RabbitMQ also confirms what no queue takes. So what a reaction waits for is published as mandatory, and comes back
    where somebody has deleted its queue; the connection is then opened anew, which declares the queue again.
    """

    def __init__(self, connection: Connection, has_reader: Callable[[Telling], bool]) -> None:
        self._connection = connection
        self._has_reader = has_reader
        self._producer = Producer(connection.channel(), auto_declare=False)
        self._published = 0
        self._unconfirmed: set[int] = set()
        self._problem = ""
        channel = self._producer.channel
        channel.confirm_select()
        channel.events["basic_ack"].add(self._on_ack)
        channel.events["basic_nack"].add(self._on_nack)
        channel.events["basic_return"].add(self._on_return)

    def publish(self, batch: Sequence[Telling]) -> None:
        for message in batch:
            self._published += 1
            self._unconfirmed.add(self._published)
            _send(self._producer, message, mandatory=self._has_reader(message))
        deadline = time.monotonic() + CONFIRM_TIMEOUT_SECONDS
        while self._unconfirmed and not self._problem:
            # A timeout is an OSError, and ends the batch like every other one.
            self._connection.drain_events(timeout=max(0.0, deadline - time.monotonic()) or 0.001)
        if self._problem:
            raise BrokerUnavailable(self._problem)

    def _on_ack(self, tag: int, multiple: bool) -> None:
        if multiple:
            self._unconfirmed = {waiting for waiting in self._unconfirmed if waiting > tag}
        else:
            self._unconfirmed.discard(tag)

    def _on_nack(self, tag: int, _multiple: bool) -> None:
        self._problem = f"The broker refused message {tag} of this connection."

    def _on_return(self, _error: Exception, exchange: str, key: str, _message: Any) -> None:
        self._problem = f"The queue of a reaction is missing at {exchange} for {key}."


class _PipelinedChannel:
    """Valkey: a batch is one pipeline, whose replies come after the append-only file is on disk."""

    def __init__(self, connection: Connection) -> None:
        self._producer = Producer(connection.channel(), auto_declare=False)

    def publish(self, batch: Sequence[Telling]) -> None:
        with self._producer.batch(max_size=len(batch)):
            for message in batch:
                _send(self._producer, message)


def _send(producer: Producer, message: Telling, *, mandatory: bool = False) -> None:
    producer.publish(
        message.body,
        exchange=event_exchange(message.source),
        routing_key=message.key,
        content_type=CONTENT_TYPE,
        content_encoding=CONTENT_ENCODING,
        delivery_mode="persistent",
        mandatory=mandatory,
    )
