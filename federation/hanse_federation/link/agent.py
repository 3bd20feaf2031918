"""The unit's end of its link: it dials headquarters, and dials again, for as long as the unit lives."""

import asyncio
import random
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any, cast

import grpc
import structlog
from sqlalchemy.orm import Session

from hanse.clock import utc_now
from hanse.errors import FrameForeign, LogFork, LogGap, ValidationFailed
from hanse.log.append import Head
from hanse.log.follow import read_head
from hanse.names import downstream_name
from hanse.policy.store import PolicyStore
from hanse.rpc.client import RemoteError
from hanse.rpc.interceptor import decode
from hanse.runtime import Runtime
from hanse_federation.link.comparing import COMPARE_TIMEOUT_SECONDS, last_common
from hanse_federation.link.dialling import hub_channel
from hanse_federation.link.end import LinkEnd, Timing, next_frame
from hanse_federation.link.frames import CREDIT_RECORDS, PROTOCOL_VERSION, heads_by_stream, stream_head
from hanse_federation.link.outgoing import Outgoing
from hanse_federation.link.problems import REFUSED, StreamProblem, in_words, known_problem
from hanse_federation.link.receiving import OpenedBatch, Steps, opening
from hanse_federation.link.sending import CreditWindow, Sender, Source, read_heads, upstream_sources
from hanse_federation.link.status import save_lost
from hanse_federation.link.storing import store_all
from hanse_federation.model import LOG, SCHEMA, End, Quarantine
from hanse_federation.recovery.quarantine import (
    Gaps,
    State,
    common_head,
    healthy,
    read_quarantines,
    read_state,
    refuse_ended,
    save_common,
    save_quarantine,
    take_over,
    told,
)
from hanse_federation.sharing import sharing
from hanse_protos.federation.v1.link_pb2 import Hello, HubFrame, RecordBatch, UnitFrame, Welcome
from hanse_protos.federation.v1.link_pb2_grpc import FederationServiceStub

EXCHANGE = "/hanse_protos.federation.v1.FederationService/Exchange"
"""The one rpc of a link."""

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
        self._gaps = Gaps()
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
            if isinstance(problem, RemoteError) and problem.reason in REFUSED:
                await self._note_refused(problem)
        except Exception as again:
            if known_problem(again) is None:
                raise
            logger.warning("the unit's database does not answer", problem=in_words(again))

    async def _note_refused(self, problem: RemoteError) -> None:
        refused = problem.metadata.get("stream", "")
        if refused in self._streams:
            await self._database.write(save_quarantine, refused, problem, found_here=False)

    @property
    def _streams(self) -> set[str]:
        return {self._downstream, *(source.stream for source in self._sources)}

    async def _connect(self) -> None:
        """Open the link and be its end until it ends; the reason is raised."""
        async with await hub_channel(self._settings, timeout_seconds=self._timing.welcome_seconds) as channel:
            outgoing: Outgoing[UnitFrame] = Outgoing()
            # What headquarters sends is checked like everything else that comes in, so it is taken as bytes.
            exchange: Any = channel.stream_stream(EXCHANGE, request_serializer=UnitFrame.SerializeToString)
            call = exchange(aiter(outgoing))
            try:
                frames = _checked(call)
                # Before the hub says where its end is, never after: headquarters' own copy is the stream itself.
                shown, received, hello = await self._database.read(self._hello)
                outgoing.put(hello)
                answer: HubFrame = await next_frame(frames, self._timing.welcome_seconds)
                if answer.WhichOneof("frame") != "welcome":
                    raise ValidationFailed("headquarters did not begin with a Welcome")
                link = await self._begin(answer.welcome, FederationServiceStub(channel), shown, received, outgoing)
                self._attempts = 0
                await link.run(frames)
            finally:
                # gRPC stops asking for frames only where the call had not ended by itself.
                outgoing.end()
                call.cancel()

    def _hello(self, session: Session) -> tuple[State, Head, UnitFrame]:
        """Return how the quarantines are, where the stream from headquarters ends here, and the frame that says both.

        The quarantines are read first: where a person ends one meanwhile, it is seen that what was shown has ended.
        """
        shown = read_state(session, self._streams)
        quarantined = read_quarantines(session, self._streams)
        received = read_head(session, LOG, self._downstream)
        heads = read_heads(session, self._sources)
        hello = Hello(
            protocol_version=PROTOCOL_VERSION,
            received=stream_head(self._downstream, received),
            credit=CREDIT_RECORDS,
            heads=[stream_head(stream, head) for stream, head in heads.items()],
            quarantined=told(quarantined),
        )
        return shown, received, UnitFrame(unit=self.unit, hello=hello)

    async def _begin(
        self, welcome: Welcome, stub: Any, shown: State, received: Head, outgoing: Outgoing[UnitFrame]
    ) -> LinkEnd[UnitFrame]:
        """Take the streams up where headquarters has them, but for those that are in quarantine at either end."""
        there = heads_by_stream(welcome.received)
        quarantined, begun = await self._database.write(self._meet, welcome, there, shown)
        await self._compare(quarantined, stub)
        sources = healthy(self._sources, quarantined)
        sender = Sender(self._database, sources, CreditWindow(welcome.credit), self._share)
        try:
            await sender.begin(there)
        except LogFork as fork:
            await self._quarantine(fork.metadata["stream"], fork)
        return LinkEnd(
            end=End.AGENT,
            unit=self.unit,
            database=self._database,
            wakeup=self._wakeup,
            timing=self._timing,
            sender=sender,
            wrap=partial(UnitFrame, unit=self.unit),
            opening=self._opening,
            store=self._store,
            takes=lambda stream: stream == self._downstream,
            on_problem=self._quarantine,
            own_heads=lambda session: read_heads(session, sources),
            still_welcome=partial(self._still_quarantined, begun),
            received={} if self._downstream in {row.stream for row in quarantined} else {self._downstream: received},
            outgoing=outgoing,
        )

    def _meet(
        self, session: Session, welcome: Welcome, there: Mapping[str, Head], shown: State
    ) -> tuple[list[Quarantine], State]:
        quarantined = take_over(session, self._streams, welcome.quarantined, self._sources, there, shown=shown)
        return quarantined, read_state(session, self._streams)

    async def _compare(self, quarantined: Sequence[Quarantine], stub: Any) -> None:
        """Find out, once, up to where both logs of a stream in quarantine agree: what a person decides rests on it."""
        ask = partial(stub.CompareStream, timeout=COMPARE_TIMEOUT_SECONDS)
        sources = {source.stream: source for source in self._sources}
        for row in quarantined:
            if common_head(row) is None:
                source = sources.get(row.stream, Source(LOG, row.stream))
                try:
                    common, _ = await last_common(self._database, source, ask)
                except grpc.RpcError as error:
                    # The other streams go on all the same; the next link tries again.
                    logger.warning("a stream could not be compared", stream=row.stream, problem=in_words(error))
                else:
                    await self._database.write(save_common, row.stream, common)

    def _still_quarantined(self, begun: State, session: Session) -> None:
        """Raise Unavailable where a quarantine has ended: the next link, in a moment, takes that stream up again."""
        refuse_ended(begun, read_state(session, self._streams))

    def _opening(self, batch: RecordBatch) -> Steps:
        if batch.stream != self._downstream:
            raise FrameForeign(f"headquarters sent {batch.stream}", stream=batch.stream, unit=self.unit)
        return opening(batch, {})

    async def _store(self, batches: Sequence[OpenedBatch]) -> None:
        await self._database.write(store_all, batches)

    async def _quarantine(self, stream: str, problem: StreamProblem) -> None:
        """Put a stream into quarantine, and end the link with the reason; the next one begins without the stream."""
        if not isinstance(problem, LogGap) or self._gaps.persists(problem):
            await self._database.write(save_quarantine, stream, problem)
        raise problem


async def _checked(call: AsyncIterable[bytes]) -> AsyncIterator[HubFrame]:
    """Yield what headquarters sends. Raises ValidationFailed for what breaks the contract, unknown frames included."""
    async for content in call:
        yield cast(HubFrame, decode(HubFrame.FromString, content))
