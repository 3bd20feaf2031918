"""A log as the ticket service writes it: the lives of many tickets, woven into one another."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain, islice, zip_longest
from typing import NamedTuple

from google.protobuf.message import Message

from hanse.log.append import Entry, Head
from hanse.log.chain import chain_hash
from hanse.log.events import Origin, new_event
from hanse.names import TicketName, new_id
from hanse.times import timestamp
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from tests.benchmarks.callers import DESCRIPTION, TITLE

OPEN_AT_ONCE = 200
"""How many tickets of the desk are worked on at the same time: what follows on an event comes so much later."""
REPLY = "已经远程检查，请在现场确认三号机柜第二个交换机的指示灯，并把结果发给我们。"
SOLUTION = "更换了视频分配器的电源模块，连续观察两小时，画面正常。"
TRACE_CONTEXT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
REQUEST_ID = "1e0f9c3a-6d2b-4c58-9a7e-0d3b5f8c2a41"

RECORD_COLUMNS = (
    "stream", "epoch", "sequence", "hash", "event_id", "resource", "type", "occur_time", "event", "sealed",
)  # fmt: skip


class Told(NamedTuple):
    """One event of a ticket's life."""

    payload: Message
    texts: Mapping[str, str]


def life(name: str, unit: str, now: datetime) -> list[Told]:
    """Return the life of an ordinary ticket: opened, assigned, answered, resolved, closed."""

    def summary(state: pb.TicketState.ValueType) -> pb.TicketSummary:
        return pb.TicketSummary(
            name=name, state=state, priority=pb.P2, category="display", product="LED-55", tier=1, holder=unit,
            open_time=timestamp(now), language="zh-CN",
        )  # fmt: skip

    agent = f"{unit}/agents/li"
    return [
        Told(told.TicketOpened(ticket=summary(pb.NEW)), {"title": TITLE, "description": DESCRIPTION}),
        Told(told.TicketAssigned(ticket=summary(pb.IN_PROGRESS), assignee=agent), {}),
        Told(told.TicketCommented(ticket=summary(pb.IN_PROGRESS), public=True), {"text": REPLY}),
        Told(told.TicketResolved(ticket=summary(pb.RESOLVED)), {"text": SOLUTION}),
        Told(told.TicketClosed(ticket=summary(pb.CLOSED)), {}),
    ]


def entries(unit: str, count: int) -> list[Entry]:
    """Return so many events of a desk, ready to be appended."""
    now = datetime.now(UTC)
    origin = Origin(unit, f"{unit}/agents/li", REQUEST_ID, TRACE_CONTEXT, policy_version=1)
    return [new_event(origin, name, fact.payload, now, fact.texts) for name, fact in islice(_woven(unit, now), count)]


def _woven(unit: str, now: datetime) -> Iterator[tuple[str, Told]]:
    while True:
        names = [str(TicketName(unit, new_id())) for _ in range(OPEN_AT_ONCE)]
        lives = [[(name, fact) for fact in life(name, unit, now)] for name in names]
        yield from chain.from_iterable(zip_longest(*lives))


def rows(stream: str, head: Head, appended: Sequence[Entry]) -> tuple[list[tuple[object, ...]], Head]:
    """Return the entries as rows of the log that follow from a head, and the new head."""
    found: list[tuple[object, ...]] = []
    sequence, previous = head.sequence, head.hash
    for entry in appended:
        sequence += 1
        previous = chain_hash(previous, stream, head.epoch, sequence, entry.event)
        place = (stream, head.epoch, sequence, previous)
        beside = (entry.event_id, entry.resource, entry.type, entry.occur_time)
        found.append((*place, *beside, entry.event, entry.sealed))
    return found, Head(head.epoch, sequence, previous)
