"""What is stored of a batch: each record once, and beside its event what the event says."""

from uuid import UUID

from sqlalchemy import select

from hanse.log.sealing import digests_of, seal, texts_of
from hanse.times import instant
from hanse_federation.link.receiving import Interest, open_batch
from hanse_federation.link.storing import store_all
from hanse_federation.model import LOG
from hanse_protos.log.v1.log_pb2 import Event
from hanse_protos.ticket.v1.events_pb2 import TicketOpened
from tests.batches import chained, part_of
from tests.integration.hanse_federation.group import Group, batch_of

MUNICH = "units/munich"
EVERY_OPENED = {TicketOpened.DESCRIPTOR.full_name: Interest(TicketOpened, every=True)}


async def test_a_batch_that_comes_twice_in_one_transaction_is_stored_once(group: Group) -> None:
    batch = open_batch(batch_of(MUNICH, 3), EVERY_OPENED)
    facts = await group.hq.database.write(store_all, [batch, batch])
    assert [fact.sequence for fact in facts] == [1, 2, 3]


async def test_of_a_batch_that_is_half_known_only_the_rest_is_new(group: Group) -> None:
    batch = batch_of(MUNICH, 5)
    opened = [open_batch(part, EVERY_OPENED) for part in (part_of(batch, 0, 2), batch)]
    facts = await group.hq.database.write(store_all, opened)
    assert [fact.sequence for fact in facts] == [1, 2, 3, 4, 5]


async def test_a_row_says_beside_its_event_what_the_event_says(group: Group) -> None:
    batch = batch_of(MUNICH)
    await group.hq.database.write(store_all, [open_batch(batch, {})])
    columns = LOG.record.c
    query = select(
        columns.stream, columns.epoch, columns.sequence, columns.hash, columns.event_id, columns.resource, columns.type,
        columns.occur_time, columns.event, columns.sealed,
    ).where(columns.stream == batch.stream)  # fmt: skip
    row = await group.hq.database.read(lambda session: session.execute(query).one())
    event = Event.FromString(batch.events[0])
    assert row[:4] == (batch.stream, 1, 1, batch.hashes)
    assert row[4:8] == (UUID(event.event_id), event.resource, event.type, instant(event.occur_time))
    assert row[8:] == (batch.events[0], None)


async def test_sealed_fields_that_came_are_stored_beside_their_event(group: Group) -> None:
    sealed = seal({"title": "停电", "description": "一号楼"})
    batch = batch_of(MUNICH, 3)
    event = Event.FromString(batch.events[1])
    event.sealed_digests.extend(digests_of(sealed))
    contents = [batch.events[0], event.SerializeToString(), batch.events[2]]
    batch = chained(batch.stream, contents, sealed={1: sealed.fields})
    await group.hq.database.write(store_all, [open_batch(batch, {})])
    columns = LOG.record.c
    query = select(columns.sealed).where(columns.stream == batch.stream).order_by(columns.sequence)
    stored = await group.hq.database.read(lambda session: session.scalars(query).all())
    assert [texts_of(sealed) for sealed in stored] == [{}, {"title": "停电", "description": "一号楼"}, {}]
