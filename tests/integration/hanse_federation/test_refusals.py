"""What the hub refuses, why, and that nothing of it stays."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from hanse.identity import CertificateAuthority
from hanse.rpc.client import RemoteError
from hanse_federation.link import agent
from hanse_federation.link.batches import hashes_of
from hanse_federation.link.frames import PROTOCOL_VERSION
from hanse_federation.link.showing import get_link
from hanse_protos.federation.v1.link_pb2 import Acknowledgement, Heartbeat, Hello, RecordBatch, UnitFrame
from hanse_protos.log.v1.log_pb2 import StreamHead
from tests.batches import altered, chained, last_hash
from tests.certificates import odd_certificate
from tests.integration.hanse_federation.group import Group, Unit, batch_of, converse, eventually, hello
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


async def test_a_sound_batch_is_acknowledged_with_its_hash(
    group: Group, munich: Unit, unit_folder: MakeUnitFolder
) -> None:
    batch = batch_of(MUNICH, 3)
    frames = [hello(MUNICH), UnitFrame(unit=MUNICH, batch=batch)]
    answer = await converse(group, frames, certificate=unit_folder(MUNICH))
    assert (answer.acknowledgement.head.sequence, answer.acknowledgement.head.hash) == (3, last_hash(batch))


async def test_a_frame_for_another_unit_is_refused(group: Group, munich: Unit, unit_folder: MakeUnitFolder) -> None:
    error = await refusal(group, unit_folder, batch_of(MUNICH), certificate="units/shanghai")
    assert (error.code, error.reason) == (grpc.StatusCode.PERMISSION_DENIED, "FRAME_FOREIGN")
    assert await munich.taken() == []


async def test_a_stream_of_another_unit_is_refused(group: Group, munich: Unit, unit_folder: MakeUnitFolder) -> None:
    error = await refusal(group, unit_folder, batch_of("units/shanghai"))
    assert error.reason == "FRAME_FOREIGN"


async def test_a_fact_that_another_unit_wrote_is_refused(
    group: Group, munich: Unit, unit_folder: MakeUnitFolder
) -> None:
    error = await refusal(group, unit_folder, batch_of(MUNICH, writer="units/shanghai"))
    assert error.reason == "FRAME_FOREIGN"
    assert await munich.taken() == []


async def test_a_tampered_record_is_a_fork_and_nothing_is_stored(
    group: Group, munich: Unit, unit_folder: MakeUnitFolder
) -> None:
    batch = batch_of(MUNICH, 3)
    error = await refusal(group, unit_folder, altered(batch, 1, event=batch.events[2]))
    assert (error.code, error.reason) == (grpc.StatusCode.DATA_LOSS, "LOG_FORK")
    assert error.metadata["stream"] == batch.stream
    assert await munich.taken() == []


async def test_a_stream_that_forked_stays_in_quarantine(
    group: Group, munich: Unit, unit_folder: MakeUnitFolder
) -> None:
    forged = batch_of(MUNICH, previous=b"x" * 32)
    assert (await refusal(group, unit_folder, forged)).reason == "LOG_FORK"
    assert (await refusal(group, unit_folder, batch_of(MUNICH))).reason == "LOG_QUARANTINED"
    assert await munich.taken() == []


async def test_another_history_of_what_was_acknowledged_is_a_fork(
    group: Group, munich: Unit, unit_folder: MakeUnitFolder
) -> None:
    await converse(
        group, [hello(MUNICH), UnitFrame(unit=MUNICH, batch=batch_of(MUNICH, 2))], certificate=unit_folder(MUNICH)
    )
    before = await munich.taken()
    assert (await refusal(group, unit_folder, batch_of(MUNICH, 5))).reason == "LOG_FORK"
    assert await munich.taken() == before


async def test_a_unit_that_lost_acknowledged_records_is_a_fork(
    group: Group, munich: Unit, unit_folder: MakeUnitFolder
) -> None:
    batch = batch_of(MUNICH, 3)
    await converse(group, [hello(MUNICH), UnitFrame(unit=MUNICH, batch=batch)], certificate=unit_folder(MUNICH))
    behind = StreamHead(stream=batch.stream, epoch=1, sequence=2, hash=hashes_of(batch)[1])
    frames = [hello(MUNICH), UnitFrame(unit=MUNICH, heartbeat=Heartbeat(heads=[behind]))]
    with pytest.raises(RemoteError) as raised:
        await converse(group, frames, certificate=unit_folder(MUNICH), until="never")
    assert raised.value.reason == "LOG_FORK"


async def test_a_gap_is_refused_with_the_position_to_resume_from(
    group: Group, munich: Unit, unit_folder: MakeUnitFolder
) -> None:
    error = await refusal(group, unit_folder, batch_of(MUNICH, first=7))
    assert (error.reason, error.metadata["expected"]) == ("LOG_GAP", "1")
    assert await munich.taken() == []


async def test_a_record_that_holds_no_event_is_refused(group: Group, munich: Unit, unit_folder: MakeUnitFolder) -> None:
    batch = chained(f"{MUNICH}/streams/ticket", [b"\xff\xff"])
    error = await refusal(group, unit_folder, batch)
    assert (error.reason, error.metadata["sequence"]) == ("FACT_UNREADABLE", "1")


async def test_a_link_that_begins_without_hello_is_refused(
    group: Group, munich: Unit, unit_folder: MakeUnitFolder
) -> None:
    frames = [UnitFrame(unit=MUNICH, acknowledgement=Acknowledgement(head=StreamHead()))]
    with pytest.raises(RemoteError) as raised:
        await converse(group, frames, certificate=unit_folder(MUNICH), until="never")
    assert raised.value.reason == "VALIDATION_FAILED"


async def test_a_frame_that_breaks_its_contract_is_refused(
    group: Group, munich: Unit, unit_folder: MakeUnitFolder
) -> None:
    frames = [UnitFrame(unit=MUNICH, hello=Hello(protocol_version=PROTOCOL_VERSION, credit=0))]
    with pytest.raises(RemoteError) as raised:
        await converse(group, frames, certificate=unit_folder(MUNICH), until="never")
    assert raised.value.reason == "VALIDATION_FAILED"


@pytest.mark.parametrize(
    ("said", "advice"),
    [(PROTOCOL_VERSION - 1, "upgrade units/munich"), (PROTOCOL_VERSION + 1, "upgrade headquarters")],
    ids=["an older one", "a newer one"],
)
async def test_a_unit_that_speaks_another_version_is_told_which_end_to_upgrade(
    group: Group, munich: Unit, unit_folder: MakeUnitFolder, said: int, advice: str
) -> None:
    frames = [UnitFrame(unit=MUNICH, hello=Hello(protocol_version=said, credit=100))]
    with pytest.raises(RemoteError) as raised:
        await converse(group, frames, certificate=unit_folder(MUNICH), until="never")
    assert (raised.value.reason, advice in str(raised.value)) == ("VALIDATION_FAILED", True)
    assert (raised.value.metadata["said"], raised.value.metadata["spoken"]) == (str(said), str(PROTOCOL_VERSION))


async def test_a_unit_of_another_version_shows_which_end_to_upgrade(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent, "PROTOCOL_VERSION", PROTOCOL_VERSION - 1)
    munich = await group.unit(MUNICH)

    async def shown() -> bool:
        link = await munich.runtime.database.read(get_link, MUNICH)
        return f"upgrade {MUNICH}" in link.last_error

    await eventually(shown)


async def test_without_a_certificate_nobody_gets_in(group: Group) -> None:
    with pytest.raises(RemoteError) as raised:
        await converse(group, [hello(MUNICH)], certificate=None)
    assert raised.value.code == grpc.StatusCode.UNAVAILABLE


async def test_with_a_certificate_of_another_authority_nobody_gets_in(group: Group, tmp_path: Path) -> None:
    CertificateAuthority.create(tmp_path / "forger").issue(MUNICH, tmp_path / "munich")
    with pytest.raises(RemoteError) as raised:
        await converse(group, [hello(MUNICH)], certificate=tmp_path / "munich")
    assert raised.value.code == grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    "uris",
    [
        [],
        ["spiffe://hanse.local/units/munich", "spiffe://hanse.local/units/shanghai"],
        ["spiffe://elsewhere.example/units/munich"],
    ],
    ids=["no identity", "two identities", "a foreign trust domain"],
)
async def test_a_certificate_without_exactly_one_unit_is_refused(
    group: Group, munich: Unit, authority: CertificateAuthority, tmp_path: Path, uris: list[str]
) -> None:
    folder = odd_certificate(tmp_path / "odd", authority, uris)
    with pytest.raises(RemoteError) as raised:
        await converse(group, [hello(MUNICH)], certificate=folder)
    assert (raised.value.code, raised.value.reason) == (grpc.StatusCode.UNAUTHENTICATED, "CERTIFICATE_INVALID")
