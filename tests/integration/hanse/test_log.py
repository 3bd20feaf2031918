"""The event log on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import random

import pytest
from google.protobuf.wrappers_pb2 import StringValue
from sqlalchemy import Table, func, select, text, update
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.log.append import append
from hanse.log.events import payload_of
from hanse.log.follow import START, Position, StoredRecord, last_position, read_after, read_head
from hanse.log.sealing import seal
from hanse.log.verify import Verification, verify
from hanse.runtime import Runtime
from hanse_protos.log.v1.log_pb2 import SealedFields
from tests.integration.hanse.kernel import PLENTY, SCHEMA, STREAM, UNIT, create_schema, entries, entry
from tests.support import MakeDatabase, MakeRuntime

WRITERS, TRANSACTIONS = 8, 15
LOG = SCHEMA.log


@pytest.fixture
def database(make_runtime: MakeRuntime, make_database: MakeDatabase) -> Database:
    url = make_database()
    create_schema(url)
    runtime: Runtime = make_runtime(UNIT, database_url=url)
    return runtime.database


async def fill(database: Database, *whats: str) -> None:
    await database.write(append, LOG, STREAM, entries(*whats))


async def records(database: Database, after: Position = START) -> list[StoredRecord]:
    return await database.read(read_after, LOG, STREAM, after, PLENTY)


async def verified(database: Database, end_sequence: int = 0) -> Verification:
    return await database.read(verify, LOG, STREAM, end_sequence)


async def edit(database: Database, sequence: int, **values: object) -> None:
    table: Table = LOG.record
    statement = update(table).where(table.c.sequence == sequence).values(**values)
    await database.write(lambda session: session.execute(statement))


def what(record: StoredRecord) -> str:
    payload = payload_of(record.decoded())
    assert isinstance(payload, StringValue)
    return payload.value


# Dense, and in the order of commits.


async def test_concurrent_writers_with_rollbacks_leave_a_dense_log_of_exactly_what_was_committed(
    database: Database,
) -> None:
    committed: set[str] = set()

    async def write(number: int) -> None:
        chance = random.Random(number)  # noqa: S311 - it makes no secret.
        for step in range(TRANSACTIONS):
            whats = [f"{number}-{step}-{part}" for part in range(chance.randint(1, 3))]
            try:
                await database.write(transaction, whats, fail=chance.random() < 0.2)
            except RuntimeError:
                continue
            committed.update(whats)

    def transaction(session: Session, whats: list[str], *, fail: bool) -> None:
        append(session, LOG, STREAM, entries(*whats))
        if fail:
            raise RuntimeError

    async def follow(seen: list[StoredRecord]) -> None:
        while not writing.done() or await records(database, last_position(seen) if seen else START):
            seen += await records(database, last_position(seen) if seen else START)
            await asyncio.sleep(0.005)

    seen: list[StoredRecord] = []
    writing = asyncio.gather(*(write(number) for number in range(WRITERS)))
    await asyncio.gather(writing, follow(seen))
    assert [record.sequence for record in seen] == list(range(1, len(committed) + 1))
    assert ({what(record) for record in seen}, (await verified(database)).problem) == (committed, "")


async def test_a_reader_misses_nothing_where_one_by_a_serial_number_misses_what_commits_late(
    database: Database,
) -> None:
    statements = "CREATE TABLE kernel.naive (id bigserial PRIMARY KEY, what text)"
    await database.write(lambda session: session.execute(text(statements)))
    late_took_its_number, early_has_committed = asyncio.Event(), asyncio.Event()

    def insert_naive(session: Session, what: str) -> None:
        session.execute(text("INSERT INTO kernel.naive (what) VALUES (:what)"), {"what": what})

    async def late() -> None:
        async with database.engine.connect() as connection:
            await connection.run_sync(lambda sync: insert_naive(Session(sync), "late"))
            late_took_its_number.set()
            await early_has_committed.wait()
            await connection.run_sync(lambda sync: append(Session(sync), LOG, STREAM, entries("late")))
            await connection.commit()

    async def early() -> tuple[int, Position]:
        await late_took_its_number.wait()
        await database.write(insert_naive, "early")
        await fill(database, "early")
        cursors = await naive_cursor(), last_position(await records(database))
        early_has_committed.set()
        return cursors

    async def naive_cursor() -> int:
        return int(await database.read(lambda session: session.scalar(text("SELECT max(id) FROM kernel.naive"))))

    async def naive_after(cursor: int) -> list[str]:
        query = text("SELECT what FROM kernel.naive WHERE id > :cursor")
        return await database.read(lambda session: list(session.scalars(query, {"cursor": cursor})))

    _, (cursor, position) = await asyncio.gather(late(), early())
    assert await naive_after(cursor) == []
    assert [what(record) for record in await records(database, position)] == ["late"]


async def test_a_rollback_leaves_neither_records_nor_a_hole(database: Database) -> None:
    await fill(database, "a")

    def broken(session: Session) -> None:
        append(session, LOG, STREAM, entries("b"))
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await database.write(broken)
    await fill(database, "c")
    assert [(record.sequence, what(record)) for record in await records(database)] == [(1, "a"), (2, "c")]


async def test_two_streams_in_one_schema_count_on_their_own(database: Database) -> None:
    await fill(database, "a", "b")
    head = await database.write(append, LOG, "units/munich/streams/kernel", entries("c"))
    assert (head.sequence, (await database.read(read_head, LOG, STREAM)).sequence) == (1, 2)


# What verifying finds.


async def test_an_untouched_log_is_intact(database: Database) -> None:
    await fill(database, *"abcde")
    verification = await verified(database)
    assert (verification.intact, verification.records) == (True, 5)
    assert verification.head == await database.read(read_head, LOG, STREAM)


async def test_an_edited_event_is_found(database: Database) -> None:
    await fill(database, *"abc")
    await edit(database, 2, event=entry("x").event)
    verification = await verified(database)
    assert (verification.records, "1/2" in verification.problem) == (1, True)


@pytest.mark.parametrize("values", [{"type": "google.protobuf.Empty"}, {"resource": "units/shanghai/things/x"}])
async def test_a_record_that_is_filed_as_something_else_is_found(database: Database, values: dict[str, str]) -> None:
    await fill(database, *"abc")
    await edit(database, 2, **values)
    assert "1/2" in (await verified(database)).problem


async def test_an_edited_sealed_field_is_found(database: Database) -> None:
    await database.write(append, LOG, STREAM, [entry("a", text="the truth")])
    [record] = await records(database)
    sealed = SealedFields.FromString(record.sealed or b"")
    sealed.fields[0].value = "a lie"
    await edit(database, 1, sealed=sealed.SerializeToString())
    assert "sealed field 'text'" in (await verified(database)).problem


async def test_a_sealed_field_that_was_never_sealed_is_found(database: Database) -> None:
    await fill(database, "a")
    await edit(database, 1, sealed=seal({"text": "added"}).SerializeToString())
    assert not (await verified(database)).intact


async def test_a_log_whose_sealed_fields_are_withheld_is_intact(database: Database) -> None:
    await database.write(append, LOG, STREAM, [entry("a", text="the truth"), entry("b")])
    await edit(database, 1, sealed=None)
    assert (await verified(database)).intact


async def test_a_gap_is_found(database: Database) -> None:
    await fill(database, *"abc")
    await database.write(lambda session: session.execute(LOG.record.delete().where(LOG.record.c.sequence == 2)))
    assert "goes on at 3, expected 2" in (await verified(database)).problem


async def test_a_cut_tail_is_found_by_the_head(database: Database) -> None:
    await fill(database, *"abc")
    await database.write(lambda session: session.execute(LOG.record.delete().where(LOG.record.c.sequence > 1)))
    assert "ends at 1" in (await verified(database)).problem


async def test_a_tail_that_is_cut_together_with_its_head_is_found_by_whoever_knows_the_head(database: Database) -> None:
    await fill(database, *"abc")
    [first, *_] = await records(database)

    def cut(session: Session) -> None:
        session.execute(LOG.record.delete().where(LOG.record.c.sequence > 1))
        session.execute(LOG.head.update().values(sequence=1, hash=first.hash))

    await database.write(cut)
    assert (await verified(database)).intact
    assert "its tail up to 3 is missing" in (await verified(database, end_sequence=3)).problem


async def test_a_head_that_names_another_hash_is_found(database: Database) -> None:
    await fill(database, *"abc")
    await database.write(lambda session: session.execute(LOG.head.update().values(hash=b"x" * 32)))
    assert "is not what its head says" in (await verified(database)).problem


async def test_verifying_stops_at_the_place_that_is_named(database: Database) -> None:
    await fill(database, *"abcde")
    await edit(database, 5, event=entry("x").event)
    verification = await verified(database, end_sequence=4)
    assert (verification.intact, verification.records, verification.head.sequence) == (True, 4, 4)


async def test_records_that_are_appended_while_it_verifies_do_no_harm(database: Database) -> None:
    await fill(database, *"abc")
    results, _ = await asyncio.gather(
        asyncio.gather(*(verified(database) for _ in range(5))),
        asyncio.gather(*(fill(database, "x") for _ in range(5))),
    )
    assert all(result.intact for result in results)
    count = select(func.count()).select_from(LOG.record)
    assert await database.read(lambda session: session.scalar(count)) == 8
