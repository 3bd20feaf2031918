"""A fact that headquarters can't take in is set apart with an alarm; all else goes on, and it can be taken in later."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf.message import Message
from sqlalchemy import select, text

from hanse.log.append import Entry
from hanse.log.events import Origin, new_event, short_type
from hanse.log.sealing import texts_of
from hanse.names import HEADQUARTERS
from hanse.telling.dead_letters import DeadLetters
from hanse_federation.effects import EFFECTS
from hanse_federation.headquarters.absorbing import PERFORMERS
from hanse_federation.headquarters.views import get_traffic_report, list_group_tickets
from hanse_federation.link.showing import list_alarms, list_links
from hanse_federation.model import SCHEMA
from hanse_federation.recovery.decisions import release_stream
from hanse_federation.recovery.quarantine import read_quarantines
from hanse_protos.federation.v1 import group_pb2 as pb
from hanse_protos.federation.v1 import recovery_pb2
from hanse_protos.knowledge.v1.knowledge_pb2 import ArticleDrafted
from hanse_protos.log.v1.log_pb2 import Event, LogRecord
from hanse_protos.telling.v1 import dead_letters_pb2 as letters
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as ticket
from tests.integration.hanse_federation.group import Group, Unit, eventually, summary
from tests.integration.hanse_federation.test_metrics import measure
from tests.integration.hanse_federation.test_quarantine import alarmed, lose_tail
from tests.integration.hanse_federation.test_recovery import accept_epoch, compared, decide, proposed, start_epoch
from tests.support import OCCUR_TIME

STREAM = "units/munich/streams/ticket"
T1, T2 = "units/munich/tickets/t1", "units/munich/tickets/t2"
NO_TICKETS_OF_T1 = f"ALTER TABLE federation.group_ticket ADD CONSTRAINT no_t1 CHECK (name <> '{T1}')"


def opened(name: str) -> tuple[str, Message]:
    return name, told.TicketOpened(ticket=summary(name))


def handed_over(name: str) -> tuple[str, Message]:
    return name, told.TicketHandedOver(ticket=summary(name), from_unit="units/munich", to_unit=HEADQUARTERS)


async def change(group: Group, *statements: str) -> None:
    async with group.hq.database.engine.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))


async def shown(group: Group) -> set[str]:
    """Return the tickets that headquarters shows."""
    answer = await group.hq.database.read(list_group_tickets, pb.ListGroupTicketsRequest(parent="units/-"))
    return {each.ticket.name for each in answer.tickets}


async def kept(group: Group) -> list[tuple[str, int]]:
    """Return what is set apart: the types of the facts, and the states of the letters."""
    columns = SCHEMA.dead_letter.c
    async with group.hq.database.engine.connect() as connection:
        rows: Any = await connection.execute(select(columns.record, columns.state).order_by(columns.create_time))
        events = [(Event.FromString(LogRecord.FromString(row.record).event), row.state) for row in rows]
        return [(short_type(event.type), state) for event, state in events]


async def retry(group: Group) -> None:
    """Retry what waits, as `hanse dead-letters retry` does."""
    found = DeadLetters(SCHEMA, HEADQUARTERS, EFFECTS, PERFORMERS)
    page, _ = await group.hq.database.read(found.page, None, 10, show_resolved=False)
    [waiting] = [letter.name for letter in page if letter.state == letters.WAITING]
    request = letters.RetryDeadLetterRequest(name=waiting, request_id=str(uuid4()))
    await group.execute(found.retry, request, letters.DeadLetter)


def unopenable(name: str) -> Entry:
    """Return an event whose payload is none."""
    entry = new_event(Origin("units/munich", "units/munich/agents/li"), name, opened(name)[1], OCCUR_TIME)
    event = Event.FromString(entry.event)
    event.payload = b"\xff\xff"
    return Entry(entry.event_id, entry.resource, entry.type, entry.occur_time, event.SerializeToString(), None)


def impossible(what: str) -> ticket.TicketSummary:
    """Return a ticket with a value that no column of headquarters' views holds."""
    odd = summary(T1)
    clock = odd.clocks.add(kind=ticket.Clock.RESPONSE, number=1, state=ticket.Clock.RUNNING)
    match what:
        case "a time beyond every calendar":
            clock.due_time.seconds = 10**12
        case "an opening beyond every calendar":
            odd.open_time.seconds = 10**12
        case "a text with a NUL":
            odd.category = "\0"
        case "a number beyond its column":
            clock.tier = 2**30
    return odd


@pytest.mark.parametrize(
    "what",
    [
        "a time beyond every calendar",
        "an opening beyond every calendar",
        "a text with a NUL",
        "a number beyond its column",
    ],
)
async def test_a_fact_that_no_view_holds_is_set_apart_and_the_line_goes_on(
    group: Group, munich: Unit, what: str
) -> None:
    await munich.tell(opened(T2), (T1, told.TicketOpened(ticket=impossible(what))), opened("units/munich/tickets/t3"))
    await munich.caught_up()
    assert await shown(group) == {T2, "units/munich/tickets/t3"}
    assert await kept(group) == [("TicketOpened", letters.WAITING)]


async def test_a_payload_that_is_none_is_set_apart_and_shown_as_an_alarm(group: Group, munich: Unit) -> None:
    await munich.tell(opened(T2))
    entry = unopenable(T1)
    await munich.append([entry])
    await munich.caught_up()
    alarms = await group.hq.database.read(list_alarms, pb.ListAlarmsRequest())
    [alarm] = [alarm for alarm in alarms.alarms if alarm.reason == "FACT_SET_APART"]
    assert (alarm.subject, alarm.place.epoch, alarm.place.sequence) == (STREAM, 1, 2)
    assert all(word in alarm.problem for word in ("TicketOpened", str(entry.event_id), "can't be read"))
    links = await group.hq.database.read(list_links, HEADQUARTERS)
    [problem] = [stream.problem for link in links.links for stream in link.streams if stream.problem]
    assert problem == f"FACT_SET_APART: {alarm.problem}"
    assert (await measure(group.hq))["hanse.log.set_apart", STREAM] == 1
    assert [record.event for record in await munich.taken()][1] == entry.event


async def test_what_a_unit_tells_later_about_the_same_ticket_is_held_and_nothing_else_is(
    group: Group, munich: Unit, shanghai: Unit
) -> None:
    await munich.append([unopenable(T1)])
    await munich.caught_up()
    await munich.tell(handed_over(T1), handed_over(T2))
    await shanghai.tell(opened(T1), opened("units/shanghai/tickets/t1"))
    await munich.caught_up()
    await shanghai.caught_up()
    assert await kept(group) == [("TicketOpened", letters.WAITING), ("TicketHandedOver", letters.HELD)]
    assert {T2, "units/shanghai/tickets/t1"} <= await shown(group)


async def test_a_retry_takes_in_what_was_set_apart_and_then_what_was_held_behind_it(group: Group, munich: Unit) -> None:
    await change(group, NO_TICKETS_OF_T1)
    await munich.tell(opened(T1), handed_over(T1), opened(T2), handed_over(T1))
    await munich.caught_up()
    assert await shown(group) == {T2}
    await change(group, "ALTER TABLE federation.group_ticket DROP CONSTRAINT no_t1")
    await retry(group)
    assert await shown(group) == {T1, T2}
    assert {state for _, state in await kept(group)} == {letters.APPLIED}
    report = await group.hq.database.read(get_traffic_report, pb.GetTrafficReportRequest())
    assert [count.count for count in report.hand_overs] == [2]


async def test_a_text_of_what_was_set_apart_stays_only_until_it_is_decided_on(group: Group, munich: Unit) -> None:
    await change(group, NO_TICKETS_OF_T1)
    await munich.tell((T1, told.TicketCommented(ticket=summary(T1))), sealed={"text": "for the counterpart"})
    await munich.caught_up()
    assert [texts_of(record.sealed) for record in await munich.taken()] == [{}]
    await change(group, "ALTER TABLE federation.group_ticket DROP CONSTRAINT no_t1")
    await retry(group)
    async with group.hq.database.engine.connect() as connection:
        assert b"for the counterpart" not in (await connection.scalar(select(SCHEMA.dead_letter.c.record)) or b"")


async def test_a_record_that_can_not_be_stored_stops_its_own_stream_until_this_end_can_store_it(
    group: Group, munich: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hanse_federation.link.copying.MAX_TEXT_BYTES", 120)
    long = f"units/munich/tickets/{'t' * 120}"
    await munich.tell(opened(T1), opened(long))
    await munich.tell(("units/munich/articles/1", ArticleDrafted()), service="knowledge")

    async def is_alarmed() -> bool:
        found = [await end.database.read(list_alarms, pb.ListAlarmsRequest()) for end in (group.hq, munich.runtime)]
        return all(
            alarm.subject == STREAM and (alarm.reason, alarm.place.sequence) == ("FACT_UNREADABLE", 2)
            for alarms in found
            for alarm in alarms.alarms
        ) and all(alarms.alarms for alarms in found)

    async def knowledge_arrived() -> bool:
        return len(await munich.taken("knowledge")) == 1

    await eventually(is_alarmed)
    await eventually(knowledge_arrived)
    monkeypatch.undo()
    request = recovery_pb2.ReleaseStreamRequest(stream=STREAM)
    await compared(group.hq, STREAM)
    await decide(group.hq, release_stream, request, recovery_pb2.ReleaseStreamResponse)
    await munich.caught_up()
    assert await shown(group) == {T1, long}


async def test_what_a_unit_has_lost_is_set_apart_no_more(group: Group, munich: Unit) -> None:
    await munich.tell(opened(T2))
    await munich.append([unopenable(T1)])
    await munich.caught_up()
    await munich.stop()
    await lose_tail(munich, 1)
    munich.start()
    await alarmed(munich, STREAM)
    await eventually(partial(can_begin_anew, munich))
    await start_epoch(munich.runtime, STREAM)
    await proposed(group.hq, STREAM)
    await accept_epoch(group.hq, STREAM)
    assert await kept(group) == []
    assert await shown(group) == {T2}


async def can_begin_anew(munich: Unit) -> bool:
    """Return whether the unit knows up to where both ends agree about its stream."""
    [row] = await munich.runtime.database.read(read_quarantines, [STREAM])
    return row.common_sequence is not None
