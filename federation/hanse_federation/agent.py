"""The unit's end of its link: it dials headquarters, and dials again, for as long as the unit lives."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from functools import partial

import grpc
import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.clock import utc_now
from hanse.errors import FrameForeign, LogFork, LogQuarantined
from hanse.log.follow import read_head
from hanse.names import downstream_name
from hanse.policy.store import PolicyStore
from hanse.rpc.client import CHANNEL_OPTIONS, RemoteError
from hanse.runtime import Runtime
from hanse_federation.frames import CREDIT_RECORDS, PROTOCOL_VERSION, heads_by_stream, stream_head
from hanse_federation.link import LinkEnd, Timing, next_frame
from hanse_federation.model import LOG, SCHEMA, End, Quarantine
from hanse_federation.problems import in_words, known_problem
from hanse_federation.receiving import OpenedBatch, open_batch, store_all
from hanse_federation.sending import CreditWindow, Sender, Source, read_heads, upstream_sources
from hanse_federation.sharing import sharing
from hanse_federation.status import save_lost, save_quarantine
from hanse_protos.federation.v1.link_pb2 import Hello, HubFrame, RecordBatch, UnitFrame, Welcome
from hanse_protos.federation.v1.link_pb2_grpc import FederationServiceStub

AGENT_CHANNEL_OPTIONS = [
    *CHANNEL_OPTIONS,
    # Every attempt dials anew: a shared connection would bring its own back-off along.
    ("grpc.use_local_subchannel_pool", 1),
]

logger = structlog.get_logger(__name__)


class Agent:
    """Keeps the unit's link to headquarters open."""

    def __init__(self, runtime: Runtime, *, timing: Timing | None = None) -> None:
        self.unit = runtime.unit
        self._settings = runtime.settings
        self._database = runtime.database
        self._wakeup = runtime.wakeup
        self._timing = timing or Timing()
        self._sources = upstream_sources(self.unit)
        self._downstream = downstream_name(self.unit)
        self._share = sharing(PolicyStore(SCHEMA))
        self._attempts = 0

    async def run(self) -> None:
        """Keep the link open until cancelled. That it can't be is a normal state: the unit works on, and this waits."""
        while True:
            try:
                await self._connect()
            except Exception as error:
                await self._note(error)
            await asyncio.sleep(self._delay_seconds())

    def _delay_seconds(self) -> float:
        """Return how long to wait: twice as long each time, with jitter, so that units don't come back all at once."""
        longest = min(self._timing.first_delay_seconds * 2**self._attempts, self._timing.last_delay_seconds)
        self._attempts = min(self._attempts + 1, 10)
        return random.uniform(longest / 2, longest)  # noqa: S311 - jitter keeps no secret.

    async def _note(self, error: Exception) -> None:
        """Keep why the link ended, and put a stream that headquarters refuses into quarantine here too."""
        problem = known_problem(error)
        if problem is None:
            logger.exception("the link failed for a reason that has no type", exc_info=error)
        logger.info("the link is down", unit=self.unit, problem=in_words(error))
        try:
            await self._database.write(save_lost, End.AGENT, self.unit, in_words(error), utc_now())
            refused = problem.metadata.get("stream") if isinstance(problem, RemoteError) else None
            if problem and problem.reason in (LogFork.reason, LogQuarantined.reason) and refused in self._streams:
                await self._database.write(save_quarantine, refused, str(problem))
        except Exception as again:
            if known_problem(again) is None:
                raise
            logger.warning("the unit's database does not answer", problem=in_words(again))

    @property
    def _streams(self) -> set[str]:
        return {source.stream for source in self._sources}

    async def _connect(self) -> None:
        """Open the link and be its end until it ends; the reason is raised."""
        async with self._channel() as channel:
            outgoing: asyncio.Queue[UnitFrame | None] = asyncio.Queue()
            call = FederationServiceStub(channel).Exchange(_frames(outgoing))
            try:
                frames = call.__aiter__()
                outgoing.put_nowait(await self._hello())
                answer: HubFrame = await next_frame(frames, self._timing.welcome_seconds)
                link = await self._begin(answer.welcome, outgoing)
                self._attempts = 0
                await link.run(frames)
            finally:
                call.cancel()

    def _channel(self) -> grpc.aio.Channel:
        tls = self._settings.tls
        credentials = grpc.ssl_channel_credentials(
            tls.authority.read_bytes(), tls.key.read_bytes(), tls.certificate.read_bytes()
        )
        return grpc.aio.secure_channel(self._settings.hub_address, credentials, AGENT_CHANNEL_OPTIONS)

    async def _hello(self) -> UnitFrame:
        received = await self._database.read(read_head, LOG, self._downstream)
        heads = await self._database.read(read_heads, self._sources)
        hello = Hello(
            protocol_version=PROTOCOL_VERSION,
            received=stream_head(self._downstream, received),
            credit=CREDIT_RECORDS,
            heads=[stream_head(stream, head) for stream, head in heads.items()],
        )
        return UnitFrame(unit=self.unit, hello=hello)

    async def _begin(self, welcome: Welcome, outgoing: asyncio.Queue[UnitFrame | None]) -> LinkEnd[UnitFrame]:
        """Take the streams up where headquarters has them; one that forked goes into quarantine, the rest goes on."""
        sources = await self._database.read(_healthy, self._sources)
        sender = Sender(self._database, sources, CreditWindow(welcome.credit), self._share)
        await sender.begin(heads_by_stream(welcome.received))
        return LinkEnd(
            end=End.AGENT,
            unit=self.unit,
            database=self._database,
            wakeup=self._wakeup,
            timing=self._timing,
            sender=sender,
            wrap=partial(UnitFrame, unit=self.unit),
            open=self._open,
            store=self._store,
            on_fork=self._quarantine,
            own_heads=lambda: self._database.read(read_heads, sources),
            received={self._downstream: await self._database.read(read_head, LOG, self._downstream)},
            outgoing=outgoing,
        )

    def _open(self, batch: RecordBatch) -> OpenedBatch:
        if batch.stream != self._downstream:
            raise FrameForeign(f"headquarters sent {batch.stream}", stream=batch.stream, unit=self.unit)
        return open_batch(batch, {})

    async def _store(self, batches: Sequence[OpenedBatch]) -> None:
        await self._database.write(store_all, batches)

    async def _quarantine(self, stream: str, fork: LogFork | LogQuarantined) -> None:
        """Take nothing more of headquarters' stream; what the unit sends goes on."""
        await self._database.write(save_quarantine, stream, str(fork))


def _healthy(session: Session, sources: Sequence[Source]) -> list[Source]:
    """Return the streams that are not in quarantine."""
    quarantined = set(session.scalars(select(Quarantine.stream)))
    return [source for source in sources if source.stream not in quarantined]


async def _frames(outgoing: asyncio.Queue[UnitFrame | None]) -> AsyncIterator[UnitFrame]:
    while frame := await outgoing.get():
        yield frame
