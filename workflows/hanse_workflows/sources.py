"""The logs that say what processes wait for: what a record means to them, who knows what is open, and in which trace.

In every unit it is the unit's own ticket log, for `sla` and `complaint`; at headquarters also the copies of all units'
ticket logs and what routing has decided, for `escalation`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

import grpc
from sqlalchemy import MetaData, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from hanse.log.follow import StoredRecord, list_streams
from hanse.log.tables import LogTables
from hanse.names import HEADQUARTERS, home_of, stream_name
from hanse_protos.log.v1.log_pb2 import Event
from hanse_workflows.hints import Hint, decision_hint, escalation_hint, own_hint
from hanse_workflows.open_work import OpenClocks, OpenComplaints, OpenEngagements, OpenWork

_TICKET_SERVICE, _ROUTING_SERVICE = "ticket", "federation"
_TICKET_LOG = LogTables(MetaData(schema=_TICKET_SERVICE))


@dataclass(frozen=True, slots=True)
class Source:
    """A log to follow: which of its streams, what a record means, and the services that know what is open."""

    log: LogTables
    streams: Callable[[Session], list[str]]
    hint: Callable[[StoredRecord], Hint | None]
    works: Sequence[OpenWork]


def own_tickets(unit: str, channel: grpc.aio.Channel) -> Source:
    """Return the unit's own ticket log, as the source of what its `sla` and `complaint` processes need to know."""
    streams = [stream_name(unit, _TICKET_SERVICE)]
    works = (OpenClocks(channel), OpenComplaints(channel))
    return Source(_TICKET_LOG, lambda _session: streams, partial(own_hint, unit=unit), works)


def group_tickets(federation_log: LogTables, channel: grpc.aio.Channel) -> Source:
    """Return headquarters' copies of the units' ticket logs, as the source of what `escalation` needs to know."""
    streams = partial(_copied_ticket_streams, log=federation_log)
    return Source(federation_log, streams, escalation_hint, [OpenEngagements(channel)])


def routing_decisions(federation_log: LogTables, channel: grpc.aio.Channel) -> Source:
    """Return what headquarters' routing has decided, as the source of what a person asked it for."""
    streams = [stream_name(HEADQUARTERS, _ROUTING_SERVICE)]
    return Source(federation_log, lambda _session: streams, decision_hint, [OpenEngagements(channel)])


def _copied_ticket_streams(session: Session, log: LogTables) -> list[str]:
    return [stream for stream in list_streams(session, log) if stream.endswith(stream_name("", _TICKET_SERVICE))]


def first_traces(session: Session, log: LogTables, resources: Collection[str]) -> dict[str, str]:
    """Return the trace of the first event on each ticket, complaint or engagement, where it has one.

    That event is in its home's ticket log. What is done in its trace is found from the opening.
    """
    columns = log.record.c
    streams = {resource: stream_name(home_of(resource), _TICKET_SERVICE) for resource in resources}
    query = select(columns.stream, columns.resource, columns.event).where(
        columns.stream.in_(set(streams.values())), columns.resource.in_(resources)
    )
    by_stream = (columns.stream, columns.resource)
    first = query.ext(distinct_on(*by_stream)).order_by(*by_stream, columns.epoch, columns.sequence)
    of_home = [row for row in session.execute(first) if row.stream == streams[row.resource]]
    traces = {row.resource: Event.FromString(row.event).trace_context for row in of_home}
    return {resource: trace for resource, trace in traces.items() if trace}
