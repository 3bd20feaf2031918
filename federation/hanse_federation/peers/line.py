"""The line to one peer: brings it the stream that is for it, and knows whether it can be reached."""

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING

import grpc
import structlog
from sqlalchemy.orm import Session

from hanse.clock import utc_now
from hanse.database import DATABASE_ERRORS
from hanse.errors import HanseError
from hanse.identity import UnitCertificate, check_revocation_list
from hanse.log.append import Head
from hanse.log.epochs import holds
from hanse.log.follow import read_head
from hanse.names import stream_to
from hanse.rpc.client import RemoteError
from hanse.runtime import Runtime
from hanse_federation.link.batches import end_of
from hanse_federation.link.dialling import peer_channel
from hanse_federation.link.forks import fork
from hanse_federation.link.frames import MAX_BATCH_RECORDS, stream_head
from hanse_federation.link.problems import REFUSED, in_words, known_problem
from hanse_federation.link.sending import Source, everything, read_batches
from hanse_federation.link.status import save_connected, save_contact, save_lost
from hanse_federation.membership.revocations import keep_list, newest_list, refuse_revoked
from hanse_federation.model import LOG, End
from hanse_federation.peers.healing import refuse_quarantined
from hanse_federation.recovery.quarantine import save_quarantine
from hanse_protos.federation.v1.peer_pb2 import (
    DeliverPeerRecordsRequest,
    ExchangeRevocationsRequest,
    GetPeerHeadRequest,
)
from hanse_protos.federation.v1.peer_pb2_grpc import PeerServiceStub
from hanse_protos.log.v1.log_pb2 import StreamHead

if TYPE_CHECKING:
    from hanse_protos.federation.v1.peer_pb2_grpc import PeerServiceAsyncStub

logger = structlog.get_logger(__name__)


class PeerLine:
    """Keeps one peer up to date, until cancelled. It is never ahead of what the peer says that it has."""

    def __init__(
        self, runtime: Runtime, peer: str, *, probe_seconds: float, call_seconds: float, retry_seconds: float
    ) -> None:
        self.peer = peer
        self.reachable = False
        self._exchanged: bytes | None = None
        self._settings = runtime.settings
        self._database = runtime.database
        self._wakeup = runtime.wakeup
        self._source = Source(LOG, stream_to(runtime.unit, peer))
        self._probe_seconds = probe_seconds
        self._call_seconds = call_seconds
        self._retry_seconds = retry_seconds

    async def run(self) -> None:
        """Bring the peer what there is, and ask for it again and again; that it can't be reached is a normal state."""
        while True:
            try:
                dialled, certificate = await peer_channel(self._settings, self.peer, timeout_seconds=self._call_seconds)
                async with dialled as channel:
                    await self._keep_up(PeerServiceStub(channel), certificate)
            except Exception as error:
                problem = known_problem(error)
                if problem is None:
                    raise
                await self._note(problem)
            await asyncio.sleep(self._retry_seconds)

    async def _note(self, problem: HanseError | RemoteError) -> None:
        """Note that the peer can't be reached, or that the two disagree about the stream."""
        if self.reachable:
            logger.info("a peer is out of reach", peer=self.peer, problem=in_words(problem))
        self.reachable = False
        with contextlib.suppress(*DATABASE_ERRORS):
            # Where the database is away nobody can be shown anything; the next try notes it again.
            await self._database.write(self._save_problem, problem)

    def _save_problem(self, session: Session, problem: HanseError | RemoteError) -> None:
        if problem.reason in REFUSED:
            save_quarantine(session, self._source.stream, problem, found_here=isinstance(problem, HanseError))
        save_lost(session, End.PEER, self.peer, in_words(problem), utc_now())

    async def _keep_up(self, stub: "PeerServiceAsyncStub", certificate: UnitCertificate) -> None:
        self._exchanged = None
        with self._wakeup.subscription([self._source.stream]) as waiter:
            while True:
                waiter.clear()
                await self._exchange_revocations(stub)
                await self._database.read(refuse_revoked, certificate)
                there = await self._deliver(stub)
                await self._database.write(self._save_contact, there)
                if not self.reachable:
                    logger.info("a peer can be reached", peer=self.peer)
                self.reachable = True
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._probe_seconds):
                        await waiter.wait()

    async def _exchange_revocations(self, stub: "PeerServiceAsyncStub") -> None:
        """Give the peer the list of void certificates, and take its one, on a new line and when ours has changed."""
        ours = await self._database.read(newest_list)
        if ours == self._exchanged:
            return
        request = ExchangeRevocationsRequest(revocation_list=ours)
        try:
            theirs = (await stub.ExchangeRevocations(request, timeout=self._call_seconds)).revocation_list
        except grpc.aio.AioRpcError as error:
            # A peer of an earlier version knows of no lists, and is none the worse for it.
            if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                raise
            theirs = b""
        if theirs and theirs != ours:
            number = check_revocation_list(theirs, self._settings.tls.authority.read_bytes())
            await self._database.write(keep_list, number, theirs)
        self._exchanged = theirs or ours

    def _save_contact(self, session: Session, there: Head) -> None:
        now, stream = utc_now(), self._source.stream
        if not self.reachable:
            save_connected(session, End.PEER, self.peer, now)
        # Calls are answered one by one, so there is no credit.
        save_contact(session, End.PEER, self.peer, contact_time=now, credit=0, acknowledged={stream: there}, known={})

    async def _deliver(self, stub: "PeerServiceAsyncStub") -> Head:
        """Send what follows from where the peer's copy ends, and return where it ends then.

        Asking for that is also the sign of life. Raises LogFork where the peer has a record that is not in our log,
        LogQuarantined until a person has decided about that.
        """
        stream = self._source.stream
        await refuse_quarantined(
            self._database, self._source, partial(stub.ComparePeerStream, timeout=self._call_seconds)
        )
        own = await self._database.read(read_head, LOG, stream)
        there = await stub.GetPeerHead(GetPeerHeadRequest(head=stream_head(stream, own)), timeout=self._call_seconds)
        head, more = _head_of(there), True
        if not await self._database.read(holds, LOG, stream, head):
            raise fork(stream, head.epoch, head.sequence, "is at the receiver and not in the sender's log")
        while more:
            reading = await self._database.read(read_batches, self._source, head, MAX_BATCH_RECORDS, everything)
            for batch in reading.batches:
                there = await stub.DeliverPeerRecords(
                    DeliverPeerRecordsRequest(batch=batch), timeout=self._call_seconds
                )
                head = _head_of(there)
                if head != end_of(batch):
                    raise HanseError(f"{self.peer} took {stream} and says that it ends elsewhere")
            more = reading.more
        return head


def _head_of(message: StreamHead) -> Head:
    return Head(message.epoch, message.sequence, message.hash)
