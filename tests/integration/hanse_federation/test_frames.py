"""Frames in the wrong order, of the wrong size, from a newer version, or too many: what the hub makes of each."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from sqlalchemy import text

from hanse.rpc.client import RemoteError
from hanse.rpc.server import MAX_MESSAGE_BYTES
from hanse_federation.headquarters.views import list_units
from hanse_federation.link import opened, outgoing
from hanse_federation.link.batches import size_of
from hanse_federation.link.end import Timing
from hanse_federation.link.frames import CREDIT_RECORDS, MAX_BATCH_RECORDS
from hanse_federation.link.hub import FederationServicer
from hanse_protos.federation.v1.group_pb2 import ListUnitsRequest
from hanse_protos.federation.v1.link_pb2 import Heartbeat, RecordBatch, UnitFrame
from hanse_protos.log.v1.log_pb2 import Event, StreamHead
from tests.batches import chained, last_hash
from tests.integration.hanse_federation.group import WAIT_SECONDS, Group, Unit, batch_of, converse, eventually, hello
from tests.support import MakeUnitFolder

MUNICH = "units/munich"


@pytest.fixture
async def munich(group: Group) -> AsyncIterator[Unit]:
    """Munich without an agent: the test speaks for it."""
    yield await group.unit(MUNICH, agent=False)


async def refusal(
    group: Group, unit_folder: MakeUnitFolder, *batches: RecordBatch, certificate: str = MUNICH
) -> RemoteError:
    """Speak for Munich with somebody's certificate; return why the hub ended the link."""
    frames = [hello(MUNICH), *(UnitFrame(unit=MUNICH, batch=batch) for batch in batches)]
    with pytest.raises(RemoteError) as raised:
        await converse(group, frames, certificate=unit_folder(certificate), until="never")
    return raised.value


async def test_batches_in_the_wrong_order_are_refused_until_the_first_has_come(
    group: Group, munich: Unit, unit_folder: MakeUnitFolder
) -> None:
    first = batch_of(MUNICH, 2)
    second = batch_of(MUNICH, 2, first=3, previous=last_hash(first))
    error = await refusal(group, unit_folder, second, first)
    assert (error.reason, error.metadata["expected"]) == ("LOG_GAP", "1")
    for batch in (first, second):
        frames = [hello(MUNICH), UnitFrame(unit=MUNICH, batch=batch)]
        await converse(group, frames, certificate=unit_folder(MUNICH))
    assert [record.sequence for record in await munich.taken()] == [1, 2, 3, 4]


async def test_a_frame_beyond_the_size_of_a_message_is_refused(
    group: Group, munich: Unit, unit_folder: MakeUnitFolder
) -> None:
    batch = chained(f"{MUNICH}/streams/ticket", [bytes(MAX_MESSAGE_BYTES + 1)])
    assert (await refusal(group, unit_folder, batch)).code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await munich.taken() == []


async def test_a_batch_of_more_records_than_the_contract_allows_is_refused(
    group: Group, munich: Unit, unit_folder: MakeUnitFolder
) -> None:
    error = await refusal(group, unit_folder, batch_of(MUNICH, MAX_BATCH_RECORDS + 1))
    assert (error.reason, error.metadata["fields"]) == ("VALIDATION_FAILED", "batch.events, batch.hashes")


async def test_a_frame_of_a_kind_that_is_not_known_is_refused(
    group: Group, munich: Unit, unit_folder: MakeUnitFolder
) -> None:
    newer = UnitFrame.FromString(UnitFrame(unit=MUNICH).SerializeToString() + b"\xfa\x01\x02hi")
    with pytest.raises(RemoteError) as raised:
        await converse(group, [hello(MUNICH), newer], certificate=unit_folder(MUNICH), until="never")
    assert raised.value.reason == "VALIDATION_FAILED"


async def test_an_unknown_field_of_a_known_frame_is_passed_over(
    group: Group, munich: Unit, unit_folder: MakeUnitFolder
) -> None:
    batch = UnitFrame(unit=MUNICH, batch=batch_of(MUNICH, 1)).SerializeToString()
    frames = [hello(MUNICH), UnitFrame.FromString(batch + b"\xfa\x01\x02hi")]
    answer = await converse(group, frames, certificate=unit_folder(MUNICH))
    assert answer.acknowledgement.head.sequence == 1


async def test_an_event_of_an_unknown_type_is_kept_as_it_is(
    group: Group, munich: Unit, unit_folder: MakeUnitFolder
) -> None:
    event = Event.FromString(batch_of(MUNICH).events[0])
    event.type, event.payload = "hanse_protos.ticket.v9.TicketTeleported", b"\xff\x00 of a later version"
    content = event.SerializeToString() + b"\xfa\x01\x02hi"
    batch = chained(f"{MUNICH}/streams/ticket", [content])
    await converse(group, [hello(MUNICH), UnitFrame(unit=MUNICH, batch=batch)], certificate=unit_folder(MUNICH))
    [kept] = await munich.taken()
    assert (kept.type, kept.event) == (event.type, content)


async def test_what_a_heartbeat_says_of_other_units_streams_is_not_listened_to(
    group: Group, munich: Unit, unit_folder: MakeUnitFolder
) -> None:
    heads = [StreamHead(stream=f"{unit}/streams/ticket", epoch=1, sequence=9) for unit in (MUNICH, "units/shanghai")]
    frames = [hello(MUNICH), UnitFrame(unit=MUNICH, heartbeat=Heartbeat(heads=heads))]
    frames.append(UnitFrame(unit=MUNICH, batch=batch_of(MUNICH)))
    await converse(group, frames, certificate=unit_folder(MUNICH))

    async def known() -> bool:
        async with group.hq.database.engine.connect() as connection:
            rows = await connection.scalars(text("SELECT stream FROM federation.known_head"))
            return list(rows) == [f"{MUNICH}/streams/ticket"]

    await eventually(known)


async def test_a_unit_that_sends_more_than_its_credit_is_sent_away_and_loses_nothing(
    group: Group, munich: Unit, unit_folder: MakeUnitFolder
) -> None:
    # Its own agent would dial again, and the newer link would take over before this one is at its credit's end.
    await munich.stop()
    certificate, previous, batches = unit_folder(MUNICH), b"", []
    for number in range(CREDIT_RECORDS // MAX_BATCH_RECORDS + 2):
        first = 1 + number * MAX_BATCH_RECORDS
        batches.append(batch_of(MUNICH, MAX_BATCH_RECORDS, first=first, previous=previous))
        previous = last_hash(batches[-1])
    await converse(group, [hello(MUNICH), UnitFrame(unit=MUNICH, batch=batches[0])], certificate=certificate)
    async with group.hq.database.engine.begin() as connection:
        # Headquarters can't commit, so nothing is acknowledged, whatever comes.
        await connection.execute(text("SELECT FROM federation.log_head FOR UPDATE"))
        error = await refusal(group, unit_folder, *batches[1:])
    assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "CREDIT_EXCEEDED")
    for batch in batches:
        await converse(group, [hello(MUNICH), UnitFrame(unit=MUNICH, batch=batch)], certificate=certificate)
    assert [record.sequence for record in await munich.taken()] == list(range(1, len(batches) * MAX_BATCH_RECORDS + 1))


@asynccontextmanager
async def unread_link(group: Group, folder: Path, frames: AsyncIterator[UnitFrame]) -> AsyncIterator[None]:
    """Let Munich say something to the hub and read no more than the Welcome: gRPC's own buffers are left out."""
    context: Any = SimpleNamespace(auth_context=lambda: {"x509_pem_cert": [(folder / "unit.crt").read_bytes()]})
    link: Any = FederationServicer(group.hq, Timing()).Exchange(frames, context)
    async with aclosing(link):
        await anext(link)
        yield


async def test_a_unit_that_repeats_itself_and_reads_no_answers_is_sent_away(
    group: Group, munich: Unit, unit_folder: MakeUnitFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "MAX_UNREAD_FRAMES", 3)
    known = UnitFrame(unit=MUNICH, batch=batch_of(MUNICH))

    async def repeat() -> AsyncIterator[UnitFrame]:
        yield hello(MUNICH)
        while True:
            yield known
            await asyncio.sleep(0.05)

    async def is_over() -> bool:
        answer = await group.hq.database.read(list_units, ListUnitsRequest())
        return any(unit.last_error.startswith("FRAMES_UNREAD") for unit in answer.units)

    async with unread_link(group, unit_folder(MUNICH), repeat()):
        await eventually(is_over)


async def test_of_large_records_no_more_are_read_than_may_wait_to_be_stored(
    group: Group, munich: Unit, unit_folder: MakeUnitFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches, read = [batch_of(MUNICH, 10)], 0
    for number in range(1, 8):
        batches.append(batch_of(MUNICH, 10, first=1 + 10 * number, previous=last_hash(batches[-1])))
    monkeypatch.setattr(opened, "MAX_OPENED_BYTES", 3 * max(map(size_of, batches)))

    async def say() -> AsyncIterator[UnitFrame]:
        nonlocal read
        yield hello(MUNICH)
        for batch in batches:
            read += 1
            yield UnitFrame(unit=MUNICH, batch=batch)
        await asyncio.sleep(WAIT_SECONDS)

    async def has_read() -> bool:
        # Three fit, and one more is read before it is known how large it is.
        return read >= 4

    await converse(group, [hello(MUNICH), UnitFrame(unit=MUNICH, batch=batches[0])], certificate=unit_folder(MUNICH))
    async with group.hq.database.engine.begin() as connection:
        # Headquarters can't commit, so what was read stays in memory.
        await connection.execute(text("SELECT FROM federation.log_head FOR UPDATE"))
        async with unread_link(group, unit_folder(MUNICH), say()):
            await eventually(has_read)
            await asyncio.sleep(0.5)
            assert read == 4
