"""The process that hosts a unit's reactions: `python -m hanse_services.react [module:Class …]`.

Without arguments it hosts the reactions of every row in `subscriptions`. Each service has a nameko container of its
own. A container that ends for any reason is replaced, ever less often, up to `MAX_BACKOFF_SECONDS`.

On SIGTERM and SIGINT it lets the messages that are being applied finish for `STOP_GRACE_SECONDS`, and goes. It may as
well be killed at any moment: what was not acknowledged is delivered again, and the inbox knows what was applied.

Nothing here may import gRPC or Temporal: they do not survive eventlet's patches.
"""

# ruff: noqa: E402 - eventlet must patch the standard library before anybody else imports it.

import os

# psycopg's own waiting blocks every green thread; this one goes through the patched selectors. It is read at import.
os.environ["PSYCOPG_WAIT_FUNC"] = "wait_selector"

import eventlet

eventlet.monkey_patch()

import signal
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from types import FrameType

import structlog
from eventlet.event import Event
from nameko.containers import ServiceContainer
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider

from hanse.config import Settings, load_settings
from hanse.errors import HanseError
from hanse.logs import configure_logging
from hanse.otlp_http import HttpMetricExporter, HttpSpanExporter
from hanse.telemetry import start_metrics, start_telemetry
from hanse.telling.reacting import container_of, subscriptions_of
from hanse_services.subscriptions import REACTIONS, SUBSCRIPTIONS

ROLE = "react"
STOP_GRACE_SECONDS = 5.0
MIN_BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 15.0
STEADY_SECONDS = 60.0
"""A container that lived for this long was well, and the next one starts without a wait again."""

logger = structlog.get_logger(__name__)


class Host:
    """Keeps the container of one service running."""

    def __init__(self, reactions: type, settings: Settings) -> None:
        self._reactions = reactions
        self._settings = settings
        self._container: ServiceContainer | None = None
        self._stopping = False

    def run(self) -> None:
        """Run the container until stopped, and another one whenever it fails."""
        failures = 0
        while not self._stopping:
            self._container = container_of(
                self._reactions,
                unit=self._settings.unit,
                database_url=self._settings.database_url,
                broker_url=self._settings.broker_url,
            )
            began = time.monotonic()
            try:
                self._container.start()
                self._container.wait()
            except Exception:
                logger.exception("a container of reactions failed and is replaced", service=self._reactions.__name__)
                if time.monotonic() - began > STEADY_SECONDS:
                    failures = 0
                eventlet.sleep(min(MAX_BACKOFF_SECONDS, MIN_BACKOFF_SECONDS * 2 ** min(failures, 10)))
                failures += 1

    def stop(self) -> None:
        """Stop the container once the message that it applies is done."""
        self._stopping = True
        try:
            if self._container is not None:
                self._container.stop()
        except Exception:
            # It must not keep the others from stopping well; what it leaves undone is delivered again.
            logger.exception("a container of reactions did not stop well", service=self._reactions.__name__)


def load(path: str) -> type:
    """Import a class of reactions, "hanse_services.ticket.reactions:TicketReactions"."""
    module, _, name = path.partition(":")
    reactions: type = getattr(import_module(module), name)
    return reactions


def check(path: str, reactions: type) -> None:
    """Check that the relay declares what the class subscribes to; raises where a message could be lost."""
    declared = {subscription for subscription in SUBSCRIPTIONS if subscription.service == reactions.name}  # type: ignore[attr-defined]
    wanted = set(subscriptions_of(reactions))
    if wanted != declared:
        raise HanseError(
            f"{path} subscribes to something else than hanse_services.subscriptions says.",
            hint=f"Add {sorted(map(str, wanted - declared))}, remove {sorted(map(str, declared - wanted))}.",
        )


def serve(classes: Sequence[type], settings: Settings) -> None:
    """Host the classes of reactions until the process is asked to stop."""
    stopping = Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        if not stopping.ready():
            stopping.send()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    hosts = [Host(reactions, settings) for reactions in classes]
    for host in hosts:
        eventlet.spawn(host.run)
    logger.info("reactions are running", unit=settings.unit, services=[reactions.__name__ for reactions in classes])
    stopping.wait()
    with eventlet.Timeout(STOP_GRACE_SECONDS, False):
        for stopped in [eventlet.spawn(host.stop) for host in hosts]:
            stopped.wait()


def export(settings: Settings) -> list[TracerProvider | MeterProvider]:
    """Export spans and metrics where an endpoint is configured; return what is to be shut down at the end."""
    endpoint = settings.otlp_http_endpoint
    if not endpoint:
        return [start_telemetry(settings.unit, ROLE, None)]
    meters = start_metrics(settings.unit, ROLE, HttpMetricExporter(endpoint))
    metrics.set_meter_provider(meters)
    return [start_telemetry(settings.unit, ROLE, HttpSpanExporter(endpoint)), meters]


def main(paths: Sequence[str]) -> None:
    """Run the process."""
    settings = load_settings()
    configure_logging(settings.log_level)
    providers = export(settings)
    classes = []
    for path in paths or REACTIONS:
        reactions = load(path)
        if path in REACTIONS:
            check(path, reactions)
        classes.append(reactions)
    serve(classes, settings)
    for provider in providers:
        provider.shutdown()


if __name__ == "__main__":
    main(sys.argv[1:])
