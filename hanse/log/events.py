"""Making events, and reading what they say."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from uuid import UUID

import uuid_utils
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message

from hanse.log.append import Entry
from hanse.log.sealing import digests_of, seal
from hanse.times import instant, timestamp
from hanse_protos.log.v1.log_pb2 import Event


@dataclass(frozen=True, slots=True)
class Origin:
    """Who writes an event, on whose request: what all events of one command have in common."""

    unit: str
    actor: str
    request_id: str = ""
    trace_context: str = ""
    policy_version: int = 0


def new_event(
    origin: Origin,
    resource: str,
    payload: Message,
    occur_time: datetime,
    sealed: Mapping[str, str] | None = None,
) -> Entry:
    """Return a new event about a resource, ready to be appended.

    `sealed` holds the free text of the event by field name; it is kept beside the event (see `hanse.log.sealing`).
    """
    event_id = uuid_utils.uuid7()
    event = Event(
        event_id=str(event_id),
        unit=origin.unit,
        resource=resource,
        type=payload.DESCRIPTOR.full_name,
        payload=payload.SerializeToString(),
        occur_time=timestamp(occur_time),
        actor=origin.actor,
        request_id=origin.request_id,
        trace_context=origin.trace_context,
        policy_version=origin.policy_version,
    )
    sealed_bytes = None
    if sealed and (fields := seal(sealed)).fields:
        event.sealed_digests.extend(digests_of(fields))
        sealed_bytes = fields.SerializeToString()
    return Entry(
        event_id=UUID(int=event_id.int),
        resource=resource,
        type=event.type,
        occur_time=occur_time,
        event=event.SerializeToString(),
        sealed=sealed_bytes,
    )


@lru_cache(maxsize=1024)
def _message_class(full_name: str) -> type[Message] | None:
    try:
        descriptor = descriptor_pool.Default().FindMessageTypeByName(full_name)
    except KeyError:
        return None
    return message_factory.GetMessageClass(descriptor)


def payload_of(event: Event) -> Message | None:
    """Return the event's payload, or None for a type that this version does not know (it is kept all the same)."""
    message_class = _message_class(event.type)
    return message_class.FromString(event.payload) if message_class else None


def readable_payload_of(event: Event) -> Message | None:
    """Return what `payload_of` does; None also for a payload that is none, which others have raised an alarm about."""
    try:
        return payload_of(event)
    except DecodeError:
        return None


def short_type(full_name: str) -> str:
    """Return "TicketOpened" for "hanse_protos.ticket.v1.TicketOpened"."""
    return full_name.rsplit(".", 1)[-1]


@dataclass(frozen=True, slots=True)
class Fact:
    """An event of somebody else, opened: what a reaction is told."""

    event: Event
    payload: Message
    texts: Mapping[str, str]
    """The sealed texts that were granted to this reader, by field name."""

    @property
    def occur_time(self) -> datetime:
        """When it happened, aware, in UTC."""
        return instant(self.event.occur_time)
