"""A disagreement is found at whichever end can see it, both ends raise the alarm, and the other streams go on."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from hanse.errors import Unavailable
from hanse.local.ports import LOOPBACK
from hanse.rpc.server import RpcServer, Served, by_token
from hanse.runtime import Runtime
from hanse_federation.link.hub import SERVICE
from hanse_federation.link.showing import list_alarms, list_links
from hanse_federation.recovery.quarantine import take_over
from hanse_protos.federation.v1 import group_pb2 as pb
from hanse_protos.federation.v1 import link_pb2_grpc
from hanse_protos.federation.v1.link_pb2 import Acknowledgement, HubFrame, QuarantinedStream, UnitFrame, Welcome
from hanse_protos.knowledge.v1.knowledge_pb2 import ArticleDrafted
from hanse_protos.log.v1.log_pb2 import StreamHead
from tests.batches import last_hash
from tests.integration.hanse_federation.group import Group, Unit, eventually

TICKETS = "units/munich/streams/ticket"
ALARM_SECONDS = 10.0


async def change(runtime: Runtime, *statements: str) -> None:
    """Change a database behind everybody's back."""
    async with runtime.database.engine.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))


async def alarms(runtime: Runtime) -> dict[str, pb.Alarm]:
    """Return the alarms of a unit by what they are about."""
    answer = await runtime.database.read(list_alarms, pb.ListAlarmsRequest())
    return {alarm.subject: alarm for alarm in answer.alarms}


async def alarmed(unit: Unit, stream: str) -> None:
    """Wait until both ends raise the alarm about a stream."""

    async def both() -> bool:
        return stream in await alarms(unit.runtime) and stream in await alarms(unit.hq)

    await eventually(both)


async def draft(unit: Unit) -> None:
    """Tell something on another stream, and wait until it has arrived."""
    await unit.tell(("units/munich/articles/1", ArticleDrafted()), service="knowledge")

    async def arrived() -> bool:
        return len(await unit.taken("knowledge")) == 1

    await eventually(arrived)


async def lose_tail(unit: Unit, kept: int) -> None:
    """Let a unit's ticket stream end where an old backup of it did."""
    head = f"SELECT hash FROM ticket.log_record WHERE sequence = {kept}"  # noqa: S608
    await change(
        unit.runtime,
        f"DELETE FROM ticket.log_record WHERE sequence > {kept}",  # noqa: S608
        f"UPDATE ticket.log_head SET sequence = {kept}, hash = ({head})",  # noqa: S608
    )


async def test_a_unit_restored_from_an_old_backup_raises_the_alarm_at_both_ends_in_time(munich: Unit) -> None:
    await munich.open_tickets(8)
    await munich.caught_up()
    before = await munich.taken()
    await munich.stop()
    await lose_tail(munich, 3)
    munich.start()
    start = time.monotonic()
    await alarmed(munich, TICKETS)
    assert time.monotonic() - start < ALARM_SECONDS
    alarm = (await alarms(munich.hq))[TICKETS]
    assert (alarm.reason, alarm.place.epoch, alarm.place.sequence) == ("LOG_FORK", 1, 8)
    assert "epoch" in alarm.hint
    await draft(munich)
    assert await munich.taken() == before


async def test_a_unit_that_has_worked_on_since_is_found_too(munich: Unit) -> None:
    await munich.open_tickets(5)
    await munich.caught_up()
    await munich.stop()
    await lose_tail(munich, 3)
    await munich.open_tickets(9, first=100)
    munich.start()
    await alarmed(munich, TICKETS)
    await draft(munich)


async def test_a_hub_whose_copy_was_altered_is_found_by_the_unit(munich: Unit) -> None:
    await munich.open_tickets(5)
    await munich.caught_up()
    await munich.stop()
    stream = f"WHERE stream = '{TICKETS}'"
    await change(
        munich.hq,
        f"UPDATE federation.log_record SET hash = sha256('x') {stream} AND sequence = 5",  # noqa: S608
        f"UPDATE federation.log_head SET hash = sha256('x') {stream}",  # noqa: S608
    )
    await munich.open_tickets(2, first=100)
    munich.start()
    await alarmed(munich, TICKETS)
    await draft(munich)


async def test_headquarters_restored_from_an_old_backup_is_found_and_the_unit_sends_again(
    group: Group, munich: Unit
) -> None:
    down = "units/hq/streams/to-munich"
    await munich.open_tickets(4)
    await munich.caught_up()
    await munich.stop()
    # The unit was told something that headquarters has lost, and headquarters' copies are behind.
    await change(
        munich.hq,
        f"DELETE FROM federation.log_record WHERE stream = '{TICKETS}' AND sequence > 2",  # noqa: S608
        "UPDATE federation.log_head SET sequence = 2, hash = (SELECT hash FROM federation.log_record"  # noqa: S608
        f" WHERE stream = '{TICKETS}' AND sequence = 2) WHERE stream = '{TICKETS}'",
    )
    await change(
        munich.runtime,
        f"INSERT INTO federation.log_head (stream, epoch, sequence, hash) VALUES ('{down}', 1, 1, sha256('x'))",  # noqa: S608
    )
    munich.start()
    await alarmed(munich, down)

    async def sent_again() -> bool:
        return await munich.taken() == await munich.sent()

    await eventually(sent_again)


async def test_a_hole_in_a_log_is_a_gap_that_a_new_beginning_does_not_heal(munich: Unit) -> None:
    await munich.stop()
    await munich.open_tickets(6)
    await change(munich.runtime, "DELETE FROM ticket.log_record WHERE sequence = 4")
    munich.start()
    await alarmed(munich, TICKETS)
    alarm = (await alarms(munich.runtime))[TICKETS]
    assert (alarm.reason, alarm.place.sequence) == ("LOG_GAP", 4)
    assert all(record.sequence < 4 for record in await munich.taken())
    await draft(munich)


class LyingHub(link_pb2_grpc.FederationServiceServicer):
    """A hub that acknowledges tickets under a hash that nobody has."""

    def __init__(self) -> None:
        self.articles = 0

    async def Exchange(  # noqa: N802 - named as in the contract.
        self, request_iterator: AsyncIterator[UnitFrame], context: object
    ) -> AsyncIterator[HubFrame]:
        async for frame in request_iterator:
            if frame.HasField("hello"):
                yield HubFrame(welcome=Welcome(credit=100, downstream="units/hq/streams/to-munich"))
            if frame.HasField("batch"):
                batch = frame.batch
                last = batch.first_sequence + len(batch.events) - 1
                lie = batch.stream == TICKETS
                self.articles += not lie
                seen = StreamHead(
                    stream=batch.stream,
                    epoch=batch.epoch,
                    sequence=last,
                    hash=b"x" * 32 if lie else last_hash(batch),
                )
                yield HubFrame(acknowledgement=Acknowledgement(head=seen))


async def test_a_hub_that_acknowledges_what_the_unit_does_not_have_is_found(group: Group) -> None:
    munich = await group.unit("units/munich", agent=False)
    hub, settings = LyingHub(), group.hq.settings
    served = Served(SERVICE, link_pb2_grpc.add_FederationServiceServicer_to_server, hub)
    server = RpcServer(
        f"{LOOPBACK}:0", settings.tls, by_token(group.hq.verifier), [served], require_client_certificate=True
    )
    await server.start()
    group.stack.push_async_callback(server.stop)
    munich.runtime.settings.hub_address = f"{LOOPBACK}:{server.port}"
    await munich.open_tickets(2)
    munich.start()

    async def found() -> bool:
        return TICKETS in await alarms(munich.runtime)

    await eventually(found)
    assert (await alarms(munich.runtime))[TICKETS].reason == "LOG_FORK"
    await munich.tell(("units/munich/articles/1", ArticleDrafted()), service="knowledge")

    async def goes_on() -> bool:
        return hub.articles > 0

    await eventually(goes_on)


async def test_links_show_each_stream_at_both_ends(munich: Unit) -> None:
    await munich.open_tickets(5)
    await munich.caught_up()

    async def shown(runtime: Runtime) -> pb.StreamReport:
        links = (await runtime.database.read(list_links, runtime.unit)).links
        [stream] = [stream for link in links for stream in link.streams if stream.stream == TICKETS]
        return stream

    async def both_ends_know() -> bool:
        ends = [await shown(munich.runtime), await shown(munich.hq)]
        return all((end.position.sequence, end.other_sequence, end.health) == (5, 5, pb.OK) for end in ends)

    await eventually(both_ends_know)
    assert ((await shown(munich.runtime)).sent, (await shown(munich.hq)).sent) == (True, False)


async def test_a_cut_unit_shows_what_headquarters_lacks_and_for_how_long(munich: Unit) -> None:
    munich.line.cut()
    await munich.open_tickets(7)

    async def behind() -> bool:
        [link] = (await munich.runtime.database.read(list_links, munich.runtime.unit)).links
        [stream] = [stream for stream in link.streams if stream.stream == TICKETS]
        return link.health == pb.UNREACHABLE and stream.lag_events == 7 and stream.lag_duration.ToNanoseconds() > 0

    await eventually(behind)


async def test_a_stream_in_quarantine_shows_on_its_link(munich: Unit) -> None:
    await munich.open_tickets(5)
    await munich.caught_up()
    await munich.stop()
    await lose_tail(munich, 3)
    munich.start()
    await alarmed(munich, TICKETS)
    [link] = (await munich.hq.database.read(list_links, munich.hq.unit)).links
    health = {stream.stream: stream.health for stream in link.streams}
    assert (link.health, health[TICKETS]) == (pb.QUARANTINED, pb.QUARANTINED)
    assert health["units/munich/streams/knowledge"] != pb.QUARANTINED


async def test_a_link_begins_anew_where_a_person_has_decided_since_the_unit_said_how_its_quarantines_are(
    munich: Unit,
) -> None:
    shown = frozenset({(TICKETS, True, 0)})
    others = [QuarantinedStream(stream=TICKETS, found=True, reason="LOG_FORK", problem="as it was a moment ago")]
    with pytest.raises(Unavailable):
        await munich.runtime.database.write(take_over, {TICKETS}, others, [], {}, shown=shown)
    assert await alarms(munich.runtime) == {}
