"""The ways out of a quarantine over gRPC."""

from functools import partial
from typing import Any
from uuid import UUID, uuid5

from hanse.names import HEADQUARTERS
from hanse.rpc.call import cause_of
from hanse.rpc.client import remote_errors
from hanse.rpc.interceptor import Context
from hanse.rpc.server import Served
from hanse.runtime import Runtime
from hanse.schema import ServiceSchema
from hanse.work import CommandExecutor, Work
from hanse_federation.link.comparing import COMPARE_TIMEOUT_SECONDS, last_common
from hanse_federation.link.dialling import hub_channel
from hanse_federation.link.frames import stream_head
from hanse_federation.link.sending import Source
from hanse_federation.model import LOG
from hanse_federation.recovery import decisions as recovery
from hanse_federation.recovery.quarantine import release
from hanse_federation.recovery.reseeding import ROUND_RECORDS, Restores, combine, fetch, reseed, service_of
from hanse_protos.federation.v1 import recovery_pb2 as pb
from hanse_protos.federation.v1 import recovery_pb2_grpc as rpc
from hanse_protos.federation.v1.link_pb2 import CompareStreamRequest
from hanse_protos.federation.v1.link_pb2_grpc import FederationServiceStub

SERVICE = pb.DESCRIPTOR.services_by_name["StreamService"].full_name


class StreamServicer(rpc.StreamServiceServicer):
    """What a person decides about the streams in quarantine at this end."""

    def __init__(
        self, runtime: Runtime, executor: CommandExecutor, restores: Restores, *, round_records: int = ROUND_RECORDS
    ) -> None:
        """Serve; a re-seeding puts back `round_records` or a few more in one transaction."""
        self._restores = restores
        self._round_records = round_records
        self._runtime = runtime
        self._database = runtime.database
        self._executor = executor

    async def StartEpoch(self, request: pb.StartEpochRequest, context: Context) -> pb.StartEpochResponse:
        return await self._executor.execute(recovery.start, request, cause_of(request), pb.StartEpochResponse)

    async def AcceptEpoch(self, request: pb.AcceptEpochRequest, context: Context) -> pb.AcceptEpochResponse:
        return await self._executor.execute(recovery.accept, request, cause_of(request), pb.AcceptEpochResponse)

    async def ReseedStream(self, request: pb.ReseedStreamRequest, context: Context) -> pb.ReseedStreamResponse:
        rounds = [await self._reseed_round(request)]
        while rounds[-1].records >= self._round_records:
            # A repeat of the whole finds each round's answer again by its own id.
            round_id = str(uuid5(UUID(request.request_id), f"round {len(rounds) + 1}"))
            rounds.append(await self._reseed_round(pb.ReseedStreamRequest(stream=request.stream, request_id=round_id)))
        if await self._agree(request.stream):
            await self._database.write(release, request.stream)
        return combine(rounds)

    async def _reseed_round(self, request: pb.ReseedStreamRequest) -> pb.ReseedStreamResponse:
        """Put back what follows the last common record, as far as one round goes."""
        stream, unit = request.stream, self._runtime.unit
        service = service_of(unit, stream)
        async with await hub_channel(self._runtime.settings) as channel:
            stub: Any = FederationServiceStub(channel)
            ask = partial(stub.CompareStream, timeout=COMPARE_TIMEOUT_SECONDS)
            with remote_errors():
                source = Source(ServiceSchema(service).log, stream)
                common, _ = await last_common(self._database, source, ask)
                fetch_records = partial(stub.FetchRecords, timeout=COMPARE_TIMEOUT_SECONDS)
                batches = await fetch(unit, stream, common, fetch_records, self._round_records)

        def put_back(work: Work, _request: pb.ReseedStreamRequest) -> pb.ReseedStreamResponse:
            return reseed(work, stream, common, batches, self._restores)

        return await self._executor.execute(put_back, request, cause_of(request), pb.ReseedStreamResponse)

    async def ReleaseStream(self, request: pb.ReleaseStreamRequest, context: Context) -> pb.ReleaseStreamResponse:
        if self._runtime.unit != HEADQUARTERS and not recovery.is_between_peers(request.stream):
            await self._agree(request.stream)
        return await self._executor.execute(
            recovery.release_stream, request, cause_of(request), pb.ReleaseStreamResponse
        )

    async def _agree(self, stream: str) -> bool:
        """Compare the two logs, and let headquarters end its quarantine where the receiver has no more than the writer.

        Returns False where the stream is not in quarantine here. Raises LogsDisagree.
        """
        if not await self._database.read(recovery.is_quarantined, stream):
            return False
        log = recovery.own_log(self._runtime.unit, stream)
        async with await hub_channel(self._runtime.settings) as channel:
            stub: Any = FederationServiceStub(channel)
            ask = partial(stub.CompareStream, timeout=COMPARE_TIMEOUT_SECONDS)
            with remote_errors():
                common, there = await last_common(self._database, Source(log or LOG, stream), ask)
                receiver = there if log else await self._database.read(recovery.own_head, stream)
                recovery.refuse_disagreement(stream, common, receiver)
                await ask(
                    CompareStreamRequest(stream=stream, probes=[stream_head(stream, common)], final=True, settle=True)
                )
        await self._database.write(recovery.note_agreement, stream, common)
        return True

    async def ListOrphans(self, request: pb.ListOrphansRequest, context: Context) -> pb.ListOrphansResponse:
        return await self._database.read(recovery.list_orphans, request)


def served(runtime: Runtime, executor: CommandExecutor, restores: Restores) -> Served:
    """Return the service; `executor` runs the commands of the schema "federation"."""
    return Served(SERVICE, rpc.add_StreamServiceServicer_to_server, StreamServicer(runtime, executor, restores))
