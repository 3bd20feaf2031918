"""A unit's door for its peers: each brings the stream that it writes for this unit."""

import structlog
from sqlalchemy.orm import Session

from hanse.clock import utc_now
from hanse.errors import FactUnreadable, FrameForeign, LogFork, PeerUnknown
from hanse.identity import check_revocation_list, peer_certificate
from hanse.log.follow import read_head
from hanse.names import stream_to
from hanse.policy.store import PolicyStore
from hanse.rpc.interceptor import Context
from hanse.rpc.server import RpcServer, Served, by_token
from hanse.runtime import Runtime
from hanse_federation.erasing import erase, tickets_erased_before
from hanse_federation.link.batches import decoded
from hanse_federation.link.frames import stream_head
from hanse_federation.link.receiving import OpenedBatch, open_batch
from hanse_federation.link.status import save_known
from hanse_federation.link.storing import store_all
from hanse_federation.membership.revocations import keep_list, newest_list, refuse_revoked
from hanse_federation.model import LOG, SCHEMA
from hanse_federation.peers.healing import compare_with_writer
from hanse_federation.recovery.quarantine import save_quarantine
from hanse_protos.federation.v1 import peer_pb2 as pb
from hanse_protos.federation.v1 import peer_pb2_grpc as rpc
from hanse_protos.federation.v1.link_pb2 import RecordBatch
from hanse_protos.log.v1.log_pb2 import EpochStarted, StreamHead
from hanse_protos.ticket.v1 import events_pb2

SERVICE = pb.DESCRIPTOR.services_by_name["PeerService"].full_name

EXCHANGED = f"{events_pb2.DESCRIPTOR.package}."
"""What peers tell each other is of the desk. A policy, say, comes from headquarters or not at all."""

EPOCH_STARTED = EpochStarted.DESCRIPTOR.full_name
"""The first record of a stream's new epoch says so."""

logger = structlog.get_logger(__name__)


class PeerServer:
    """Listens to the unit's peers."""

    def __init__(self, runtime: Runtime) -> None:
        settings = runtime.settings
        self._server = RpcServer(
            settings.peer_listen_address,
            settings.tls,
            by_token(runtime.verifier),
            [Served(SERVICE, rpc.add_PeerServiceServicer_to_server, PeerServicer(runtime))],
            require_client_certificate=True,
        )

    async def start(self) -> None:
        """Listen."""
        await self._server.start()

    async def stop(self) -> None:
        """Stop. What was not answered comes again."""
        await self._server.stop()


class PeerServicer(rpc.PeerServiceServicer):
    """Takes what peers bring."""

    def __init__(self, runtime: Runtime) -> None:
        self._unit = runtime.unit
        self._tls = runtime.settings.tls
        self._known = runtime.settings.peers.keys()
        self._database = runtime.database
        self._policies = PolicyStore(SCHEMA)

    async def GetPeerHead(  # noqa: N802 - named as in the contract.
        self, request: pb.GetPeerHeadRequest, context: Context
    ) -> StreamHead:
        peer = await self._peer(context)
        stream = stream_to(peer, self._unit)
        if request.HasField("head"):
            await self._database.write(save_known, peer, {stream: request.head.sequence}, utc_now())
        return stream_head(stream, await self._database.read(read_head, LOG, stream))

    async def DeliverPeerRecords(  # noqa: N802 - named as in the contract.
        self, request: pb.DeliverPeerRecordsRequest, context: Context
    ) -> StreamHead:
        peer = await self._peer(context)
        stream = stream_to(peer, self._unit)
        if request.batch.stream != stream:
            raise FrameForeign(f"{peer} sent {request.batch.stream}", stream=request.batch.stream, unit=peer)
        try:
            opened = open_batch(request.batch, {}, writer=peer)
            _refuse_foreign(peer, request.batch)
            await self._database.write(_store, opened)
        except (LogFork, FactUnreadable) as problem:
            await self._database.write(save_quarantine, stream, problem)
            raise
        return stream_head(stream, opened.end)

    async def ComparePeerStream(  # noqa: N802 - named as in the contract.
        self, request: pb.ComparePeerStreamRequest, context: Context
    ) -> pb.ComparePeerStreamResponse:
        peer = await self._peer(context)
        return await self._database.write(compare_with_writer, stream_to(peer, self._unit), request)

    async def ExchangeRevocations(  # noqa: N802 - named as in the contract.
        self, request: pb.ExchangeRevocationsRequest, context: Context
    ) -> pb.ExchangeRevocationsResponse:
        await self._peer(context)
        if request.revocation_list:
            number = check_revocation_list(request.revocation_list, self._tls.authority.read_bytes())
            await self._database.write(keep_list, number, request.revocation_list)
        return pb.ExchangeRevocationsResponse(revocation_list=await self._database.read(newest_list))

    async def _peer(self, context: Context) -> str:
        """Return the peer in the client's certificate. Raises PeerUnknown for anybody else, CertificateRevoked."""
        certificate = peer_certificate(context.auth_context())
        unit = certificate.unit
        if unit not in self._known or not await self._database.read(self._is_peer, unit):
            raise PeerUnknown(unit=unit)
        await self._database.read(refuse_revoked, certificate)
        return unit

    def _is_peer(self, session: Session, unit: str) -> bool:
        if not self._policies.current_version(session):
            return False
        return unit in self._policies.current(session).peers_of(self._unit)


def _refuse_foreign(peer: str, batch: RecordBatch) -> None:
    """Raise FrameForeign where a batch holds what is not told among peers."""
    for event in decoded(batch):
        if not event.type.startswith(EXCHANGED) and event.type != EPOCH_STARTED:
            raise FrameForeign(f"{peer} sent {event.type}", unit=peer, event=event.event_id)


def _store(session: Session, batch: OpenedBatch) -> None:
    """Store a batch, without the texts about tickets that were erased while it was on its way."""
    erased = tickets_erased_before(session, [batch])
    store_all(session, [batch])
    erase(session, erased)
