"""The line to one peer: brings it the stream that is for it, and knows whether it can be reached."""

import asyncio
import contextlib
from typing import TYPE_CHECKING

import structlog

from hanse.errors import HanseError
from hanse.log.append import Head
from hanse.names import stream_to
from hanse.runtime import Runtime
from hanse_federation.link.dialling import peer_channel
from hanse_federation.link.frames import MAX_BATCH_RECORDS
from hanse_federation.link.problems import in_words, known_problem
from hanse_federation.link.sending import Source, end_of, everything, read_batches
from hanse_federation.model import LOG
from hanse_protos.federation.v1.peer_pb2 import DeliverPeerRecordsRequest, GetPeerHeadRequest
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
                dialled = await peer_channel(self._settings, self.peer, timeout_seconds=self._call_seconds)
                async with dialled as channel:
                    await self._keep_up(PeerServiceStub(channel))
            except Exception as error:
                if known_problem(error) is None:
                    raise
                self._note(error)
            await asyncio.sleep(self._retry_seconds)

    def _note(self, error: Exception) -> None:
        if self.reachable:
            logger.info("a peer is out of reach", peer=self.peer, problem=in_words(error))
        self.reachable = False

    async def _keep_up(self, stub: "PeerServiceAsyncStub") -> None:
        with self._wakeup.subscription([self._source.stream]) as waiter:
            while True:
                waiter.clear()
                await self._deliver(stub)
                if not self.reachable:
                    logger.info("a peer can be reached", peer=self.peer)
                self.reachable = True
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._probe_seconds):
                        await waiter.wait()

    async def _deliver(self, stub: "PeerServiceAsyncStub") -> None:
        """Send what follows from where the peer's copy ends; asking for that is also the sign of life."""
        there = await stub.GetPeerHead(GetPeerHeadRequest(), timeout=self._call_seconds)
        more = True
        while more:
            head = _head_of(there)
            reading = await self._database.read(read_batches, self._source, head, MAX_BATCH_RECORDS, everything)
            for batch in reading.batches:
                there = await stub.DeliverPeerRecords(
                    DeliverPeerRecordsRequest(batch=batch), timeout=self._call_seconds
                )
                if _head_of(there) != end_of(batch):
                    raise HanseError(f"{self.peer} took {self._source.stream} and says that it ends elsewhere")
            more = reading.more


def _head_of(message: StreamHead) -> Head:
    return Head(message.epoch, message.sequence, message.hash)
