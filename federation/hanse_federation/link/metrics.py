"""The links, logs, quarantines and dead letters of a unit as OpenTelemetry metrics.

Instruments are observed synchronously, and what they say is in the database: so a task reads it every few seconds, and
the instruments show what was read last. While the database does not answer they show nothing rather than something old.
`docs/reference/metrics.md` describes each.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import structlog
from opentelemetry.metrics import CallbackOptions, Meter, Observation
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hanse.database import DATABASE_ERRORS, Database
from hanse.errors import FactSetApart
from hanse.log.follow import list_streams, read_head
from hanse.schema import ServiceSchema
from hanse.telemetry import METRIC_INTERVAL_SECONDS
from hanse.telling.dead_letters import OPEN
from hanse_federation.link.sending import upstream_sources
from hanse_federation.link.showing import list_alarms, list_links
from hanse_federation.model import LOG, SCHEMA, UPSTREAM_SERVICES, ForeignFacts
from hanse_federation.recovery.quarantine import HINTS
from hanse_protos.federation.v1 import group_pb2 as pb

logger = structlog.get_logger(__name__)


class Snapshot(NamedTuple):
    """What the instruments show."""

    links: pb.ListLinksResponse
    alarms: pb.ListAlarmsResponse
    heads: dict[str, int]
    """The sequence of the last record by stream: the unit's own streams, and the copies that it keeps."""
    dead_letters: dict[str, int]
    """How many wait, by service."""
    foreign_facts: dict[str, int]
    """How often a unit told what is another's to tell, by unit."""


NOTHING = Snapshot(pb.ListLinksResponse(), pb.ListAlarmsResponse(), {}, {}, {})


def read_snapshot(session: Session, unit: str) -> Snapshot:
    """Read everything that the instruments show."""
    heads = {stream: read_head(session, LOG, stream).sequence for stream in list_streams(session, LOG)}
    # A stream that headquarters also keeps a copy of is shown as its own desk has it.
    heads |= {
        source.stream: read_head(session, source.log, source.stream).sequence for source in upstream_sources(unit)
    }
    return Snapshot(
        links=list_links(session, unit),
        alarms=list_alarms(session, pb.ListAlarmsRequest()),
        heads=heads,
        dead_letters={service: _dead_letters(session, service) for service in (*UPSTREAM_SERVICES, SCHEMA.name)},
        foreign_facts=dict(session.execute(select(ForeignFacts.unit, ForeignFacts.count)).all()),
    )


def _dead_letters(session: Session, service: str) -> int:
    table = ServiceSchema(service).dead_letter
    return session.scalar(select(func.count()).select_from(table).where(table.c.state.in_(OPEN))) or 0


class LinkMetrics:
    """Reads, and observes."""

    def __init__(self, database: Database, unit: str, meter: Meter) -> None:
        self._database = database
        self._unit = unit
        self._snapshot = NOTHING
        gauges: list[tuple[str, str, str, Observer]] = [
            ("hanse.link.up", "1", "Whether the link is up: 1 or 0.", _up),
            ("hanse.link.health", "1", "1 for the state of health that the link is in.", _health),
            ("hanse.link.acknowledged", "{event}", "How far the other end has a stream.", _acknowledged),
            ("hanse.link.credit", "{record}", "Records that may still be sent unacknowledged.", _credit),
            ("hanse.link.lag.events", "{event}", "Events that the receiver of a stream lacks.", _lag_events),
            ("hanse.link.lag.duration", "s", "For how long it has lacked the first of them.", _lag_duration),
            ("hanse.log.head", "{event}", "The sequence of a stream's last record here.", _heads),
            ("hanse.log.quarantined", "1", "1 for each stream in quarantine.", _quarantined),
            ("hanse.log.set_apart", "1", "1 for each stream of which headquarters has set facts apart.", _set_apart),
            ("hanse.dead_letters", "{message}", "Messages that could not be applied and wait.", _dead),
        ]
        for name, measure, text, observe in gauges:
            meter.create_observable_gauge(name, [self._observing(observe)], unit=measure, description=text)
        meter.create_observable_counter(
            "hanse.link.reconnects",
            [self._observing(_reconnects)],
            unit="{reconnect}",
            description="How often the link was opened again.",
        )
        meter.create_observable_counter(
            "hanse.link.foreign_facts",
            [self._observing(_foreign)],
            unit="{fact}",
            description="What units told that is another's to tell.",
        )

    def _observing(self, observe: "Observer") -> Callable[[CallbackOptions], Iterable[Observation]]:
        return lambda _options: list(observe(self._snapshot))

    async def run(self) -> None:
        """Read again and again, until cancelled."""
        while True:
            await self.read()
            await asyncio.sleep(METRIC_INTERVAL_SECONDS)

    async def read(self) -> None:
        """Read what the instruments show from now on."""
        try:
            self._snapshot = await self._database.read(read_snapshot, self._unit)
        except DATABASE_ERRORS as error:
            logger.warning("metrics can't be read", error=str(error))
            self._snapshot = NOTHING


Observer = Callable[[Snapshot], Iterator[Observation]]


def _of_link(link: pb.LinkReport) -> dict[str, str]:
    end = "peer" if link.peer else "hub" if link.hub else "agent"
    return {"hanse.link.unit": link.unit, "hanse.link.end": end}


def _streams(snapshot: Snapshot) -> Iterator[tuple[pb.StreamReport, dict[str, str]]]:
    for link in snapshot.links.links:
        for stream in link.streams:
            direction = "sent" if stream.sent else "received"
            yield stream, {**_of_link(link), "hanse.stream": stream.stream, "hanse.link.direction": direction}


def _up(snapshot: Snapshot) -> Iterator[Observation]:
    return (Observation(int(link.connected), _of_link(link)) for link in snapshot.links.links)


def _health(snapshot: Snapshot) -> Iterator[Observation]:
    for link in snapshot.links.links:
        attributes = {**_of_link(link), "hanse.link.health": pb.LinkHealth.Name(link.health)}
        if link.last_error and not link.connected:
            attributes["error.type"] = link.last_error.split(":", 1)[0]
        yield Observation(1, attributes)


def _acknowledged(snapshot: Snapshot) -> Iterator[Observation]:
    for stream, attributes in _streams(snapshot):
        if stream.sent:
            yield Observation(stream.other_sequence, attributes)


def _credit(snapshot: Snapshot) -> Iterator[Observation]:
    return (Observation(link.credit, _of_link(link)) for link in snapshot.links.links)


def _reconnects(snapshot: Snapshot) -> Iterator[Observation]:
    return (Observation(link.reconnects, _of_link(link)) for link in snapshot.links.links)


def _foreign(snapshot: Snapshot) -> Iterator[Observation]:
    return (Observation(count, {"hanse.link.unit": unit}) for unit, count in snapshot.foreign_facts.items())


def _lag_events(snapshot: Snapshot) -> Iterator[Observation]:
    return (Observation(stream.lag_events, attributes) for stream, attributes in _streams(snapshot))


def _lag_duration(snapshot: Snapshot) -> Iterator[Observation]:
    for stream, attributes in _streams(snapshot):
        yield Observation(stream.lag_duration.ToTimedelta().total_seconds(), attributes)


def _heads(snapshot: Snapshot) -> Iterator[Observation]:
    return (Observation(sequence, {"hanse.stream": stream}) for stream, sequence in snapshot.heads.items())


def _quarantined(snapshot: Snapshot) -> Iterator[Observation]:
    for alarm in snapshot.alarms.alarms:
        if alarm.reason in HINTS:
            yield Observation(1, {"hanse.stream": alarm.subject, "error.type": alarm.reason})


def _set_apart(snapshot: Snapshot) -> Iterator[Observation]:
    for alarm in snapshot.alarms.alarms:
        if alarm.reason == FactSetApart.reason:
            yield Observation(1, {"hanse.stream": alarm.subject})


def _dead(snapshot: Snapshot) -> Iterator[Observation]:
    return (Observation(count, {"hanse.service": service}) for service, count in snapshot.dead_letters.items())
