"""When two peers disagree about the stream that one writes for the other.

    the writer                                        the peer that keeps the copy
    finds it out, or is told                          finds it out, or is told
    compares again and again  ------ComparePeerStream----->  knows up to where both agree
    `hanse stream start-epoch`                        hears of the epoch by the next comparison
                                                      `hanse stream accept-epoch`, or `release`
    hears by the next comparison that the copy is well, ends its own quarantine, and goes on

The peer that keeps the copy decides when it is over, since only it knows what it has. Nothing else waits meanwhile:
headquarters' way carries the same facts as soon as headquarters can be reached.
"""

from collections.abc import Awaitable, Callable

from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import LogQuarantined
from hanse.log.append import EMPTY_HEAD, Head
from hanse.log.epochs import holds
from hanse.log.follow import read_head
from hanse_federation.link.comparing import last_common
from hanse_federation.link.forks import fork
from hanse_federation.link.frames import stream_head
from hanse_federation.link.sending import Source
from hanse_federation.model import LOG, Quarantine
from hanse_federation.recovery.quarantine import read_quarantines, release, save_common, save_quarantine
from hanse_protos.federation.v1 import peer_pb2 as pb
from hanse_protos.federation.v1.link_pb2 import CompareStreamRequest, CompareStreamResponse

AskPeer = Callable[[pb.ComparePeerStreamRequest], Awaitable[pb.ComparePeerStreamResponse]]


def compare_with_writer(
    session: Session, stream: str, request: pb.ComparePeerStreamRequest
) -> pb.ComparePeerStreamResponse:
    """Answer the writer of a stream which of its records are here too, and keep what it says of itself."""
    # A person may be deciding about the stream right now: what is compared is what comes of that.
    row = _locked(session, stream)
    probes = [Head(probe.epoch, probe.sequence, probe.hash) for probe in request.probes]
    agreed = [probe for probe in probes if holds(session, LOG, stream, probe)]
    common = max(agreed, key=lambda head: head.sequence, default=EMPTY_HEAD)
    head = read_head(session, LOG, stream)
    if request.final:
        if common != head:
            problem = fork(stream, head.epoch, head.sequence, "is here and not in its writer's log")
            save_quarantine(session, stream, problem)
        save_common(session, stream, common)
        row = _locked(session, stream)
    if row and request.new_epoch:
        row.new_epoch = request.new_epoch
    return pb.ComparePeerStreamResponse(
        common=stream_head(stream, common), head=stream_head(stream, head), quarantined=row is not None
    )


def _locked(session: Session, stream: str) -> Quarantine | None:
    return session.get(Quarantine, stream, with_for_update=True, populate_existing=True)


async def refuse_quarantined(database: Database, source: Source, ask: AskPeer) -> None:
    """Compare a stream of this unit that is in quarantine with the peer's copy; raise LogQuarantined until it is well.

    A stream that is not in quarantine passes without a question.
    """
    rows = await database.read(read_quarantines, [source.stream])
    if not rows:
        return
    new_epoch, answers = rows[0].new_epoch, []

    async def ask_alike(request: CompareStreamRequest) -> CompareStreamResponse:
        answers.append(
            await ask(pb.ComparePeerStreamRequest(probes=request.probes, final=request.final, new_epoch=new_epoch))
        )
        return CompareStreamResponse(common=answers[-1].common, head=answers[-1].head)

    common, there = await last_common(database, source, ask_alike)
    if answers[-1].quarantined or common != there:
        await database.write(save_common, source.stream, common)
        raise LogQuarantined(f"{source.stream}: {rows[0].problem}", stream=source.stream)
    await database.write(release, source.stream)
