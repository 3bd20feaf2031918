"""The ways out of a quarantine, from the restored backup to the agreement of both ends."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from hanse.errors import HanseError
from hanse.identity import Caller
from hanse.log.events import Fact
from hanse.log.follow import START, StoredRecord, read_after
from hanse.log.verify import verify
from hanse.names import downstream_name
from hanse.rpc.call import set_caller
from hanse.runtime import Runtime
from hanse.schema import ServiceSchema
from hanse.work import Cause, CommandExecutor, Work
from hanse_federation.headquarters.forwarding import forward_decisions
from hanse_federation.headquarters.views import list_group_tickets
from hanse_federation.model import LOG, SCHEMA, GroupEngagement
from hanse_federation.recovery import decisions as recovery
from hanse_federation.recovery.quarantine import read_quarantines
from hanse_federation.recovery.reseeding import ROUND_RECORDS, Restores
from hanse_federation.recovery.servicer import StreamServicer
from hanse_protos.federation.v1 import group_pb2 as group_pb
from hanse_protos.federation.v1 import recovery_pb2 as pb
from hanse_protos.knowledge.v1 import knowledge_pb2 as knowledge
from hanse_protos.knowledge.v1.knowledge_pb2 import ArticlePublished, ArticleSummary
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as ticket
from tests.integration.hanse_federation.group import EVERYTHING, Group, Unit, engagement_summary, eventually, summary
from tests.integration.hanse_federation.test_quarantine import TICKETS, alarmed, alarms, change, draft, lose_tail

OPERATOR = "units/munich/agents/operator"


async def decide(runtime: Runtime, command: Any, request: Any, answer_type: Any) -> Any:
    """Let an administrator of a unit decide something."""
    executor = CommandExecutor(runtime.database, SCHEMA, runtime.unit)
    if runtime.unit == "units/hq":
        executor.after_append = forward_decisions
    request.request_id = str(uuid4())
    try:
        return await executor.execute(command, request, Cause(OPERATOR, request.request_id), answer_type)
    finally:
        await executor.close()


async def start_epoch(runtime: Runtime, stream: str) -> pb.StartEpochResponse:
    """Start a new epoch."""
    return await decide(runtime, recovery.start, pb.StartEpochRequest(stream=stream), pb.StartEpochResponse)


async def accept_epoch(runtime: Runtime, stream: str) -> pb.AcceptEpochResponse:
    """Accept it."""
    return await decide(runtime, recovery.accept, pb.AcceptEpochRequest(stream=stream), pb.AcceptEpochResponse)


async def compared(runtime: Runtime, stream: str) -> int:
    """Wait until it is known up to where both ends agree, and return the sequence."""

    async def known() -> bool:
        alarm = (await alarms(runtime)).get(stream)
        return alarm is not None and alarm.HasField("common")

    await eventually(known)
    return (await alarms(runtime))[stream].common.sequence


async def proposed(runtime: Runtime, stream: str) -> None:
    """Wait until the other end knows of the new epoch."""

    async def known() -> bool:
        rows = await runtime.database.read(read_quarantines, [stream])
        return bool(rows) and rows[0].new_epoch > 0

    await eventually(known)


async def lose_and_begin_anew(unit: Unit, records: int) -> None:
    """Let a unit lose the last records of its tickets, go on in a new epoch, and let headquarters accept that."""
    await unit.stop()
    await lose_tail(unit, records)
    unit.start()
    await alarmed(unit, TICKETS)
    await compared(unit.runtime, TICKETS)
    await start_epoch(unit.runtime, TICKETS)
    await proposed(unit.hq, TICKETS)
    await accept_epoch(unit.hq, TICKETS)


async def healed(unit: Unit, stream: str) -> None:
    """Wait until both ends are out of quarantine and have the same."""

    async def done() -> bool:
        calm = stream not in await alarms(unit.runtime) and stream not in await alarms(unit.hq)
        return calm and await unit.agrees()

    await eventually(done)


async def shown(unit: Unit) -> set[str]:
    """Return the tickets of a unit that headquarters shows."""
    request = group_pb.ListGroupTicketsRequest(parent=unit.name, page_size=1000)
    answer = await unit.hq.database.read(list_group_tickets, request)
    return {each.ticket.name.rsplit("/", 1)[-1] for each in answer.tickets}


async def restored(munich: Unit, *, lost: int, kept: int = 3, since: int = 0) -> None:
    """Restore Munich from a backup that lacks its last tickets; it has opened some since."""
    await munich.open_tickets(kept + lost)
    await munich.caught_up()
    await munich.stop()
    await lose_tail(munich, kept)
    if since:
        await munich.open_tickets(since, first=10_000)
    munich.start()
    await alarmed(munich, TICKETS)


async def test_a_restored_unit_goes_on_in_a_new_epoch_that_headquarters_accepts(munich: Unit) -> None:
    await restored(munich, lost=7, since=2)
    before = await munich.taken()
    assert await compared(munich.runtime, TICKETS) == 3
    assert await compared(munich.hq, TICKETS) == 3
    started = await start_epoch(munich.runtime, TICKETS)
    assert (started.head.epoch, started.head.sequence, started.carried) == (2, 6, 2)
    await proposed(munich.hq, TICKETS)
    assert await munich.taken() == before
    accepted = await accept_epoch(munich.hq, TICKETS)
    assert (accepted.after.epoch, accepted.after.sequence, accepted.orphans) == (1, 3, 7)
    await healed(munich, TICKETS)
    assert await munich.taken() == await munich.sent()
    places = [(record.epoch, record.sequence) for record in await munich.taken()]
    assert places == [(1, 1), (1, 2), (1, 3), (2, 4), (2, 5), (2, 6)]
    assert (await munich.hq.database.read(verify, LOG, TICKETS)).intact
    assert (await munich.runtime.database.read(verify, ServiceSchema("ticket").log, TICKETS)).intact
    await draft(munich)


async def test_what_was_lost_is_kept_and_listed_and_no_view_shows_it(munich: Unit) -> None:
    await restored(munich, lost=4, since=1)
    before = await munich.taken()
    await compared(munich.runtime, TICKETS)
    await start_epoch(munich.runtime, TICKETS)
    await proposed(munich.hq, TICKETS)
    await accept_epoch(munich.hq, TICKETS)
    await healed(munich, TICKETS)
    first = await munich.hq.database.read(recovery.list_orphans, pb.ListOrphansRequest(stream=TICKETS, page_size=3))
    rest = pb.ListOrphansRequest(stream=TICKETS, page_token=first.next_page_token)
    orphans = [*first.orphans, *(await munich.hq.database.read(recovery.list_orphans, rest)).orphans]
    assert [(each.epoch, each.sequence, each.resource) for each in orphans] == [
        (record.epoch, record.sequence, record.resource) for record in before[3:]
    ]
    assert await shown(munich) == {"t1", "t2", "t3", "t10000"}


async def test_a_ticket_that_lost_its_last_steps_is_shown_as_it_was_before_them(munich: Unit) -> None:
    await munich.open_tickets(3)
    name = "units/munich/tickets/t2"
    await munich.tell(
        (name, told.TicketHandedOver(ticket=summary(name), from_unit="units/munich", to_unit="units/hq")),
        (name, told.TicketClosed(ticket=summary(name, state=ticket.CLOSED))),
    )
    await munich.caught_up()
    await lose_and_begin_anew(munich, 3)
    request = group_pb.ListGroupTicketsRequest(parent="units/munich")
    answer = await munich.hq.database.read(list_group_tickets, request)
    assert {each.ticket.name: each.ticket.state for each in answer.tickets}[name] == ticket.NEW


async def test_what_a_unit_has_lost_about_others_takes_nothing_from_their_views(munich: Unit, shanghai: Unit) -> None:
    await shanghai.open_tickets(1)
    await shanghai.caught_up()
    name = "units/shanghai/tickets/t1"
    await munich.open_tickets(1)
    await munich.tell((name, told.TicketClosed(ticket=summary(name, state=ticket.CLOSED))))
    await munich.caught_up()
    await lose_and_begin_anew(munich, 1)
    assert await shown(shanghai) == {"t1"}


async def test_an_engagement_that_its_home_has_lost_is_called_off_and_may_begin_again(
    group: Group, munich: Unit, shanghai: Unit
) -> None:
    await group.enact()
    name = "units/munich/tickets/t1/engagements/e1"
    await munich.open_tickets(1)
    await munich.tell((name, told.EngagementRequested(engagement=engagement_summary(name))))
    await munich.caught_up()
    await munich.stop()
    await lose_tail(munich, 1)
    munich.start()
    await alarmed(munich, TICKETS)
    await compared(munich.runtime, TICKETS)
    await start_epoch(munich.runtime, TICKETS)
    await proposed(munich.hq, TICKETS)
    accepted = await accept_epoch(munich.hq, TICKETS)
    assert list(accepted.withdrawn_engagements) == [name]
    await healed(munich, TICKETS)
    await munich.tell((name, told.EngagementRequested(engagement=engagement_summary(name))))

    async def begun_again() -> bool:
        row = await munich.hq.database.read(lambda session: session.get(GroupEngagement, name))
        return row is not None and row.state == ticket.REQUESTED

    await eventually(begun_again)


async def test_headquarters_restored_from_an_old_backup_starts_an_epoch_that_the_unit_accepts(
    group: Group, munich: Unit, shanghai: Unit
) -> None:
    down = downstream_name("units/munich")

    async def publish(number: int) -> None:
        name = f"units/shanghai/articles/{number}"
        article = ArticleSummary(name=name, scope=knowledge.GROUP)
        await shanghai.tell((name, ArticlePublished(article=article)), service="knowledge")

    async def has(count: int) -> bool:
        return len(await munich.told()) >= count

    for number in range(5):
        await publish(number)
    await eventually(lambda: has(5))
    lost = await munich.told()
    await munich.stop()
    hash_there = f"SELECT hash FROM federation.log_record WHERE stream = '{down}' AND sequence = 2"  # noqa: S608
    await change(
        munich.hq,
        f"DELETE FROM federation.log_record WHERE stream = '{down}' AND sequence > 2",  # noqa: S608
        f"UPDATE federation.log_head SET sequence = 2, hash = ({hash_there}) WHERE stream = '{down}'",  # noqa: S608
    )
    await publish(6)
    munich.start()
    await alarmed(munich, down)
    assert await compared(munich.hq, down) == 2
    await start_epoch(munich.hq, down)
    await proposed(munich.runtime, down)
    accepted = await accept_epoch(munich.runtime, down)
    assert accepted.orphans == 3
    await healed(munich, down)
    records = await stream_of(munich.runtime, down)
    assert [(record.epoch, record.sequence) for record in records] == [(1, 1), (1, 2), (2, 3), (2, 4)]
    assert records == await stream_of(munich.hq, down)
    assert lost[:2] == records[:2]


async def stream_of(runtime: Runtime, stream: str) -> list[StoredRecord]:
    """Return a stream of the federation's schema."""
    return await runtime.database.read(read_after, LOG, stream, START, EVERYTHING)


async def test_a_restored_unit_gets_what_headquarters_had_told_it_without_a_command(
    group: Group, munich: Unit, shanghai: Unit
) -> None:
    down = downstream_name("units/munich")
    for number in range(4):
        name = f"units/shanghai/articles/{number}"
        article = ArticleSummary(name=name, scope=knowledge.GROUP)
        await shanghai.tell((name, ArticlePublished(article=article)), service="knowledge")

    async def all_told() -> bool:
        return len(await munich.told()) == 4

    await eventually(all_told)
    before = await munich.told()
    await munich.stop()
    hash_there = f"SELECT hash FROM federation.log_record WHERE stream = '{down}' AND sequence = 1"  # noqa: S608
    await change(
        munich.runtime,
        f"DELETE FROM federation.log_record WHERE stream = '{down}' AND sequence > 1",  # noqa: S608
        f"UPDATE federation.log_head SET sequence = 1, hash = ({hash_there}) WHERE stream = '{down}'",  # noqa: S608
    )
    munich.start()
    await eventually(all_told)
    assert await munich.told() == before
    assert await alarms(munich.runtime) == {}


async def test_an_epoch_can_not_be_accepted_before_it_was_started(munich: Unit) -> None:
    await restored(munich, lost=2)
    await compared(munich.hq, TICKETS)
    with pytest.raises(HanseError) as raised:
        await accept_epoch(munich.hq, TICKETS)
    assert raised.value.reason == "NOTHING_TO_DECIDE"


async def test_only_the_writer_of_a_stream_starts_an_epoch(munich: Unit) -> None:
    await restored(munich, lost=2)
    await compared(munich.hq, TICKETS)
    with pytest.raises(HanseError) as raised:
        await start_epoch(munich.hq, TICKETS)
    assert raised.value.reason == "NOTHING_TO_DECIDE"


async def test_a_release_is_refused_while_the_logs_disagree(munich: Unit) -> None:
    await restored(munich, lost=2)
    await compared(munich.hq, TICKETS)
    with pytest.raises(HanseError) as raised:
        request = pb.ReleaseStreamRequest(stream=TICKETS)
        await decide(munich.hq, recovery.release_stream, request, pb.ReleaseStreamResponse)
    assert raised.value.reason == "LOGS_DISAGREE"


async def reseeded(
    munich: Unit,
    restores: Restores | None = None,
    *,
    round_records: int = ROUND_RECORDS,
    request_id: str = "",
) -> pb.ReseedStreamResponse:
    """Give the command at Munich."""
    executor = CommandExecutor(munich.runtime.database, SCHEMA, munich.runtime.unit)
    servicer: Any = StreamServicer(munich.runtime, executor, restores or {}, round_records=round_records)
    request = pb.ReseedStreamRequest(stream=TICKETS, request_id=request_id or str(uuid4()))
    set_caller(Caller(OPERATOR, munich.name, frozenset(), datetime.now(UTC)))
    try:
        answer: pb.ReseedStreamResponse = await servicer.ReseedStream(request, None)
    finally:
        await executor.close()
    return answer


async def test_a_restored_unit_gets_its_records_back_and_both_logs_agree_without_a_new_epoch(munich: Unit) -> None:
    await restored(munich, lost=5)
    before = await munich.taken()
    answer = await reseeded(munich)
    assert (answer.records, answer.carried, answer.head.epoch, answer.head.sequence) == (5, 0, 1, 8)
    await healed(munich, TICKETS)
    assert await munich.sent() == before
    await munich.open_tickets(2, first=20_000)
    await munich.caught_up()


async def test_a_long_stream_comes_back_in_rounds_and_a_repeat_is_answered_alike(munich: Unit) -> None:
    await restored(munich, lost=2_500, since=2)
    before, since = await munich.taken(), (await munich.sent())[3:]
    request_id = str(uuid4())
    answer = await reseeded(munich, round_records=1_000, request_id=request_id)
    assert (answer.records, answer.carried, answer.head.sequence, len(answer.resources)) == (2_500, 2, 2_505, 2_500)
    await healed(munich, TICKETS)
    assert [record.event for record in await munich.sent()] == [record.event for record in (*before, *since)]
    assert await reseeded(munich, round_records=1_000, request_id=request_id) == answer


async def test_what_the_unit_has_written_since_follows_what_came_back(munich: Unit) -> None:
    await restored(munich, lost=4, since=2)
    before, since = await munich.taken(), (await munich.sent())[3:]
    answer = await reseeded(munich)
    assert (answer.records, answer.carried) == (4, 2)
    await healed(munich, TICKETS)
    assert [record.event for record in await munich.sent()] == [record.event for record in (*before, *since)]
    assert (await munich.runtime.database.read(verify, ServiceSchema("ticket").log, TICKETS)).intact


async def test_what_was_never_shared_is_named_as_lost_ticket_by_ticket(munich: Unit) -> None:
    await munich.open_tickets(1)
    name = "units/munich/tickets/t9"
    opened = told.TicketOpened(ticket=summary(name))
    await munich.tell((name, opened), sealed={"title": "Dark", "description": "Since noon"})
    await munich.caught_up()
    await munich.stop()
    await lose_tail(munich, 1)
    munich.start()
    await alarmed(munich, TICKETS)
    [line] = (await reseeded(munich)).resources
    assert (line.resource, line.records, list(line.lost_texts)) == (
        name, 1, ["TicketOpened.title", "TicketOpened.description"],
    )  # fmt: skip


async def test_a_service_restores_what_came_back_but_for_what_was_worked_on_since(munich: Unit) -> None:
    await munich.open_tickets(3)
    name = "units/munich/tickets/t2"
    await munich.tell((name, told.TicketClosed(ticket=summary(name))))
    await munich.open_tickets(1, first=7)
    await munich.caught_up()
    await munich.stop()
    await lose_tail(munich, 3)
    await munich.tell((name, told.TicketResolved(ticket=summary(name))))
    munich.start()
    await alarmed(munich, TICKETS)
    seen: list[str] = []

    def note(_work: Work, fact: Fact) -> None:
        seen.append(fact.event.resource)

    answer = await reseeded(munich, {"ticket": {told.TicketOpened: note, told.TicketClosed: note}})
    assert seen == ["units/munich/tickets/t7"]
    assert {line.resource: line.skipped for line in answer.resources} == {name: True, "units/munich/tickets/t7": False}


async def test_giving_the_command_again_changes_nothing(munich: Unit) -> None:
    await restored(munich, lost=3, since=2)
    await reseeded(munich)
    await healed(munich, TICKETS)
    before = await munich.sent()
    assert (await reseeded(munich)).records == 0
    await munich.open_tickets(1, first=30_000)
    await munich.caught_up()
    assert (await munich.sent())[:-1] == before
