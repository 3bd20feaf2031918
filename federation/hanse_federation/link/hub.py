"""Headquarters' end of the links: it takes every unit's, stores what comes, and sends what concerns the unit."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import structlog
from google.protobuf.message import Message
from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.clock import utc_now
from hanse.database import DATABASE_ERRORS
from hanse.errors import (
    FrameForeign,
    HanseError,
    LogFork,
    LogGap,
    Unavailable,
    UnitUnreachable,
    ValidationFailed,
)
from hanse.identity import UnitCertificate, peer_certificate
from hanse.log.append import Head
from hanse.names import downstream_name, stream_name
from hanse.rpc.interceptor import Context
from hanse.rpc.server import RpcServer, Served, by_token
from hanse.runtime import Runtime
from hanse.work import CommandExecutor
from hanse_federation.headquarters.absorbing import opening_from_unit
from hanse_federation.headquarters.forwarding import forward_decisions
from hanse_federation.headquarters.intake import Intake
from hanse_federation.link.comparing import compare_stream, fetch_records, streams_of
from hanse_federation.link.end import LinkEnd, Timing, next_frame
from hanse_federation.link.frames import CREDIT_RECORDS, PROTOCOL_VERSION, heads_by_stream, stream_head
from hanse_federation.link.outgoing import Outgoing
from hanse_federation.link.problems import StreamProblem, in_words
from hanse_federation.link.sending import CreditWindow, Sender, Source, everything, read_heads
from hanse_federation.link.status import save_lost
from hanse_federation.membership import servicer as enrolment_servicer
from hanse_federation.membership.register import admitted, found, require_member
from hanse_federation.model import LOG, SCHEMA, UPSTREAM_SERVICES, End, Quarantine
from hanse_federation.recovery.quarantine import (
    Gaps,
    State,
    healthy,
    read_state,
    refuse_ended,
    save_quarantine,
    take_over,
    told,
)
from hanse_protos.federation.v1 import link_pb2, link_pb2_grpc
from hanse_protos.federation.v1 import link_pb2 as pb
from hanse_protos.federation.v1.link_pb2 import Hello, HubFrame, UnitFrame, Welcome

SERVICE = link_pb2.DESCRIPTOR.services_by_name["FederationService"].full_name

FOUNDING_PAUSE_SECONDS = 1.0
"""Between two tries to admit the founding units while the database is away."""

logger = structlog.get_logger(__name__)


class Hub:
    """The server that units dial."""

    def __init__(self, runtime: Runtime, *, timing: Timing | None = None) -> None:
        self._servicer = FederationServicer(runtime, timing or Timing())
        settings = runtime.settings
        self._founding_units = settings.founding_units
        self._executor = CommandExecutor(runtime.database, SCHEMA, runtime.unit)
        self._executor.after_append = forward_decisions
        self._server = RpcServer(
            settings.hub_listen_address,
            settings.tls,
            by_token(runtime.verifier),
            [
                Served(SERVICE, link_pb2_grpc.add_FederationServiceServicer_to_server, self._servicer),
                enrolment_servicer.served(runtime, self._executor),
            ],
            require_client_certificate=True,
        )
        self.port = self._server.port

    async def start(self) -> None:
        """Take links."""
        await self._found()
        await self._server.start()

    async def _found(self) -> None:
        """Admit the founding units, as soon as the database answers: nobody could be let in before anyway."""
        while True:
            try:
                await found(self._executor, self._founding_units)
            except (*DATABASE_ERRORS, Unavailable) as error:
                logger.warning("the founding units could not be admitted yet", problem=in_words(error))
                await asyncio.sleep(FOUNDING_PAUSE_SECONDS)
            else:
                return

    async def stop(self) -> None:
        """End every link, and stop. What was not acknowledged comes again."""
        await self._servicer.close()
        await self._server.stop()
        await self._executor.close()


class FederationServicer(link_pb2_grpc.FederationServiceServicer):
    """Serves the links, one live link for each unit: a newer one ends the older, whose line is dead."""

    def __init__(self, runtime: Runtime, timing: Timing) -> None:
        self._runtime = runtime
        self._timing = timing
        self._links: dict[str, asyncio.Task[None]] = {}
        self._gaps = Gaps()
        self._intake = Intake(runtime.database)

    async def Exchange(  # noqa: N802 - named as in the contract.
        self, request_iterator: AsyncIterator[UnitFrame], context: Context
    ) -> AsyncIterator[HubFrame]:
        link = UnitLink(self._runtime, self._timing, peer_certificate(context.auth_context()), self._gaps, self._intake)
        task = asyncio.create_task(self._converse(link, request_iterator), name=f"link of {link.unit}")
        task.add_done_callback(lambda _: link.outgoing.end())
        try:
            async for frame in link.outgoing:
                yield frame
            if task.cancelled():
                raise Unavailable("a newer link of this unit has taken over, or the hub is going down")
            task.result()
        finally:
            task.cancel()
            # A line that broke is told of by the link itself; what else it may have raised is of no use any more.
            await asyncio.gather(task, return_exceptions=True)

    async def CompareStream(self, request: pb.CompareStreamRequest, context: Context) -> pb.CompareStreamResponse:  # noqa: N802
        return await self._runtime.database.write(_as_member, compare_stream, context, request)

    async def FetchRecords(self, request: pb.FetchRecordsRequest, context: Context) -> pb.FetchRecordsResponse:  # noqa: N802
        return await self._runtime.database.read(_as_member, fetch_records, context, request)

    async def _converse(self, link: "UnitLink", requests: AsyncIterator[UnitFrame]) -> None:
        """Be the hub's end of a unit's link until it ends; keep the reason, and raise it."""
        problem = f"{UnitUnreachable.reason}: the line broke"
        try:
            hello = await link.greeted(requests)
            await self._take_over(link.unit)
            await link.run(hello)
        except Exception as error:
            problem = in_words(error)
            raise
        finally:
            logger.info("a link is down", unit=link.unit, problem=problem)
            await self._let_go(link.unit, problem)

    async def _take_over(self, unit: str) -> None:
        """Make this task the unit's one live link."""
        older = self._links.get(unit)
        self._links[unit] = _current_task()
        if older:
            logger.info("a newer link takes over", unit=unit)
            older.cancel()
            await asyncio.wait([older])

    async def _let_go(self, unit: str, problem: str) -> None:
        """Keep why a link ended, unless a newer one has taken over."""
        if self._links.get(unit, _current_task()) is not _current_task():
            return
        self._links.pop(unit, None)
        try:
            await self._runtime.database.write(save_lost, End.HUB, unit, problem, utc_now())
        except DATABASE_ERRORS as error:
            logger.warning("headquarters' database does not answer", problem=in_words(error))

    async def close(self) -> None:
        """End every link."""
        links = list(self._links.values())
        for link in links:
            link.cancel()
        if links:
            await asyncio.wait(links)


def _as_member(session: Session, answer: Callable[[Session, str, Any], Any], context: Context, request: Message) -> Any:
    """Answer a member of the group. Raises what `require_member` raises, and what the answer raises."""
    certificate = peer_certificate(context.auth_context())
    require_member(session, certificate)
    return answer(session, certificate.unit, request)


def _current_task() -> asyncio.Task[None]:
    task = asyncio.current_task()
    if task is None:
        raise HanseError("a link lives in a task")
    return task


def _refuse_other_version(unit: str, said: int) -> None:
    """Raise ValidationFailed where a unit speaks another version of the link's protocol than headquarters."""
    if said != PROTOCOL_VERSION:
        older = unit if said < PROTOCOL_VERSION else "headquarters"
        raise ValidationFailed(
            f"{unit} speaks version {said} of the link, and headquarters version {PROTOCOL_VERSION}: upgrade {older}",
            hint="Run the same version of Hanse at both ends. Nothing is lost meanwhile: the unit's agent dials again.",
            said=str(said),
            spoken=str(PROTOCOL_VERSION),
        )


@dataclass
class UnitLink:
    """The hub's end of one unit's link."""

    runtime: Runtime
    timing: Timing
    certificate: UnitCertificate
    gaps: Gaps
    intake: Intake
    outgoing: Outgoing[HubFrame] = field(default_factory=Outgoing)

    def __post_init__(self) -> None:
        self.unit = self.certificate.unit
        self._database = self.runtime.database
        self._downstream = Source(LOG, downstream_name(self.unit))

    async def greeted(self, requests: AsyncIterator[UnitFrame]) -> Hello:
        """Return the unit's first frame. Raises FrameForeign, ValidationFailed, and what `admitted` raises."""
        self._frames = self._own_frames(requests)
        frame: UnitFrame = await next_frame(self._frames, self.timing.welcome_seconds)
        if frame.WhichOneof("frame") != "hello":
            raise ValidationFailed("a link begins with a Hello")
        _refuse_other_version(self.unit, frame.hello.protocol_version)
        await self._database.write(admitted, self.certificate)
        return frame.hello

    async def _own_frames(self, requests: AsyncIterator[UnitFrame]) -> AsyncIterator[UnitFrame]:
        """Pass on frames that speak for the unit in the certificate. Raises FrameForeign at another one."""
        async for frame in requests:
            if frame.unit != self.unit:
                raise FrameForeign(unit=frame.unit, certificate=self.unit)
            yield frame

    async def run(self, hello: Hello) -> None:
        """Answer the unit and be its link until it ends; the reason is raised."""
        there = heads_by_stream([hello.received])
        quarantined, begun, received = await self._database.write(self._meet, hello, there)
        sources = healthy([self._downstream], quarantined)
        sender = Sender(self._database, sources, CreditWindow(hello.credit), everything)
        try:
            await sender.begin(there)
        except LogFork as fork:
            await self._quarantine(self._downstream.stream, fork)
        waiting = {row.stream for row in quarantined}
        heads = [stream_head(stream, head) for stream, head in received.items()]
        welcome = Welcome(
            received=heads, credit=CREDIT_RECORDS, downstream=self._downstream.stream, quarantined=told(quarantined)
        )
        self.outgoing.put(HubFrame(welcome=welcome))
        link = LinkEnd(
            end=End.HUB,
            unit=self.unit,
            database=self._database,
            wakeup=self.runtime.wakeup,
            timing=self.timing,
            sender=sender,
            wrap=HubFrame,
            opening=partial(opening_from_unit, self.unit),
            store=self.intake.store,
            takes=lambda stream: stream.startswith(f"{self.unit}/streams/"),
            on_problem=self._quarantine,
            own_heads=lambda session: read_heads(session, sources),
            still_welcome=partial(self._still_welcome, begun),
            received={stream: head for stream, head in received.items() if stream not in waiting},
            outgoing=self.outgoing,
        )
        await link.run(self._frames)

    def _meet(
        self, session: Session, hello: Hello, there: Mapping[str, Head]
    ) -> tuple[list[Quarantine], State, dict[str, Head]]:
        """Return what is in quarantine of the unit's streams, how that is, and where headquarters has the streams.

        All three are of one moment: a person's decision comes before or after it.
        """
        quarantined = take_over(session, self._streams, hello.quarantined, [self._downstream], there)
        return quarantined, read_state(session, self._streams), self._received_heads(session)

    @property
    def _streams(self) -> set[str]:
        return streams_of(self.unit)

    def _still_welcome(self, begun: State, session: Session) -> None:
        """Check at a heartbeat that the unit is a member still, and that no quarantine has ended.

        Raises what `require_member` raises; Unavailable where the next link, in a moment, takes a stream up again.
        """
        require_member(session, self.certificate)
        refuse_ended(begun, read_state(session, self._streams))

    def _received_heads(self, session: Session) -> dict[str, Head]:
        columns = LOG.head.c
        query = select(columns.stream, columns.epoch, columns.sequence, columns.hash)
        rows = session.execute(query.where(columns.stream.startswith(f"{self.unit}/streams/", autoescape=True)))
        # Headquarters' own streams stand beside the units' copies: they are sent to nobody but those they are for.
        names = {stream_name(self.unit, service) for service in UPSTREAM_SERVICES}
        return {row.stream: Head(row.epoch, row.sequence, row.hash) for row in rows if row.stream in names}

    async def _quarantine(self, stream: str, problem: StreamProblem) -> None:
        """Put a stream into quarantine, and end the link with the reason; the agent comes back without the stream."""
        if not isinstance(problem, LogGap) or self.gaps.persists(problem):
            await self._database.write(save_quarantine, stream, problem)
        raise problem
