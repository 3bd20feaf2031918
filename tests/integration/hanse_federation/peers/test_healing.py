"""Two peers that disagree about a stream: both show it, and a new epoch is the way out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.log.append import Head, append
from hanse.log.verify import verify
from hanse.policy.store import PolicyStore
from hanse.runtime import Runtime
from hanse.work import Cause, Work
from hanse_federation.link.frames import stream_head
from hanse_federation.link.showing import list_links
from hanse_federation.model import LOG, SCHEMA
from hanse_federation.peers.healing import compare_with_writer
from hanse_federation.peers.line import PeerLine
from hanse_federation.recovery import decisions as recovery
from hanse_protos.federation.v1 import group_pb2 as pb
from hanse_protos.federation.v1 import peer_pb2, recovery_pb2
from tests.integration.hanse_federation.group import eventually
from tests.integration.hanse_federation.peers.pair import MUNICH, STREAM, fact, head, running
from tests.integration.hanse_federation.test_metrics import measure
from tests.integration.hanse_federation.test_quarantine import alarms, change
from tests.integration.hanse_federation.test_recovery import accept_epoch, compared, decide, proposed, start_epoch
from tests.interleaving import interleaved
from tests.support import OCCUR_TIME


@pytest.fixture
async def line(munich: Runtime, shanghai: Runtime) -> AsyncIterator[PeerLine]:
    """The line from Shanghai to Munich, which has brought three records."""
    await shanghai.database.write(append, LOG, STREAM, [fact(), fact(), fact()])
    async with running(PeerLine(shanghai, MUNICH, probe_seconds=0.1, call_seconds=30.0, retry_seconds=0.1)) as line:
        await eventually(lambda: both_have(munich, shanghai, line))
        yield line


async def both_have(munich: Runtime, shanghai: Runtime, line: PeerLine) -> bool:
    return line.reachable and await head(munich) == await head(shanghai)


async def lose_last_two(runtime: Runtime) -> None:
    """Let Shanghai's stream end where an old backup of it did."""
    first = f"SELECT hash FROM federation.log_record WHERE stream = '{STREAM}' AND sequence = 1"  # noqa: S608
    await change(
        runtime,
        f"DELETE FROM federation.log_record WHERE stream = '{STREAM}' AND sequence > 1",  # noqa: S608
        f"UPDATE federation.log_head SET sequence = 1, hash = ({first}) WHERE stream = '{STREAM}'",  # noqa: S608
    )


async def link_of(runtime: Runtime) -> tuple[pb.LinkReport, pb.StreamReport]:
    """Return the unit's line to its peer, with the stream that it sends."""
    [link] = (await runtime.database.read(list_links, runtime.unit)).links
    [sent] = [stream for stream in link.streams if stream.sent]
    return link, sent


async def test_a_line_to_a_peer_is_shown_as_a_link_and_as_metrics(line: PeerLine, shanghai: Runtime) -> None:
    async def acknowledged() -> bool:
        return (await link_of(shanghai))[1].other_sequence == 3

    await eventually(acknowledged)
    link, sent = await link_of(shanghai)
    assert (link.unit, link.peer, link.hub, link.connected, link.health) == (MUNICH, True, False, True, pb.OK)
    assert (sent.stream, sent.position.sequence, sent.lag_events) == (STREAM, 3, 0)
    points = await measure(shanghai)
    assert (points["hanse.link.up", MUNICH], points["hanse.link.acknowledged", STREAM]) == (1, 3)


async def test_a_writer_that_lost_its_last_records_goes_on_in_an_epoch_that_its_peer_accepts(
    line: PeerLine,
    munich: Runtime,
    shanghai: Runtime,
) -> None:
    await lose_last_two(shanghai)
    await shanghai.database.write(append, LOG, STREAM, [fact()])
    assert (await compared(shanghai, STREAM), await compared(munich, STREAM)) == (1, 1)
    link, sent = await link_of(shanghai)
    assert (link.health, sent.health, line.reachable) == (pb.QUARANTINED, pb.QUARANTINED, False)
    assert (await start_epoch(shanghai, STREAM)).carried == 1
    await proposed(munich, STREAM)
    assert (await accept_epoch(munich, STREAM)).orphans == 2
    await eventually(lambda: both_have(munich, shanghai, line))
    assert (await alarms(munich), await alarms(shanghai)) == ({}, {})
    assert [(await runtime.database.read(verify, LOG, STREAM)).intact for runtime in (munich, shanghai)] == [True] * 2
    assert await head(munich) == await head(shanghai)


async def test_a_comparison_that_comes_while_a_person_decides_is_of_what_comes_of_that(
    line: PeerLine,
    munich: Runtime,
    shanghai: Runtime,
) -> None:
    await lose_last_two(shanghai)
    await compared(munich, STREAM)
    await compared(shanghai, STREAM)
    await start_epoch(shanghai, STREAM)
    await proposed(munich, STREAM)
    beginning = stream_head(STREAM, await shanghai.database.read(first_head))
    question = peer_pb2.ComparePeerStreamRequest(probes=[beginning], final=True)

    def accept_now(session: Session) -> None:
        work = Work(session, MUNICH, Cause(f"{MUNICH}/agents/huber", "r"), OCCUR_TIME, PolicyStore(SCHEMA))
        recovery.accept(work, recovery_pb2.AcceptEpochRequest(stream=STREAM))

    compare = partial(munich.database.write, compare_with_writer, STREAM, question)
    _, answer = await interleaved(munich.database, accept_now, compare)
    assert (answer.head.sequence, answer.quarantined) == (1, False)
    await eventually(lambda: both_have(munich, shanghai, line))
    assert (await alarms(munich), await alarms(shanghai)) == ({}, {})


def first_head(session: Session) -> Head:
    columns = LOG.record.c
    query = select(columns.epoch, columns.sequence, columns.hash)
    [row] = session.execute(query.where(columns.stream == STREAM, columns.sequence == 1))
    return Head(*row)


async def test_a_quarantine_whose_cause_is_gone_is_released_by_the_peer_that_keeps_the_copy(
    line: PeerLine,
    munich: Runtime,
    shanghai: Runtime,
) -> None:
    tail = f"stream = '{STREAM}' AND sequence = 3"
    await change(munich, f"UPDATE federation.log_head SET hash = sha256('x') WHERE {tail}")  # noqa: S608
    await compared(munich, STREAM)
    original = f"SELECT hash FROM federation.log_record WHERE {tail}"  # noqa: S608
    await change(munich, f"UPDATE federation.log_head SET hash = ({original}) WHERE {tail}")  # noqa: S608

    async def agreed() -> bool:
        return (await alarms(munich))[STREAM].common.sequence == 3

    await eventually(agreed)
    request = recovery_pb2.ReleaseStreamRequest(stream=STREAM)
    await decide(munich, recovery.release_stream, request, recovery_pb2.ReleaseStreamResponse)
    await eventually(lambda: both_have(munich, shanghai, line))
    assert await alarms(shanghai) == {}
