"""A link resumes from what the receiver has, whatever the sender remembers."""

import asyncio
from collections.abc import AsyncIterator

from sqlalchemy import text

from hanse.local.ports import LOOPBACK, free_port
from hanse.log.append import append
from hanse.log.events import Origin, new_event
from hanse.log.verify import verify
from hanse.names import HEADQUARTERS, downstream_name
from hanse.rpc.server import RpcServer, Served, by_token
from hanse.runtime import Runtime
from hanse_federation.headquarters.views import list_units
from hanse_federation.link import showing as linking
from hanse_federation.link.agent import Agent
from hanse_federation.link.batches import hashes_of
from hanse_federation.link.hub import SERVICE
from hanse_federation.model import LOG
from hanse_protos.federation.v1 import group_pb2 as pb
from hanse_protos.federation.v1.link_pb2 import Heartbeat, HubFrame, UnitFrame, Welcome
from hanse_protos.federation.v1.link_pb2_grpc import (
    FederationServiceServicer,
    add_FederationServiceServicer_to_server,
)
from hanse_protos.knowledge.v1.knowledge_pb2 import ArticleDrafted
from hanse_protos.policy.v1.policy_pb2 import PolicyPublished
from tests.batches import part_of
from tests.integration.hanse_federation.group import QUICK, Group, Unit, batch_of, converse, end, eventually, hello
from tests.support import OCCUR_TIME, MakeUnitFolder


async def test_what_was_committed_but_not_acknowledged_is_not_doubled(
    group: Group, unit_folder: MakeUnitFolder
) -> None:
    munich = await group.unit("units/munich", agent=False)
    batch = batch_of("units/munich", 4)
    frames = [hello("units/munich"), UnitFrame(unit="units/munich", batch=batch)]
    await converse(group, frames, certificate=unit_folder("units/munich"))
    taken = await munich.taken()
    answer = await converse(group, frames, certificate=unit_folder("units/munich"))
    assert answer.acknowledgement.head.sequence == 4
    assert await munich.taken() == taken


async def test_a_batch_that_overlaps_adds_only_what_is_new(group: Group, unit_folder: MakeUnitFolder) -> None:
    munich = await group.unit("units/munich", agent=False)
    longer = batch_of("units/munich", 4)
    for batch in (part_of(longer, 0, 2), longer):
        frames = [hello("units/munich"), UnitFrame(unit="units/munich", batch=batch)]
        await converse(group, frames, certificate=unit_folder("units/munich"))
    assert [record.hash for record in await munich.taken()] == hashes_of(longer)


async def test_a_new_agent_goes_on_where_the_killed_one_was(munich: Unit) -> None:
    await munich.open_tickets(1_500)
    await munich.stop()
    await munich.open_tickets(10, first=5_000)
    munich.start()
    await munich.caught_up()
    assert await munich.taken() == await munich.sent()


async def test_a_new_hub_goes_on_where_the_old_one_was(group: Group, munich: Unit) -> None:
    await group.hub.stop()
    await munich.open_tickets(10)
    group.hq.settings.hub_listen_address = f"127.0.0.1:{group.hub.port}"
    await group.start_hub()
    await munich.caught_up()
    assert await munich.taken() == await munich.sent()


async def test_a_newer_link_of_a_unit_takes_over(munich: Unit) -> None:
    munich.start()
    await munich.open_tickets(50)
    await munich.caught_up()
    assert await munich.taken() == await munich.sent()


async def test_a_unit_restored_from_an_old_backup_keeps_its_other_streams(munich: Unit) -> None:
    await munich.open_tickets(5)
    await munich.caught_up()
    before = await munich.taken()
    await munich.stop()
    async with munich.runtime.database.engine.begin() as connection:
        await connection.execute(text("DELETE FROM ticket.log_record WHERE sequence > 3"))
        kept = "SELECT hash FROM ticket.log_record WHERE sequence = 3"
        await connection.execute(text(f"UPDATE ticket.log_head SET sequence = 3, hash = ({kept})"))  # noqa: S608
    await munich.open_tickets(9, first=100)
    munich.start()

    async def quarantined() -> bool:
        async with munich.runtime.database.engine.connect() as connection:
            return await connection.scalar(text("SELECT stream FROM federation.quarantine")) is not None

    await eventually(quarantined)
    await munich.open_tickets(3, first=200)
    await munich.tell(
        *((f"units/munich/articles/{number}", ArticleDrafted()) for number in range(3)), service="knowledge"
    )

    async def article_arrived() -> bool:
        return len(await munich.taken("knowledge")) == 3

    await eventually(article_arrived)
    assert await munich.taken() == before


async def test_headquarters_own_desk_is_a_unit_like_any_other(group: Group) -> None:
    desk = await group.unit(HEADQUARTERS)
    await desk.open_tickets(20)
    await desk.caught_up()
    assert await desk.taken() == await desk.sent()


async def test_headquarters_sees_a_cut_unit_as_unreachable_with_its_lag(group: Group, munich: Unit) -> None:
    async def status() -> pb.UnitStatus:
        return (await group.hq.database.read(list_units, pb.ListUnitsRequest())).units[0]

    assert (await status()).reachable
    munich.line.cut()

    async def unreachable() -> bool:
        return not (await status()).reachable

    await eventually(unreachable)
    assert (await status()).last_error
    munich.line.heal()

    async def back() -> bool:
        return (await status()).reachable and (await status()).reconnects >= 1

    await eventually(back)


async def test_a_unit_sees_its_own_link(munich: Unit) -> None:
    await munich.open_tickets(5)
    await munich.caught_up()

    async def acknowledged() -> bool:
        link = await munich.runtime.database.read(linking.get_link, "units/munich")
        ends = {stream.stream: (stream.sequence, stream.acknowledged) for stream in link.streams}
        return link.connected and ends["units/munich/streams/ticket"] == (5, 5)

    await eventually(acknowledged)


async def test_both_ends_verify(munich: Unit) -> None:
    await munich.open_tickets(30)
    await munich.caught_up()
    assert (await munich.hq.database.read(verify, LOG, "units/munich/streams/ticket")).records == 30


class _SlowHub(FederationServiceServicer):
    """A hub whose first heartbeat was read before something was told to the unit, and is heard after it."""

    def __init__(self, hq: Runtime) -> None:
        self._hq = hq
        self._entry = new_event(Origin(HEADQUARTERS, "tests"), "policies/1", PolicyPublished(), OCCUR_TIME)

    async def Exchange(  # noqa: N802 - named as in the contract.
        self, request_iterator: AsyncIterator[UnitFrame], _context: object
    ) -> AsyncIterator[HubFrame]:
        frame = await anext(request_iterator)
        await self._hq.database.write(append, LOG, downstream_name(HEADQUARTERS), [self._entry])
        yield HubFrame(welcome=Welcome(credit=100, downstream=downstream_name(HEADQUARTERS)))
        yield HubFrame(heartbeat=Heartbeat(heads=[frame.hello.received]))
        async for _ in request_iterator:
            pass


async def test_what_is_told_to_headquarters_own_desk_while_its_link_begins_is_not_taken_for_a_fork(
    group: Group,
) -> None:
    settings = group.hq.settings
    address = f"{LOOPBACK}:{free_port()}"
    served = Served(SERVICE, add_FederationServiceServicer_to_server, _SlowHub(group.hq))
    server = RpcServer(address, settings.tls, by_token(group.hq.verifier), [served], require_client_certificate=True)
    await server.start()
    group.stack.push_async_callback(server.stop)
    settings.hub_address = address
    agent = asyncio.create_task(Agent(group.hq, timing=QUICK).run())
    group.stack.push_async_callback(end, agent)

    async def heard() -> bool:
        async with group.hq.database.engine.connect() as connection:
            known = await connection.scalar(text("SELECT count(*) FROM federation.known_head"))
            return bool(known or await connection.scalar(text("SELECT count(*) FROM federation.quarantine")))

    await eventually(heard)
    async with group.hq.database.engine.connect() as connection:
        assert (await connection.execute(text("SELECT problem FROM federation.quarantine"))).all() == []
