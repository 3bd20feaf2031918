"""The nameko side of telling: what a service's `reactions.py` is made of, and its container.

    class SettlementReactions:
        name = "settlement"
        inbox = InboxProvider(SCHEMA)

        @event_handler("ticket", "engagement.*")
        def on_engagement(self, message: bytes) -> None:
            self.inbox.receive(message, EFFECTS)

This is the only module of the kernel that imports nameko, and with it eventlet: never import it in a process that has
gRPC or Temporal.

nameko acknowledges a message also when its method has raised; here it does so only when the method has returned.
`receive` returns only after the effect, or the dead letter, is committed (`hanse.telling.receiving`), so a message is
acknowledged only after commit. Where the process dies or is stopped before, the broker delivers the message again, and
the inbox knows it. A method that raises has a defect that is not the message's: it ends its container.

One worker and a prefetch of one for each service: two messages at once could commit in the other order, and then the
facts about one ticket would be applied in an order in which they did not happen. A message that waits for the database
holds up its service, as it must.

When the broker goes away, nameko's consumer connects again, for ever. When anything else ends a container, its host
(`hanse_services.react`) starts a new one.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import structlog
from kombu import Connection, Consumer
from kombu.message import Message
from nameko.containers import ServiceContainer, WorkerContext
from nameko.events import EventHandler
from nameko.extensions import DependencyProvider
from nameko.messaging import QueueConsumer

from hanse.errors import HanseError
from hanse.schema import ServiceSchema
from hanse.telling.dead_letters import Effects
from hanse.telling.names import Subscription
from hanse.telling.receiving import Receiver, open_engine
from hanse.telling.valkey import consuming_url

Method = TypeVar("Method", bound=Callable[..., None])

_UNIT = "HANSE_UNIT"
_DATABASE_URL = "HANSE_DATABASE_URL"

CONNECT_TIMEOUT_SECONDS = 5
RECONNECT_OPTIONS = {"socket_connect_timeout": CONNECT_TIMEOUT_SECONDS}
HEARTBEAT_SECONDS = 30
"""How often RabbitMQ and the consumer make sure of each other: a dead line is found after two of these."""

logger = structlog.get_logger(__name__)


def event_handler(source: str, pattern: str) -> Callable[[Method], Method]:
    """Decorate a method that is told what a source tells under the routing keys that match a pattern, "engagement.*".

    The method takes the serialized LogRecord. Order holds among all that one decorator matches.
    """
    decorator: Callable[[Method], Method] = SteadyEventHandler.decorator(source, pattern)
    return decorator


class SteadyConsumer(QueueConsumer):
    """nameko's consumer, with a channel for each queue and acknowledgements that survive the broker."""

    @contextmanager
    def establish_connection(self) -> Iterator[Connection]:
        """Keep the connection, for `get_consumers` to open channels on."""
        with super().establish_connection() as connection:
            self._established = connection
            yield connection

    def get_consumers(self, consumer_cls: Callable[..., Consumer], channel: Any) -> list[Consumer]:
        """Consume each queue on a channel of its own, one message at a time (see `hanse.telling.valkey`)."""
        for provider in self._providers:
            consumer = Consumer(
                self._established.channel(),
                queues=[provider.queue],
                callbacks=[partial(self.handle_message, provider)],
                accept=self.accept,
                on_decode_error=self.on_decode_error,
            )
            consumer.qos(prefetch_count=1)
            self._consumers[provider] = consumer
        return list(self._consumers.values())

    def unregister_provider(self, provider: EventHandler) -> None:
        """Let go of a handler; before the broker was ever reached, nameko can do so only once."""
        if self._consumers_ready.ready() or not self._last_provider_unregistered.ready():
            super().unregister_provider(provider)

    def ack_message(self, message: Message) -> None:
        """Acknowledge a message; where the broker has just gone, it delivers it again, and the inbox knows it."""
        try:
            super().ack_message(message)
        except (*self.connection_errors, *self.channel_errors) as error:
            logger.warning("a message could not be acknowledged and will come again", error=str(error))


class SteadyEventHandler(EventHandler):
    """nameko's event handler, on the queue that the relay has declared."""

    queue_consumer = SteadyConsumer()

    def setup(self) -> None:
        """Take the queue from where the relay takes it, rather than name it a second time."""
        self.queue = self.subscription(self.container.service_name).queue
        self.queue_consumer.register_provider(self)

    def handle_message(self, body: bytes | str, message: Message) -> None:
        """Hand the body over as bytes, also where somebody else has sent text: it becomes a dead letter."""
        super().handle_message(body.encode() if isinstance(body, str) else body, message)

    def handle_message_processed(self, message: Message, result: object = None, exc_info: Any = None) -> None:
        """Acknowledge a message that was dealt with; let any other end the container, and come again to the next."""
        if exc_info is not None:
            raise exc_info[1]
        self.queue_consumer.ack_message(message)

    def subscription(self, service: str) -> Subscription:
        """Return what this handler of a service is told."""
        return Subscription(service, self.source_service, self.event_type, self.method_name)


class InboxProvider(DependencyProvider):
    """Gives the methods of a service its inbox."""

    def __init__(self, schema: ServiceSchema) -> None:
        self._schema = schema

    def setup(self) -> None:
        """Open the service's engine."""
        config = self.container.config
        self._engine = open_engine(config[_DATABASE_URL])
        self._receiver = Receiver(self._engine, self._schema, config[_UNIT])

    def stop(self) -> None:
        """Close the service's engine."""
        self._engine.dispose()

    def get_dependency(self, worker_ctx: WorkerContext) -> "BoundInbox":
        """Return the inbox as one call of one method sees it."""
        return BoundInbox(self._receiver, f"{worker_ctx.service_name}.{worker_ctx.entrypoint.method_name}")


@dataclass(frozen=True, slots=True)
class BoundInbox:
    """What `self.inbox` is inside a reaction."""

    receiver: Receiver
    reaction: str

    def receive(self, message: bytes, effects: Effects) -> None:
        """Apply a serialized LogRecord by the effect of its payload's type, once (see `hanse.telling.receiving`)."""
        self.receiver.receive(message, effects, self.reaction)


def container_of(reactions: type, *, unit: str, database_url: str, broker_url: str) -> ServiceContainer:
    """Return a container for a service of reactions, ready to be started."""
    config = {
        "AMQP_URI": consuming_url(broker_url),
        # Nothing but raw bytes, which kombu always takes: a message of another kind is none of the relay's.
        "ACCEPT": [],
        "HEARTBEAT": HEARTBEAT_SECONDS,
        "TRANSPORT_OPTIONS": {} if broker_url.startswith("amqp") else RECONNECT_OPTIONS,
        "max_workers": 1,
        _UNIT: unit,
        _DATABASE_URL: database_url,
    }
    container = ServiceContainer(reactions, config)
    for handler in container.entrypoints:
        if not isinstance(handler, SteadyEventHandler):
            raise HanseError(
                f"{reactions.__name__}.{handler.method_name} would lose what it fails on.",
                hint="Import event_handler from hanse.telling.reacting instead of from nameko.",
            )
    return container


def subscriptions_of(reactions: type) -> list[Subscription]:
    """Return what a service of reactions subscribes to, by its decorators."""
    container = container_of(reactions, unit="", database_url="", broker_url="amqp://")
    return sorted(
        (handler.subscription(container.service_name) for handler in container.entrypoints),
        key=lambda subscription: subscription.method,
    )
